//! What the edge does to responses on their way to the client.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Header fields of responses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeaderRules {
    /// Fields that are there unless the service says something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Fields with this value, whatever the service says.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Fields besides those of the service.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, String>,
    /// Fields that are taken off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// A set of security headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// For sites that are nobody's frame, popup or resource, on HTTPS with all their subdomains.
    Strict,
    /// What breaks no ordinary site.
    Compatible,
}

/// Which other origins' pages may read responses (the Fetch standard's CORS protocol).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cors {
    /// Origins, as browsers write them; `*` for any.
    pub origins: Vec<String>,
    /// Methods beyond GET, HEAD and POST.
    pub methods: Vec<String>,
    /// Request headers beyond the simple ones.
    pub headers: Vec<String>,
    /// Response headers that pages may read.
    pub expose: Vec<String>,
    /// Cookies and credentials are sent along.
    pub credentials: bool,
    /// How long browsers may remember the answer to a preflight.
    pub max_age: Option<Duration>,
}

/// How response bodies are compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compression {
    /// Codings in the order of preference, among those a client takes equally well.
    pub codings: Vec<ContentCoding>,
    /// Media types that are compressed; `text/html` always is.
    pub types: Vec<String>,
    /// Bodies known to be smaller are left alone (nginx's `gzip_min_length`).
    pub min_length: u64,
}

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContentCoding {
    /// Zstandard (RFC 8878).
    #[serde(rename = "zstd")]
    Zstd,
    /// Brotli (RFC 7932).
    #[serde(rename = "br")]
    Brotli,
    /// gzip (RFC 1952).
    #[serde(rename = "gzip")]
    Gzip,
}
