//! The hash by which Docker Compose tells whether a container still is what its file says.
//!
//! Compose hashes its own form of a service as text. For services that share something of another service's container
//! that text holds the id of the container, which is known only once that one exists.

use crate::Secret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How to get `com.docker.compose.config-hash` of a service's containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfigHash {
    /// It is this.
    Fixed(String),
    /// The hash of these pieces.
    Pieces(Vec<ConfigPiece>),
}

/// A piece of the text that is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfigPiece {
    /// This text.
    Text(Secret),
    /// A reference to a container, as text in quotes.
    Reference {
        /// The service whose first container it is; `None`: `before` names one outside the stack.
        service: Option<String>,
        /// What stands in the quotes before the id.
        before: String,
        /// The whole, with its quotes, as long as there is no such container.
        unresolved: String,
    },
}

impl ConfigHash {
    /// The hash of a definition's pieces.
    pub fn new(pieces: Vec<ConfigPiece>) -> Self {
        match pieces.as_slice() {
            [ConfigPiece::Text(text)] => Self::Fixed(sha256(text.expose().as_bytes())),
            _ => Self::Pieces(pieces),
        }
    }

    /// The hash of the file alone, which `docker compose config --hash` prints.
    pub fn of_file(&self) -> String {
        self.hash(|reference| match reference {
            ConfigPiece::Text(text) => text.expose().to_owned(),
            ConfigPiece::Reference { unresolved, .. } => unresolved.clone(),
        })
    }

    /// The hash of a container, where `container` answers the id of the first container of a service.
    pub fn of_container(&self, container: &dyn Fn(&str) -> Option<String>) -> String {
        self.hash(|reference| match reference {
            ConfigPiece::Text(text) => text.expose().to_owned(),
            ConfigPiece::Reference { service: None, before, .. } => format!("\"{before}\""),
            ConfigPiece::Reference { service: Some(service), before, unresolved } => match container(service)
            {
                Some(id) => format!("\"{before}{id}\""),
                None => unresolved.clone(),
            },
        })
    }

    fn hash(&self, text: impl Fn(&ConfigPiece) -> String) -> String {
        match self {
            Self::Fixed(hash) => hash.clone(),
            Self::Pieces(pieces) => sha256(pieces.iter().map(text).collect::<String>().as_bytes()),
        }
    }
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let mut hash = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        hash.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        hash.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_hashed_with_the_ids_of_containers() {
        let text = |text: &str| ConfigPiece::Text(Secret::new(text));
        assert_eq!(ConfigHash::new(vec![text("ab")]), ConfigHash::Fixed(sha256(b"ab")));
        let service = ConfigPiece::Reference {
            service: Some("db".to_owned()),
            before: "container:".to_owned(),
            unresolved: "\"service:db\"".to_owned(),
        };
        let hash = ConfigHash::new(vec![text("[1,"), service, text("]")]);
        assert_eq!(hash.of_file(), sha256(b"[1,\"service:db\"]"));
        assert_eq!(hash.of_container(&|_| None), hash.of_file());
        let made = hash.of_container(&|name| Some(format!("id-of-{name}")));
        assert_eq!(made, sha256(b"[1,\"container:id-of-db\"]"));
    }
}
