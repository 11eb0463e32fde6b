//! Names of stacks and services, checked once so that they are safe in paths, labels and URLs.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A name that breaks the rule of its kind; the message says which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} name `{name}` {rule}")]
pub struct InvalidName {
    kind: &'static str,
    name: String,
    rule: &'static str,
}

impl InvalidName {
    pub(crate) fn new(kind: &'static str, name: String, rule: &'static str) -> Self {
        Self { kind, name, rule }
    }
}

/// The name of a stack: Compose's project name, `[a-z0-9][a-z0-9_-]*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StackName(String);

/// The name of a service: Compose's rule, `[a-zA-Z0-9._-]+`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

impl StackName {
    /// Checks `name` against Compose's rule for project names.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let rest_is_well =
            name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
        if starts_well && rest_is_well {
            Ok(Self(name))
        } else {
            let rule = "must consist only of lowercase letters, digits, `-` and `_`, and start with a letter or digit";
            Err(InvalidName { kind: "stack", name, rule })
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ServiceName {
    /// Checks `name` against Compose's rule for service names.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        let well = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if well && !name.is_empty() && !matches!(name.as_str(), "." | "..") {
            Ok(Self(name))
        } else {
            let rule = "must consist only of letters, digits, `.`, `_` and `-`";
            Err(InvalidName { kind: "service", name, rule })
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_name {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}
text_name!(StackName);
text_name!(ServiceName);
