//! What is counted, for whoever scrapes it.

use crate::{Agent, Error};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Prometheus' text format, version 0.0.4.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn metrics(State(agent): State<Arc<Agent>>) -> Result<Response, Error> {
    let text = agent.edge.metrics().await?;
    Ok(([(header::CONTENT_TYPE, FORMAT)], text).into_response())
}
