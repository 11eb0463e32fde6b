//! Pages that stand in for what a service would say: while it is being worked on, and when something went wrong.

use crate::route::is_default;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// `maintenance:` of the edge: all routes of the stack are answered with 503.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Maintenance {
    /// The page, as HTML; ours when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub page: Option<String>,
    /// From where everything is as ever.
    #[serde(skip_serializing_if = "is_default")]
    pub allow: Vec<IpNet>,
    /// When clients are told to come back.
    pub retry_after: Duration,
}

/// `error_pages:` and `intercept_errors:` of the edge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorPages {
    /// Pages, as HTML, by what they are for.
    pub pages: BTreeMap<PageFor, String>,
    /// They also stand in for what services answer with 5xx.
    #[serde(skip_serializing_if = "is_default")]
    pub intercept: bool,
}

/// What a page is for: `404`, or `5xx` for all of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PageFor {
    /// One status.
    Status(u16),
    /// All of a hundred: 4 or 5.
    Class(u16),
}

impl TryFrom<String> for PageFor {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match (text.as_str(), text.parse::<u16>()) {
            ("4xx", _) => Ok(Self::Class(4)),
            ("5xx", _) => Ok(Self::Class(5)),
            (_, Ok(status @ 400..600)) => Ok(Self::Status(status)),
            _ => Err(format!("`{text}` is no status that a page can be for: write 404, 4xx or 5xx")),
        }
    }
}

impl From<PageFor> for String {
    fn from(page: PageFor) -> Self {
        match page {
            PageFor::Status(status) => status.to_string(),
            PageFor::Class(class) => format!("{class}xx"),
        }
    }
}

impl ErrorPages {
    /// The page for a status.
    pub fn page(&self, status: u16) -> Option<&str> {
        let page = self.pages.get(&PageFor::Status(status));
        page.or_else(|| self.pages.get(&PageFor::Class(status / 100))).map(String::as_str)
    }
}

/// `clients:` of the edge: what every connection of a client is held to. Where several stacks say something, the strictest
/// counts, for they share the edge's addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientRules {
    /// Connections in all.
    #[serde(skip_serializing_if = "is_default")]
    pub connections: Option<u32>,
    /// Connections of one address, or one IPv6 /64. Trusted proxies may have any number.
    #[serde(skip_serializing_if = "is_default")]
    pub per_client: Option<u32>,
    /// Time for a head, from its first byte to its last, and for a new connection to its first byte.
    #[serde(skip_serializing_if = "is_default")]
    pub head: Option<Duration>,
    /// Time between two requests.
    #[serde(skip_serializing_if = "is_default")]
    pub idle: Option<Duration>,
    /// Bytes of a head.
    #[serde(skip_serializing_if = "is_default")]
    pub head_size: Option<u32>,
    /// Bytes of one line of a head, the first included.
    #[serde(skip_serializing_if = "is_default")]
    pub head_line: Option<u32>,
    /// Fields of a head.
    #[serde(skip_serializing_if = "is_default")]
    pub head_fields: Option<u32>,
    /// Bytes a second that a body of known length must bring, once its first minute is over.
    #[serde(skip_serializing_if = "is_default")]
    pub body_rate: Option<u32>,
}

impl ClientRules {
    /// Both rules, the stricter of each.
    pub fn and(&self, other: &Self) -> Self {
        fn least<T: Ord + Copy>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.into_iter().chain(other).min()
        }
        Self {
            connections: least(self.connections, other.connections),
            per_client: least(self.per_client, other.per_client),
            head: least(self.head, other.head),
            idle: least(self.idle, other.idle),
            head_size: least(self.head_size, other.head_size),
            head_line: least(self.head_line, other.head_line),
            head_fields: least(self.head_fields, other.head_fields),
            body_rate: self.body_rate.into_iter().chain(other.body_rate).max(),
        }
    }
}
