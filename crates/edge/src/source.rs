//! Where a message comes from: bytes one after the other as HTTP/1.1 has them, or what a carrier with frames of its own makes
//! look like that, and knows besides.
//!
//! Knows nothing about where messages go.

use crate::client::Half;
use crate::h1::Framing;
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::tcp::ReadHalf;

/// Gives a message's bytes.
pub(crate) trait Source: AsyncRead + Unpin {
    /// How the body ends, whose head was just read and has `said` how.
    fn framing(&self, said: Framing) -> Framing {
        said
    }

    /// Trailers, once the end of input was read; asking takes them. Those of chunked bodies are dropped where they are read.
    fn take_trailers(&mut self) -> Option<HeaderMap> {
        None
    }
}

impl Source for ReadHalf<'_> {}
impl<S: AsyncRead + AsyncWrite + Unpin> Source for Half<'_, S> {}
