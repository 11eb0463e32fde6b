//! The files that a build may see, as a tar archive that is made while it is sent.

use super::error::DockerError;
use super::ignore::Ignore;
use bytes::Bytes;
use mainstay_model::Build;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// What a Dockerfile is called in the archive when it is not in the context.
const BROUGHT_ALONG: &str = ".mainstay.dockerfile";

/// Bytes that are sent at a time, and how many such pieces may wait for the Engine to take them.
const PIECE: usize = 64 << 10;
const WAITING_PIECES: usize = 16;

/// A context that was looked at and can be sent.
pub(super) struct Context {
    root: PathBuf,
    ignore: Ignore,
    /// Name of the Dockerfile in the archive.
    pub(super) dockerfile: String,
    /// Its text.
    pub(super) text: String,
    /// It is not among the context's files and has to be added to them.
    brought_along: bool,
}

/// The archive, piece by piece.
pub(super) type Pieces = mpsc::Receiver<io::Result<Bytes>>;

/// What came of making the archive.
pub(super) type Packing = tokio::task::JoinHandle<Result<(), DockerError>>;

impl Context {
    /// Reads Dockerfile and `.dockerignore` of `build`. As with BuildKit, `<Dockerfile>.dockerignore` beside the
    /// Dockerfile goes before the context's `.dockerignore`.
    ///
    /// # Errors
    /// [`DockerError::Unreadable`] for either, or the context.
    pub(super) fn open(build: &Build) -> Result<Self, DockerError> {
        let root = build.context.clone();
        fs::read_dir(&root).map_err(|source| DockerError::Unreadable { path: root.clone(), source })?;
        let path = root.join(&build.dockerfile);
        let (text, inside) = match &build.dockerfile_inline {
            Some(text) => (text.clone(), None),
            None => (read(&path)?, name_in(&root, &path)),
        };
        let mut beside = path.into_os_string();
        beside.push(".dockerignore");
        let ignore = match read_if_there(Path::new(&beside))? {
            Some(text) => text,
            None => read_if_there(&root.join(".dockerignore"))?.unwrap_or_default(),
        };
        Ok(Self {
            root,
            ignore: Ignore::parse(&ignore),
            brought_along: inside.is_none(),
            dockerfile: inside.unwrap_or_else(|| BROUGHT_ALONG.to_owned()),
            text,
        })
    }

    /// Begins to make the archive. It is made no faster than it is taken.
    pub(super) fn pack(self) -> (Pieces, Packing) {
        let (sender, receiver) = mpsc::channel(WAITING_PIECES);
        let packing = tokio::task::spawn_blocking(move || {
            let mut archive = tar::Builder::new(Sender { sender, buffer: Vec::with_capacity(PIECE) });
            archive.mode(tar::HeaderMode::Complete);
            let packed = self.write(&mut archive);
            let sender = archive.into_inner();
            match (packed, sender) {
                (Ok(()), Ok(mut sender)) => sender.flush().or_else(hung_up),
                // Tells the Engine that this is no whole archive.
                (Err(failed), sender) => {
                    if let Ok(sender) = sender {
                        let _ =
                            sender.sender.blocking_send(Err(io::Error::other("the context cannot be read")));
                    }
                    if failed.source.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(failed) }
                }
                (Ok(()), Err(source)) => hung_up(source),
            }
            .map_err(|Unread { path, source }| DockerError::Unreadable { path, source })
        });
        (receiver, packing)
    }

    fn write(&self, archive: &mut tar::Builder<Sender>) -> Result<(), Unread> {
        if self.brought_along {
            let mut header = tar::Header::new_gnu();
            header.set_size(self.text.len() as u64);
            header.set_mode(0o644);
            let done = archive.append_data(&mut header, BROUGHT_ALONG, self.text.as_bytes());
            done.map_err(|source| Unread { path: BROUGHT_ALONG.into(), source })?;
        }
        self.add_directory(archive, "")
    }

    fn add_directory(&self, archive: &mut tar::Builder<Sender>, relative: &str) -> Result<(), Unread> {
        let directory = self.root.join(relative);
        let unread = |source| Unread { path: directory.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).map_err(unread)? {
            names.push(entry.map_err(unread)?.file_name());
        }
        // The same context makes the same archive.
        names.sort();
        for name in names {
            let path = directory.join(&name);
            let Some(name) = name.to_str() else {
                let source = io::Error::new(ErrorKind::InvalidData, "its name is not UTF-8");
                return Err(Unread { path, source });
            };
            let relative = if relative.is_empty() { name.to_owned() } else { format!("{relative}/{name}") };
            self.add(archive, &path, &relative)?;
        }
        Ok(())
    }

    fn add(&self, archive: &mut tar::Builder<Sender>, path: &Path, relative: &str) -> Result<(), Unread> {
        let unread = |source| Unread { path: path.to_owned(), source };
        let metadata = fs::symlink_metadata(path).map_err(unread)?;
        // The Dockerfile has to come along even where it is ignored: it is read from the archive.
        let left_out = self.ignore.leaves_out(relative) && relative != self.dockerfile;
        if metadata.is_dir() {
            let leads_to_dockerfile =
                self.dockerfile.strip_prefix(relative).is_some_and(|rest| rest.starts_with('/'));
            if left_out && !leads_to_dockerfile && !self.ignore.may_keep_under(relative) {
                return Ok(());
            }
            if !left_out {
                append(archive, &metadata, relative, tar::EntryType::Directory, io::empty())
                    .map_err(unread)?;
            }
            return self.add_directory(archive, relative);
        }
        if left_out {
            return Ok(());
        }
        if metadata.is_symlink() {
            let target = fs::read_link(path).map_err(unread)?;
            let mut header = header_of(&metadata, tar::EntryType::Symlink);
            header.set_size(0);
            return archive.append_link(&mut header, relative, target).map_err(unread);
        }
        if metadata.is_file() {
            let file = File::open(path).map_err(unread)?;
            return append(archive, &metadata, relative, tar::EntryType::Regular, file).map_err(unread);
        }
        // Sockets, pipes and devices have no place in an image.
        Ok(())
    }
}

/// A path that could not be put into the archive.
struct Unread {
    path: PathBuf,
    source: io::Error,
}

/// The Engine hung up because it had seen enough; what it says about that is the better error.
fn hung_up(source: io::Error) -> Result<(), Unread> {
    if source.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(Unread { path: PathBuf::new(), source }) }
}

fn header_of(metadata: &Metadata, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_metadata(metadata);
    header.set_entry_type(kind);
    // As the docker CLI does: who owns a file here means nothing in the image.
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn append(
    archive: &mut tar::Builder<Sender>,
    metadata: &Metadata,
    relative: &str,
    kind: tar::EntryType,
    content: impl Read,
) -> io::Result<()> {
    let mut header = header_of(metadata, kind);
    let size = if kind == tar::EntryType::Regular { metadata.len() } else { 0 };
    header.set_size(size);
    // A file that grows meanwhile is cut where it ended; one that shrinks is filled with zeros to keep the
    // archive readable.
    archive.append_data(&mut header, relative, content.chain(io::repeat(0)).take(size))
}

/// `path` relative to `root`, where it is inside.
fn name_in(root: &Path, path: &Path) -> Option<String> {
    let (root, path) =
        (fs::canonicalize(root).ok()?, fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?));
    path.strip_prefix(root).ok()?.to_str().map(str::to_owned)
}

fn read(path: &Path) -> Result<String, DockerError> {
    fs::read_to_string(path).map_err(|source| DockerError::Unreadable { path: path.to_owned(), source })
}

fn read_if_there(path: &Path) -> Result<Option<String>, DockerError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(DockerError::Unreadable { path: path.to_owned(), source }),
    }
}

/// Hands what is written on to the request.
struct Sender {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    async fn packed(build: &Build) -> Vec<String> {
        let (mut pieces, packing) = Context::open(build).unwrap().pack();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.recv().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        packing.await.unwrap().unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect()
    }

    fn build(root: &Path, dockerfile: &str) -> Build {
        let (context, dockerfile) = (root.to_owned(), dockerfile.into());
        Build {
            context,
            dockerfile,
            dockerfile_inline: None,
            args: BTreeMap::new(),
            target: None,
            more: Box::default(),
        }
    }

    #[tokio::test]
    async fn what_is_ignored_stays_at_home() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("context");
        for (path, text) in [
            (".dockerignore", "**\n!src/keep\n"),
            ("Dockerfile", "FROM scratch"),
            ("src/keep", "k"),
            ("src/drop", "d"),
            ("other/drop", "d"),
            ("deep/Other.Dockerfile", "FROM scratch"),
            ("../outside", "FROM scratch"),
        ] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        assert_eq!(packed(&build(&root, "Dockerfile")).await, ["Dockerfile", "src/keep"]);
        assert_eq!(
            packed(&build(&root, "deep/Other.Dockerfile")).await,
            ["deep/Other.Dockerfile", "src/keep"]
        );
        assert_eq!(packed(&build(&root, "../outside")).await, [BROUGHT_ALONG, "src/keep"]);
        fs::write(root.join("Dockerfile.dockerignore"), "src\nother\ndeep\n.dockerignore\n*ignore").unwrap();
        assert_eq!(packed(&build(&root, "Dockerfile")).await, ["Dockerfile"]);
    }

    #[test]
    fn a_missing_dockerfile_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = Context::open(&build(directory.path(), "Dockerfile")).err().unwrap();
        assert_eq!(
            error.to_string(),
            format!("cannot read {}", directory.path().join("Dockerfile").display())
        );
    }
}
