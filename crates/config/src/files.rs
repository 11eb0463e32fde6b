//! Which files make up a stack, in which directory it lives, and what it is called (Compose Specification,
//! "Compose file" and "Version and name"; Docker's "Pre-defined environment variables").

use crate::diagnostic::{Code, Diagnostic, Sink, Texts};
use crate::environment::Environment;
use crate::paths;
use crate::request::Request;
use std::path::{Path, PathBuf};

/// Names of stack files, best first.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Names of the files merged over them, best first.
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// The files and the directory of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Stack files, absolute, in the order of merging.
    pub files: Vec<PathBuf>,
    /// The project directory, absolute.
    pub directory: PathBuf,
}

/// Finds the files, and reads `.env` on the way: it may name them.
pub fn locate(
    request: &Request,
    env: &mut Environment<'_>,
    texts: &mut Texts,
    sink: &mut Sink,
) -> Option<Place> {
    let seen_from = |path: &Path| {
        if path == Path::new("-") { path.to_path_buf() } else { paths::tidy(&request.working_dir.join(path)) }
    };
    let given: Vec<PathBuf> = request.files.iter().map(|f| seen_from(f)).collect();
    let project_directory = request.project_directory.as_deref().map(seen_from);
    let first = project_directory
        .clone()
        .or_else(|| directory_of(&given))
        .unwrap_or_else(|| request.working_dir.clone());
    read_dotenv(request, &first, env, texts, sink);

    let mut files = given;
    if files.is_empty()
        && let Some(list) = env.get("COMPOSE_FILE").filter(|list| !list.is_empty())
    {
        let separator = env.get("COMPOSE_PATH_SEPARATOR").filter(|s| !s.is_empty());
        let separator = separator.as_deref().unwrap_or(":");
        files = list.split(separator).map(|f| seen_from(Path::new(f))).collect();
    }
    if files.is_empty() {
        files = search(&first, env, sink);
    }
    if files.is_empty() {
        let message = format!("there is no stack file in {} nor above it", first.display());
        let help = format!("name one with -f, or create {}", NAMES[0]);
        sink.push(Diagnostic::error(Code::NoFile, message).help(help));
        return None;
    }
    let directory =
        project_directory.or_else(|| directory_of(&files)).unwrap_or_else(|| request.working_dir.clone());
    if directory != first {
        read_dotenv(request, &directory, env, texts, sink);
    }
    Some(Place { files, directory })
}

/// The directory of the first file that is one.
fn directory_of(files: &[PathBuf]) -> Option<PathBuf> {
    let file = files.iter().find(|f| f.as_path() != Path::new("-"))?;
    file.parent().map(Path::to_path_buf)
}

fn read_dotenv(
    request: &Request,
    directory: &Path,
    env: &mut Environment<'_>,
    texts: &mut Texts,
    sink: &mut Sink,
) {
    let mut files: Vec<PathBuf> = request.env_files.clone();
    if files.is_empty()
        && let Some(list) = env.source().variable("COMPOSE_ENV_FILES").filter(|l| !l.is_empty())
    {
        files = list.split(',').map(PathBuf::from).collect();
    }
    if files.is_empty() {
        let disabled = env.source().variable("COMPOSE_DISABLE_ENV_FILE");
        let is_disabled =
            disabled.is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "t" | "true"));
        let default = directory.join(".env");
        if !is_disabled && env.source().is_file(&default) {
            files.push(default);
        }
    }
    let files: Vec<PathBuf> = files.iter().map(|f| paths::tidy(&request.working_dir.join(f))).collect();
    env.add_files(&files, texts, sink);
}

/// Looks for files of default names in a directory and those above it.
fn search(from: &Path, env: &Environment<'_>, sink: &mut Sink) -> Vec<PathBuf> {
    for directory in from.ancestors() {
        let Some(main) = choose(directory, &NAMES, "stack", env, sink) else { continue };
        let mut files = vec![main];
        files.extend(choose(directory, &OVERRIDES, "override", env, sink));
        return files;
    }
    vec![]
}

fn choose(
    directory: &Path,
    names: &[&str],
    what: &str,
    env: &Environment<'_>,
    sink: &mut Sink,
) -> Option<PathBuf> {
    let found: Vec<&str> =
        names.iter().copied().filter(|name| env.source().is_file(&directory.join(name))).collect();
    let chosen = found.first()?;
    if found.len() > 1 {
        let message =
            format!("several {what} files lie side by side: {}; {chosen} is used", found.join(", "));
        sink.push(
            Diagnostic::warning(Code::SeveralFiles, message).help("remove the others, or name files with -f"),
        );
    }
    Some(directory.join(chosen))
}

/// A name by Compose's rule: lower case, without characters that names do not have.
pub fn normalised(name: &str) -> String {
    let kept: String = name
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        .collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}

/// The name of the stack: `-p`, `COMPOSE_PROJECT_NAME`, `name:`, the directory.
pub fn stack_name(
    request: &Request,
    env: &Environment<'_>,
    in_file: Option<String>,
    directory: &Path,
    sink: &mut Sink,
) -> String {
    let given = request.project_name.clone().filter(|n| !n.is_empty());
    let imposed = given.or_else(|| env.get("COMPOSE_PROJECT_NAME").filter(|n| !n.is_empty()));
    if let Some(name) = imposed {
        if normalised(&name) != name {
            let message = format!(
                "the stack name `{name}` must consist only of lower-case letters, digits, `-` and `_`, and begin with a letter or digit"
            );
            sink.push(
                Diagnostic::error(Code::StackName, message).help(format!("try `{}`", normalised(&name))),
            );
        }
        return name;
    }
    let as_written = request.skip.normalization;
    let from_file = in_file.map(|n| if as_written { n } else { normalised(&n) }).filter(|n| !n.is_empty());
    let base = || directory.file_name().map(|n| normalised(&n.to_string_lossy())).unwrap_or_default();
    let name = from_file.unwrap_or_else(base);
    if name.is_empty() {
        let message = "the stack has no name: the directory has none that could be used";
        sink.push(
            Diagnostic::error(Code::StackName, message).help("give one with -p, or `name:` in the file"),
        );
    }
    name
}
