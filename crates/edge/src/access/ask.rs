//! Asking an HTTP server about a request: a service of the stack, or one outside it.
//!
//! Knows nothing about what is asked.

use super::Memory;
use crate::balance;
use crate::clock::{self, Deadline};
use crate::connect::{self, ConnectError};
use crate::issue::https::{self, HttpError};
use crate::table::Table;
use crate::target::InFlight;
use bytes::Bytes;
use http::{Request, Response};
use std::time::Duration;

/// Who is asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) url: Box<str>,
    /// Index into the table's upstreams, where it is a service of the stack.
    pub(crate) upstream: Option<usize>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("TLS towards servers outside cannot be set up")]
    NoTls,
    #[error("it has no instance")]
    NoInstance,
    #[error("it takes too long")]
    TimedOut,
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// Sends a request whose URI is that of `asked`, and reads the whole answer.
pub(super) async fn ask(
    memory: &Memory,
    table: &Table,
    asked: &Asked,
    request: Request<Bytes>,
    patience: Duration,
) -> Result<Response<Bytes>, AskError> {
    let exchange = async {
        let Some(index) = asked.upstream else { return Ok(memory.https()?.send(request).await?) };
        let targets = table.upstreams.get(index).map(|upstream| upstream.targets.as_slice());
        let turn = usize::try_from(clock::precise()).unwrap_or(0);
        let picked = balance::pick(targets.unwrap_or_default(), turn, clock::now(), |_| false);
        let target = picked.ok_or(AskError::NoInstance)?;
        // Counted, so that an instance that leaves finishes what it was asked.
        let in_flight = InFlight::begin(target.clone());
        let stream = connect::connect(target, None, &Deadline::new(), clock::millis(patience)).await?;
        let answer = https::over(stream, request).await?;
        drop(in_flight);
        Ok(answer)
    };
    tokio::time::timeout(patience, exchange).await.unwrap_or(Err(AskError::TimedOut))
}
