//! What is written down about requests.

use serde::{Deserialize, Serialize};

/// `access_log:` of the edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLog {
    /// How a line is written.
    pub format: LogFormat,
    /// One of so many requests is written; those answered with 5xx always are.
    pub one_in: u32,
    /// Query parameters whose values are left out, in lower case.
    pub redact: Vec<String>,
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// Apache's and nginx's `combined`.
    Combined,
}
