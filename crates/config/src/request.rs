//! What is asked of a load, and what it gives back.

use crate::diagnostic::{Diagnostic, Severity, Texts};
use crate::project::Project;
use mainstay_model::Stack;
use std::path::PathBuf;

/// What to load. The fields are the flags of `docker compose` of the same names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The directory the user is in, absolute.
    pub working_dir: PathBuf,
    /// `-f`, in order; empty: `COMPOSE_FILE`, else the files of default names. `-` is standard input.
    pub files: Vec<PathBuf>,
    /// `--project-directory`.
    pub project_directory: Option<PathBuf>,
    /// `-p`.
    pub project_name: Option<String>,
    /// `--env-file`, in order.
    pub env_files: Vec<PathBuf>,
    /// `--profile`; empty: `COMPOSE_PROFILES`. `*` means all.
    pub profiles: Vec<String>,
    /// Services named by the user; their profiles count as active.
    pub services: Vec<String>,
    /// `--all-resources`: keep networks, volumes, secrets, configs and models that no service uses.
    pub all_resources: bool,
    /// What is left out. Anything left out leaves no stack, only the project as it stands then.
    pub skip: Skip,
}

/// Stages of a load that are left out, as the flags `--no-…` of `docker compose config` ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skip {
    /// Variables stay as they are written.
    pub interpolation: bool,
    /// What is implied is not spelled out.
    pub normalization: bool,
    /// Paths stay relative.
    pub paths: bool,
    /// Whether the parts of the project fit each other is not asked.
    pub consistency: bool,
    /// Environment files of services are not read.
    pub env_files: bool,
}

/// What a load found.
#[derive(Debug)]
pub struct Loaded {
    /// The stack, when nothing stands against running it.
    pub stack: Option<Stack>,
    /// The project as Compose would see it, when the files are valid. It may be there while `stack` is not: a
    /// file can be valid and use what Mainstay does not support.
    pub project: Option<Project>,
    /// Everything found, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// Texts of the files that were read.
    pub texts: Texts,
}

impl Loaded {
    /// Whether something stands against running the stack.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}
