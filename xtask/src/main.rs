//! Chores of the repository: `cargo xtask purity`.

mod purity;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let word = std::env::args().nth(1).unwrap_or_default();
    let found = match word.as_str() {
        "purity" => purity::check(),
        _ => Err("usage: cargo xtask purity".to_owned()),
    };
    let (text, code) = match found {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(text) => (text, ExitCode::FAILURE),
    };
    // Nobody is left to be told.
    let _gone = writeln!(std::io::stdout(), "{text}");
    code
}
