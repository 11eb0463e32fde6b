//! The corpus as a list of cases, and the real file system as a source.
//!
//! A case is a file of `corpus/valid` or `corpus/invalid`, or a directory of `corpus/several` or
//! `corpus/several_invalid`, or a section of a file of `corpus/topics` (see `topics`). A directory may hold `args`
//! (arguments, one a line) and `env` (variables).

#![allow(dead_code)]

pub mod oracle;
mod topics;

use mainstay_config::{Loaded, ReadError, Request, Source, load};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files of the disk; variables of a list.
pub struct Disk(pub BTreeMap<String, String>);

impl Source for Disk {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        std::fs::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ReadError::NotFound,
            std::io::ErrorKind::IsADirectory => ReadError::IsDirectory,
            _ => ReadError::Other(error.to_string()),
        })
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    fn variables(&self) -> BTreeMap<String, String> {
        self.0.clone()
    }
}

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// `valid/ports`.
    pub name: String,
    /// Where the user is.
    pub directory: PathBuf,
    /// Arguments, as for Compose.
    pub args: Vec<String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Whether it is a valid stack file.
    pub is_valid: bool,
}

impl Case {
    /// Loads it.
    pub fn load(&self) -> Loaded {
        load(&self.request(), &Disk(self.env.clone()))
    }

    /// Its arguments as a request.
    pub fn request(&self) -> Request {
        let mut request = Request { working_dir: self.directory.clone(), ..Request::default() };
        for pair in self.args.chunks(2) {
            let [flag, value] = pair else { panic!("{}: flag without value", self.name) };
            match flag.as_str() {
                "-f" => request.files.push(value.into()),
                "-p" => request.project_name = Some(value.clone()),
                "--env-file" => request.env_files.push(value.into()),
                "--profile" => request.profiles.push(value.clone()),
                "--project-directory" => request.project_directory = Some(value.into()),
                other => panic!("{}: unknown flag {other}", self.name),
            }
        }
        request
    }
}

/// The directory of the corpus.
pub fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// Every case, with the directory that those of topics are unpacked in.
pub struct Corpus {
    /// The cases, sorted by name.
    pub cases: Vec<Case>,
    directory: tempfile::TempDir,
}

impl Corpus {
    /// Reads the whole corpus.
    pub fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut cases = topics::unpack(&directory.path().canonicalize().unwrap());
        for (group, is_valid) in [
            ("valid", true),
            ("invalid", false),
            ("several", true),
            ("several_invalid", false),
            ("ours", false),
        ] {
            for entry in
                std::fs::read_dir(corpus().join(group)).expect("the corpus is part of the repository")
            {
                cases.push(case(group, &entry.unwrap().path(), is_valid));
            }
        }
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        Self { cases, directory }
    }

    /// Text without the directories of this run.
    pub fn without_directories(&self, text: &str) -> String {
        let unpacked = self.directory.path().canonicalize().unwrap();
        text.replace(&corpus().display().to_string(), "[corpus]")
            .replace(&unpacked.display().to_string(), "[corpus]")
    }
}

/// Variables that every case has.
fn environment() -> BTreeMap<String, String> {
    BTreeMap::from([("HOME".to_owned(), "/home/user".to_owned()), ("EMPTY".to_owned(), String::new())])
}

fn case(group: &str, path: &Path, is_valid: bool) -> Case {
    let name = format!("{group}/{}", path.file_stem().unwrap().to_string_lossy());
    let mut env = environment();
    if path.is_file() {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let directory = path.parent().unwrap().to_path_buf();
        return Case { name, directory, args: vec!["-f".to_owned(), file], env, is_valid };
    }
    let lines = |file: &str| -> Vec<String> {
        let text = std::fs::read_to_string(path.join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    env.extend(
        lines("env").iter().filter_map(|l| l.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())),
    );
    Case { name, directory: path.to_path_buf(), args: lines("args"), env, is_valid }
}

/// Cases in which we differ on purpose, with the reason.
pub fn differences() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(corpus().join("../../../../docs/compose-differences.md")).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("- `")?.split_once("`: "))
        .map(|(name, reason)| (name.to_owned(), reason.to_owned()))
        .collect()
}
