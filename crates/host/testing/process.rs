//! The other processes of this crate's tests.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["shim", dir] => mainstay_host::native::shim::main(Path::new(dir)),
        _ => ExitCode::from(2),
    }
}
