//! Files of `corpus/topics`: many small cases in one file.
//!
//! `=== name` begins a case, which may go on with ` | args: …` and ` | env: A=b …`. What follows is its `compose.yaml`; a
//! line `--- path` begins another file of it. Cases of `topics/valid` are valid files, those of `topics/refused` are not.

use super::{Case, corpus, environment};
use std::path::Path;

/// Writes the files of every case below `directory`.
pub fn unpack(directory: &Path) -> Vec<Case> {
    let mut cases = vec![];
    for (group, is_valid) in [("valid", true), ("refused", false)] {
        let files =
            std::fs::read_dir(corpus().join("topics").join(group)).expect("the corpus is in the repository");
        for file in files {
            let file = file.unwrap().path();
            let topic = file.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&file).unwrap();
            let sections = text.split("\n=== ").skip(1);
            cases.extend(
                sections.map(|section| case(section, &format!("{group}/{topic}"), is_valid, directory)),
            );
        }
    }
    cases
}

fn case(section: &str, topic: &str, is_valid: bool, directory: &Path) -> Case {
    let (heading, body) = section.split_once('\n').unwrap_or((section, ""));
    let mut parts = heading.split(" | ");
    let name = parts.next().unwrap();
    let directory = directory.join(topic).join(name);
    let mut case = Case {
        name: format!("topics/{topic}/{name}"),
        directory: directory.clone(),
        args: vec![],
        env: environment(),
        is_valid,
    };
    for part in parts {
        match part.split_once(": ") {
            Some(("args", args)) => case.args = args.split(' ').map(str::to_owned).collect(),
            Some(("env", variables)) => {
                let pairs = variables.split(' ').filter_map(|pair| pair.split_once('='));
                case.env.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
            }
            _ => panic!("{}: what is `{part}`?", case.name),
        }
    }
    let mut files = format!("--- compose.yaml\n{body}\n");
    files.insert(0, '\n');
    for file in files.split("\n--- ").skip(1) {
        let (path, text) = file.split_once('\n').unwrap_or((file, ""));
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{}\n", text.trim_end_matches('\n'))).unwrap();
    }
    case
}
