//! The pure crates stay pure: no file, socket, process, clock, randomness or environment in `model`, `config` and
//! `plan`, neither by themselves nor through what they depend on.
//!
//! Sources are scanned for the words of the standard library that do I/O; dependencies for the crates that do. Both are
//! lists of what is known, not a proof: a reviewer reads the rest.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates that promise to be pure.
const PURE: [&str; 3] = ["model", "config", "plan"];

/// Words that have no place in them.
const WORDS: [&str; 15] = [
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::net::ToSocketAddrs",
    "std::os::unix::net",
    "std::process",
    "std::env",
    "std::thread",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "SystemTime",
    "Instant",
    "println!",
    "eprintln!",
];

/// Words that have no place where decisions are made: both iterate in a random order, which differs from run to run.
const UNORDERED: [&str; 2] = ["HashMap<", "HashSet<"];
/// Where decisions are made.
const DECIDES: &str = "plan";

/// Crates that do I/O, read clocks, or are random. Not `libc`: sha2 asks it for the features of the CPU.
const CRATES: [&str; 15] = [
    "tokio",
    "mio",
    "socket2",
    "hyper",
    "axum",
    "bollard",
    "rusqlite",
    "rustix",
    "nix",
    "rand",
    "getrandom",
    "fastrand",
    "jiff",
    "chrono",
    "tracing-subscriber",
];

/// Says that all is well, or what is not.
///
/// # Errors
/// The list of what was found.
pub fn check() -> Result<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let mut found = vec![];
    let mut files = 0;
    for name in PURE {
        for path in sources(&root.join("crates").join(name).join("src"))? {
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            found.extend(scan(&path, &text, &WORDS));
            if name == DECIDES {
                found.extend(scan(&path, &text, &UNORDERED));
            }
            files += 1;
        }
    }
    found.extend(dependencies(root)?);
    if found.is_empty() {
        return Ok(format!("{} are pure: {files} files, and all they depend on", PURE.join(", ")));
    }
    Err(format!("{}\n{} places are not pure", found.join("\n"), found.len()))
}

fn sources(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
    let mut all = vec![];
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            all.extend(sources(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

/// Forbidden words of a file, before its tests (which come last) and outside comments.
fn scan(path: &Path, text: &str, words: &[&str]) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines = code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    let mut found = vec![];
    for (number, line) in lines {
        for word in words.iter().filter(|word| line.contains(**word)) {
            found.push(format!("{}:{}: {word}", path.display(), number + 1));
        }
    }
    found
}

/// Forbidden crates that a pure crate depends on, by any way but its tests'.
fn dependencies(root: &Path) -> Result<Vec<String>, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--locked"]).current_dir(root);
    let output = command.output().map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)))?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names: BTreeMap<String, String> =
        list(&metadata["packages"]).iter().map(|p| (text(&p["id"]), text(&p["name"]))).collect();
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        let normal = |dep: &&Value| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        let deps = list(&node["deps"]).iter().filter(normal).map(|dep| text(&dep["pkg"])).collect();
        needs.insert(text(&node["id"]), deps);
    }
    let mut found = vec![];
    for pure in PURE.map(|name| format!("mainstay-{name}")) {
        let start = names.iter().find(|(_, name)| **name == pure).map(|(id, _)| id.clone());
        let mut seen = BTreeSet::new();
        let mut open: Vec<String> = start.into_iter().collect();
        while let Some(id) = open.pop() {
            if seen.insert(id.clone()) {
                open.extend(needs.get(&id).into_iter().flatten().cloned());
            }
        }
        let used = seen.iter().filter_map(|id| names.get(id));
        let impure = used.filter(|name| CRATES.contains(&name.as_str()));
        found.extend(impure.map(|name| format!("{pure} depends on {name}")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_comments_and_tests_are_no_matter() {
        let text = "// std::fs\nfn a() {}\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert!(scan(Path::new("a.rs"), text, &WORDS).is_empty());
        assert_eq!(scan(Path::new("a.rs"), "fn a() {\n  std::fs::read(x)\n}", &WORDS), ["a.rs:2: std::fs"]);
    }

    #[test]
    fn the_pure_crates_are_pure() {
        check().unwrap();
    }
}
