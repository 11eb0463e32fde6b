//! Paths as text: no file is touched.

use std::path::{Component, Path, PathBuf};

/// `path` seen from `base`: absolute, with `~` as the home directory where that is known. An absolute path stays
/// as it is written.
pub fn absolute(base: &Path, path: &str, home: Option<&str>) -> PathBuf {
    if let (Some(rest), Some(home)) = (path.strip_prefix('~'), home) {
        return tidy(Path::new(&format!("{home}/{rest}")));
    }
    // A path of Windows is absolute too: the file may have been written there.
    let is_windows =
        matches!(path.as_bytes(), [drive, b':', b'/' | b'\\', ..] if drive.is_ascii_alphabetic());
    if path.starts_with('/') || is_windows { PathBuf::from(path) } else { tidy(&base.join(path)) }
}

/// The shortest path with the same meaning, where no part is a symbolic link.
pub fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !out.pop() {
                    out.push("..");
                }
            }
            part => out.push(part),
        }
    }
    out
}

/// `to` as seen from the directory `from`; both absolute. `.` is the directory itself.
pub fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let mut out: PathBuf = from.components().skip(shared).map(|_| "..").collect();
    out.extend(to.components().skip(shared));
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

/// Whether a build context lies elsewhere: a Git repository, an archive at a URL, another service or image.
pub fn is_remote(context: &str) -> bool {
    context.contains("://")
        || ["github.com/", "git@", "service:"].iter().any(|prefix| context.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seen_from_a_directory() {
        let from = |path| absolute(Path::new("/p/q"), path, Some("/home/u")).display().to_string();
        assert_eq!(from("./a/../b"), "/p/q/b");
        assert_eq!(from("../x"), "/p/x");
        assert_eq!(from("/a/b/"), "/a/b/");
        assert_eq!(from("~/d"), "/home/u/d");
        assert_eq!(from("."), "/p/q");
        assert_eq!(from("../../../.."), "/");
        let seen = |to| relative(Path::new("/p/q"), Path::new(to)).display().to_string();
        assert_eq!(
            (seen("/p/q/r").as_str(), seen("/p/s").as_str(), seen("/p/q").as_str()),
            ("r", "../s", ".")
        );
    }
}
