//! How answers are written: JSON, streams of JSON lines, and refusals.

use crate::Error;
use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use mainstay_api::Progress;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NoStack(_) | Self::NoService { .. } | Self::NoInstance(_) | Self::NoEarlierRelease => {
                StatusCode::NOT_FOUND
            }
            Self::Busy(_) | Self::GoingDown | Self::NotRunning(_) => StatusCode::CONFLICT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let body = serde_json::json!({ "message": self.whole(), "code": self.code() });
        (status, Json(body)).into_response()
    }
}

/// The body of a request. Axum's own extractor tells the path to a mistake, at the price of reading every type a second
/// way, which was a twentieth of the whole binary.
pub(super) struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Asked<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let bytes = Bytes::from_request(request, state).await.map_err(|e| Error::Request(e.to_string()))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|e| Error::Request(e.to_string()))
    }
}

/// Begins `work`, which goes on when whoever asked has gone, and answers with what it tells.
pub(super) fn begun<F>(work: impl FnOnce(UnboundedSender<Progress>) -> F) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    let (progress, told) = mpsc::unbounded_channel();
    tokio::spawn(work(progress));
    lines(told)
}

/// A stream of JSON lines: everything that comes out of `from`, until its senders are gone.
pub(super) fn lines<T: Serialize + Send + 'static>(from: UnboundedReceiver<T>) -> Response {
    let body = stream::unfold(from, |mut from| async move {
        let mut text = line(&from.recv().await?)?;
        while let Ok(more) = from.try_recv() {
            text.extend(line(&more)?);
        }
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), from))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(body)).into_response()
}

fn line(value: &impl Serialize) -> Option<Vec<u8>> {
    let mut text = serde_json::to_vec(value).ok()?;
    text.push(b'\n');
    Some(text)
}
