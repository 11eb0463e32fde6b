//! Stack files: Compose files with `x-mainstay`, read into [`mainstay_model::Stack`].
//!
//! The way of a file: text → [`Node`] tree (`yaml`) → variables replaced (`interpolate`) → checked and brought into
//! long forms (`check`, after the table in `shape`) → merged (`merge`) → normalised (`normalise`) → a [`Project`],
//! which is what Compose sees → a `Stack` (`resolve`). Findings are collected on the way (`diagnostic`).
//!
//! Knows nothing about file systems, processes, clocks or Docker: files and variables come through [`Source`], and
//! rendering findings is up to the program.

mod advice;
mod api_socket;
mod check;
mod complete;
mod cross;
mod date;
mod diagnostic;
mod dotenv;
mod environment;
mod extend;
mod files;
mod include;
mod inherit;
mod interpolate;
mod load;
mod merge;
mod mounts;
mod node;
mod normalise;
mod origin;
mod parity;
mod paths;
mod pools;
mod ports;
mod print;
mod profiles;
mod project;
mod raw;
mod request;
mod resolve;
mod scalar;
mod scalars;
mod service_files;
mod shape;
mod short;
mod source;
mod standing;
mod suggest;
mod template;
mod units;
mod words;
mod yaml;

pub use diagnostic::{Code, Diagnostic, FileId, Note, Severity, Span, Text, Texts};
pub use load::load;
pub use node::{Date, Entry, Map, MergeTag, Node, Value};
pub use parity::{Fate, UsedKey, parity};
pub use project::Project;
pub use raw::{Raw, raw};
pub use request::{Loaded, Request, Skip};
pub use source::{MapSource, ReadError, Source};
pub use template::Variable;
