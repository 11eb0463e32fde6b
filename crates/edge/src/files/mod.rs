//! Serving files: a built site without a container.
//!
//! Only what lies beneath the root is ever opened, which the kernel sees to (`openat2`), and nothing whose name begins with
//! a dot but `.well-known`. Reading is done where the request is answered: what is served often is in the page cache, as
//! nginx counts on too. Knows nothing about connections.

mod answer;
mod condition;
mod entry;
mod kind;

pub(crate) use answer::{Asked, Content};
pub(crate) use condition::Conditions;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The page that is served for a directory.
const INDEX: &str = "index.html";

/// The files of a route.
#[derive(Debug)]
pub(crate) struct Files {
    root: Root,
    /// Where the copies of other releases are.
    others: Option<Box<Path>>,
    spa: bool,
    env: BTreeMap<String, String>,
}

/// A directory that files are served from.
#[derive(Debug)]
struct Root {
    path: Box<Path>,
    /// It, opened once: a release's copy stays as it is. A directory that builds go to is opened anew each time, as a build
    /// may replace it.
    opened: Option<OnceLock<OwnedFd>>,
}

impl Root {
    fn copy(path: &Path) -> Self {
        Self { path: path.into(), opened: Some(OnceLock::new()) }
    }

    fn live(path: &Path) -> Self {
        Self { path: path.into(), opened: None }
    }

    fn directory(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(&*self.path, flags, Mode::empty())?)
    }

    /// What lies at a path beneath it.
    fn open(&self, path: &str) -> io::Result<Found> {
        let Some(once) = &self.opened else { return open(&self.directory()?, path) };
        match once.get() {
            Some(directory) => open(directory, path),
            None => {
                let directory = self.directory()?;
                open(once.get_or_init(|| directory), path)
            }
        }
    }
}

/// Something at a path.
enum Found {
    File(File, Metadata),
    Directory,
}

impl Files {
    pub(crate) fn new(settings: &mainstay_model::Files) -> Self {
        let mainstay_model::Files { root, snapshot, spa, env, service: _, keep: _ } = settings;
        let others = snapshot.as_deref().and_then(Path::parent).map(Into::into);
        let root = snapshot.as_deref().map_or_else(|| Root::live(root), Root::copy);
        Self { root, others, spa: *spa, env: env.clone() }
    }

    /// The file at a path that is named by a hash of what is in it, from a release that has it.
    fn of_other_releases(&self, path: &str) -> Option<(Root, File, Metadata)> {
        let others = self.others.as_deref().filter(|_| kind::is_hashed(path))?;
        let roots = std::fs::read_dir(others).ok()?.flatten().map(|entry| entry.path());
        // What begins with a dot is still being copied.
        let is_whole =
            |root: &PathBuf| root.file_name().is_none_or(|name| name.as_encoded_bytes()[0] != b'.');
        roots.filter(is_whole).map(|root| Root::live(&root)).find_map(|root| match root.open(path) {
            Ok(Found::File(file, facts)) => Some((root, file, facts)),
            _ => None,
        })
    }
}

fn open(root: &OwnedFd, path: &str) -> io::Result<Found> {
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    // Not blocking: what is no regular file, a pipe say, must not be waited for.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let path = if path.is_empty() { "." } else { path };
    let file = File::from(rustix::fs::openat2(root, path, flags, Mode::empty(), within)?);
    let facts = file.metadata()?;
    match facts.file_type() {
        kind if kind.is_file() => Ok(Found::File(file, facts)),
        kind if kind.is_dir() => Ok(Found::Directory),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// A request's path as one beneath the root, without its first slash. None for what must not be looked for.
fn relative(path: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.strip_prefix(b"/")?;
    while let Some((byte, after)) = rest.split_first() {
        match (byte, after) {
            (b'%', [high, low, more @ ..]) => {
                let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
                let byte = digit(*high)? * 16 + digit(*low)?;
                // A slash that was written as an escape is part of a name, and no name has one.
                if matches!(byte, b'/' | 0) {
                    return None;
                }
                decoded.push(byte);
                rest = more;
            }
            _ => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    let text = String::from_utf8(decoded).ok()?;
    let is_hidden = |segment: &str| segment.starts_with('.') && segment != ".well-known";
    let is_odd = |segment: &str| segment.contains(['\\', '\0']) || is_hidden(segment);
    let empty_inside = text.split('/').rev().skip(1).any(str::is_empty);
    (!text.split('/').any(is_odd) && !empty_inside).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_looked_for() {
        let path = |text: &str| relative(text.as_bytes());
        assert_eq!(path("/a/b%20c.js").as_deref(), Some("a/b c.js"));
        assert_eq!(path("/").as_deref(), Some(""));
        assert_eq!(path("/a/").as_deref(), Some("a/"));
        assert_eq!(path("/.well-known/x").as_deref(), Some(".well-known/x"));
        for bad in [
            "/.env",
            "/a/.git/config",
            "/..",
            "/%2e%2e/x",
            "/a%2fb",
            "/a%00",
            "//a",
            "/a//b",
            "/%ff",
            "/a%5c..%5cb",
            "x",
        ] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }

    #[test]
    fn nothing_outside_the_root_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        std::fs::write(root.join("a"), "a").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("abs")).unwrap();
        std::os::unix::fs::symlink("a", root.join("in")).unwrap();
        for root in [Root::live(&root), Root::copy(&root)] {
            let open = |path: &str| root.open(path);
            assert!(matches!(open("a"), Ok(Found::File(..))) && matches!(open("in"), Ok(Found::File(..))));
            assert!(matches!(open(""), Ok(Found::Directory)));
            for outside in ["out", "abs", "../secret", "x"] {
                assert!(open(outside).is_err(), "{outside}");
            }
        }
    }
}
