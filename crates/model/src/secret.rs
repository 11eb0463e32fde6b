//! A value that must not be shown by accident.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Text that cannot be printed: `Debug` shows dots, there is no `Display`. It serialises as itself, because the
/// journal (mode 0600) has to hold it; views of the control API must not contain it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that hands it to a process, an Engine, or a user who asked for it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}
