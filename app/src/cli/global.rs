//! Options of all commands.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Those that choose the stack stand before the command, as in Compose.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// Stack file; may be given several times, later ones are merged over earlier ones
    #[arg(short, long, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Name of the stack [default: `name:` of the file, or the directory]
    #[arg(short, long, value_name = "NAME")]
    pub project_name: Option<String>,
    /// Profile to make active; may be given several times
    #[arg(long, value_name = "NAME")]
    pub profile: Vec<String>,
    /// File of variables instead of `.env`; may be given several times
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Directory that relative paths of the file mean
    #[arg(long, value_name = "DIR")]
    pub project_directory: Option<PathBuf>,
    /// Where the agent keeps its state
    #[arg(long, value_name = "DIR", env = "MAINSTAY_STATE_DIR", global = true, hide_env_values = true)]
    pub state_dir: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// Print less: no progress; names or ids only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say what would be done, and do nothing; `up --dry-run` is `plan`
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// When to print colours
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub ansi: Ansi,
    /// How to show progress: auto, tty, plain, json or quiet
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "HOW",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub progress: ProgressWay,
    /// Keep networks, volumes, secrets and configs that no service uses
    #[arg(long, global = true, hide = true)]
    pub all_resources: bool,
    /// Accepted: names of containers are those of Compose 2
    #[arg(long, global = true, hide = true)]
    pub compatibility: bool,
    /// Accepted: the agent decides what is done at once
    #[arg(long, global = true, hide = true, value_name = "N", allow_negative_numbers = true)]
    pub parallel: Option<i32>,
}

/// When colours are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ansi {
    /// On terminals.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere, and nothing moves.
    Never,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressWay {
    /// Live on terminals, as lines elsewhere.
    Auto,
    /// Live.
    Tty,
    /// As lines.
    Plain,
    /// As JSON lines.
    Json,
    /// Not at all.
    Quiet,
}
