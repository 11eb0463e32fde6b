//! The flags of `docker compose config`, on part of the corpus, through the real Compose and through us.

#![allow(clippy::unwrap_used)] // Tests.

mod support;

use mainstay_config::{Project, Request, Skip, load, raw};
use serde_json::{Value, json};
use support::oracle::{differing, in_parallel, run};
use support::{Case, Corpus, Disk, differences};

/// Cases that say something about stages: several files, paths, variables, names.
fn cases(corpus: &Corpus, every: usize) -> Vec<Case> {
    let topics = ["merging", "top_keys", "interpolation", "build_keys", "syntax", "service_keys"];
    let is_in = |case: &&Case| topics.iter().any(|t| case.name.starts_with(&format!("topics/valid/{t}/")));
    corpus.cases.iter().filter(is_in).step_by(every).cloned().collect()
}

/// Asks both about every case and fails with what they disagree about. Those on the list of differences for `flag` must
/// differ.
fn compare(flag: &str, every: usize, ask: impl Fn(&Case) -> Option<String> + Sync) {
    let corpus = Corpus::open();
    let listed = differences();
    let cases = cases(&corpus, every);
    assert!(cases.len() >= 40, "the corpus has shrunk");
    let mut complaints = in_parallel(&cases, |case| {
        let name = format!("{flag} {}", case.name);
        match (ask(case), listed.contains_key(&name) || listed.contains_key(&case.name)) {
            (None, false) | (Some(_), true) => None,
            (None, true) if listed.contains_key(&name) => {
                Some(format!("{name}: listed as a difference and the same"))
            }
            (None, true) => None,
            (Some(found), false) => Some(format!("{name}:\n    {found}")),
        }
    });
    complaints.sort();
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), cases.len(), complaints.join("\n"));
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

fn different(theirs: &Result<String, String>, ours: &Option<String>) -> Option<String> {
    match (theirs, ours) {
        (Ok(theirs), Some(ours)) => {
            let mut found = vec![];
            differing("", &json(theirs), &json(ours), &mut found);
            if found.is_empty() { None } else { Some(found.join("\n    ")) }
        }
        (Err(_), None) => None,
        (Err(theirs), Some(_)) => Some(format!("only Compose refuses it: {theirs}")),
        (Ok(_), None) => Some("only we refuse it".to_owned()),
    }
}

fn project(case: &Case, skip: Skip) -> Option<Project> {
    let request = Request { skip, ..case.request() };
    load(&request, &Disk(case.env.clone())).project
}

fn skipping(flag: &str, skip: Skip) {
    compare(flag, 3, |case| {
        let theirs = run(case, &["config", "--format", "json", flag]);
        different(&theirs, &project(case, skip).map(|project| project.to_compose_text()))
    });
}

#[test]
fn without_normalization() {
    skipping("--no-normalize", Skip { normalization: true, ..Skip::default() });
}

#[test]
fn without_path_resolution() {
    skipping("--no-path-resolution", Skip { paths: true, ..Skip::default() });
}

#[test]
fn without_environment_files() {
    skipping("--no-env-resolution", Skip { env_files: true, ..Skip::default() });
}

#[test]
fn without_consistency() {
    let corpus = Corpus::open();
    let skip = Skip { consistency: true, ..Skip::default() };
    let refused: Vec<Case> =
        corpus.cases.iter().filter(|c| c.name.starts_with("topics/refused/structure/")).cloned().collect();
    let complaints = in_parallel(&refused, |case| {
        let theirs = run(case, &["config", "--format", "json", "--no-consistency"]);
        let ours = project(case, skip).map(|project| project.to_compose_text());
        different(&theirs, &ours).map(|found| format!("{}: {found}", case.name))
    });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn without_interpolation() {
    compare("--no-interpolate", 3, |case| {
        let theirs = run(case, &["config", "--format", "json", "--no-interpolate"]);
        different(&theirs, &raw(&case.request(), &Disk(case.env.clone())).to_text())
    });
}

#[test]
fn as_yaml() {
    compare("yaml", 3, |case| {
        let theirs = run(case, &["config"]).ok()?;
        let ours = project(case, Skip::default())?.to_compose_yaml();
        let (theirs, ours) = (theirs.trim_end(), ours.trim_end());
        let first = theirs.lines().zip(ours.lines()).find(|(a, b)| a != b);
        if theirs == ours { None } else { Some(format!("first different lines: {first:?}")) }
    });
}

#[test]
fn lists_of_names() {
    compare("lists", 6, |case| {
        let project = project(case, Skip::default())?;
        let lists = [
            ("--services", project.names("services")),
            ("--networks", project.names("networks")),
            ("--volumes", project.names("volumes")),
            ("--images", project.images()),
            ("--profiles", project.profiles.clone()),
            ("--models", project.models()),
        ];
        lists.into_iter().find_map(|(flag, mut ours)| {
            let mut theirs: Vec<String> =
                run(case, &["config", flag]).ok()?.lines().map(str::to_owned).collect();
            theirs.sort();
            ours.sort();
            (theirs != ours).then(|| format!("{flag}: Compose {theirs:?}, we {ours:?}"))
        })
    });
}

#[test]
fn variables_and_environment() {
    compare("--variables", 5, |case| {
        let theirs = json(&run(case, &["config", "--variables", "--format", "json"]).ok()?);
        let found = raw(&case.request(), &Disk(case.env.clone())).variables();
        let ours = found.into_iter().map(|(name, v)| {
            let fields = json!({
                "Name": name, "DefaultValue": v.default, "PresenceValue": v.alternate, "Required": v.required,
            });
            (name, fields)
        });
        let ours = Value::Object(ours.collect());
        let mut different = vec![];
        differing("", &theirs, &ours, &mut different);
        let environment = run(case, &["config", "--environment"]).ok()?;
        let ours = project(case, Skip::default())?.environment;
        // The oracle is started with a PATH and finds its PWD.
        let is_own = |line: &&str| !line.starts_with("PATH=") && !line.starts_with("PWD=");
        let theirs: Vec<&str> = environment.lines().filter(is_own).collect();
        let ours: Vec<String> =
            ours.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect();
        if theirs.join("\n") != ours.join("\n") {
            different.push(format!("--environment: Compose {theirs:?}, we {ours:?}"));
        }
        if different.is_empty() { None } else { Some(different.join("\n    ")) }
    });
}

#[test]
fn only_some_services() {
    compare("SERVICE", 5, |case| {
        let mut ours = project(case, Skip::default())?;
        let first = ours.names("services").into_iter().next()?;
        let theirs = run(case, &["config", "--format", "json", &first]);
        ours.select(&[first]);
        different(&theirs, &Some(ours.to_compose_text()))
    });
}
