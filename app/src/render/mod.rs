//! Everything a user sees. Commands hand over values; nothing here asks the agent or decides anything.

pub mod diagnostic;
pub mod error;
pub mod format;
pub mod live;
pub mod log_line;
pub mod parity;
pub mod plan;
pub mod progress;
pub mod stack;
pub mod style;
pub mod table;
pub mod variables;
pub mod words;
