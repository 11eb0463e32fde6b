//! `mainstay cp`: files in and out of a container, by the rules of `docker cp`.
//!
//! What is copied goes as one tar archive whose entries begin with the name that the copy shall have.

use crate::archive::{AHEAD, Pieces, Sink, escape, pump};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use clap::Args;
use mainstay_api::{Client, PathView};
use mainstay_model::ServiceName;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Copy files between a container and this host
///
/// One side is `SERVICE:PATH`, the other a path here, or `-` for a tar archive on standard input or output. Into a
/// directory that exists the copy goes under its own name; `SOURCE/.` copies what is in a directory.
#[derive(Debug, Args)]
pub struct CpArgs {
    /// From where
    #[arg(value_name = "[SERVICE:]SOURCE")]
    source: String,
    /// To where
    #[arg(value_name = "[SERVICE:]DESTINATION")]
    destination: String,
    /// Keep owners and groups
    #[arg(short, long)]
    archive: bool,
    /// Copy what a symbolic link means, not the link
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Accepted: one-off copies are reached by `docker cp`
    #[arg(long)]
    all: bool,
    /// Which of the service's instances, counted from 1; without, files go into all of them, and come from the first
    #[arg(long, value_name = "N")]
    index: Option<u32>,
}

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Side {
    Here(String),
    Inside(String, String),
}

impl Side {
    /// A colon before any slash separates service and path, as with `docker cp`; so `./a:b` is a file here.
    fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((service, path)) if !service.is_empty() && !service.contains(['/', '.']) => {
                Self::Inside(service.to_owned(), path.to_owned())
            }
            _ => Self::Here(text.to_owned()),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: CpArgs, context: &Context) -> Result<Exit, Error> {
    let CpArgs { source, destination, archive, follow_link, all: _, index } = args;
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let copy = |service: String, path: String| {
        let service = ServiceName::new(service)?;
        let index = index.map(|n| format!("&index={n}")).unwrap_or_default();
        let query = format!("{service}?archive={archive}&follow_link={follow_link}{index}");
        Ok::<_, Error>(Remote { client: &client, base: format!("/v1/stacks/{stack}"), query, path })
    };
    match (Side::parse(&source), Side::parse(&destination)) {
        (Side::Inside(service, path), Side::Here(to)) => copy(service, path)?.fetch(&to, archive).await,
        (Side::Here(from), Side::Inside(service, path)) => {
            copy(service, path)?.send(&from, follow_link).await
        }
        _ => Err(Error::Argument {
            value: source,
            expected: "of another kind than the destination: one is SERVICE:PATH",
        }),
    }
}

/// The side inside a container.
struct Remote<'c> {
    client: &'c Client,
    base: String,
    query: String,
    path: String,
}

impl Remote<'_> {
    fn url(&self, verb: &str, path: &str) -> String {
        format!("{}/{verb}/{}&path={}", self.base, self.query, escape(path))
    }

    async fn stat(&self, path: &str) -> Result<Option<PathView>, Error> {
        Ok(self.client.get(&self.url("stat", path)).await?)
    }

    async fn fetch(&self, to: &str, keep_owners: bool) -> Result<Exit, Error> {
        let mut pieces = self.client.get_bytes(&self.url("files", &self.path)).await?;
        if to == "-" {
            let mut out = io::stdout().lock();
            while let Some(piece) = pieces.next().await? {
                out.write_all(&piece).map_err(Error::Output)?;
            }
            return Ok(Exit::Done);
        }
        let target = Target::here(Path::new(to), &self.path)?;
        let (sender, receiver) = mpsc::channel(AHEAD);
        let unpacked = tokio::task::spawn_blocking(move || target.unpack(Pieces::new(receiver), keep_owners));
        while let Some(piece) = pieces.next().await? {
            if sender.send(piece).await.is_err() {
                break;
            }
        }
        drop(sender);
        let done = unpacked.await.unwrap_or_else(|_| Err(io::Error::other("the copy was interrupted")));
        done.map_err(Error::file("write", to))?;
        Ok(Exit::Done)
    }

    async fn send(&self, from: &str, follow_link: bool) -> Result<Exit, Error> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        if from == "-" {
            let reading = move || pump(io::stdin().lock(), &sender);
            tokio::task::spawn_blocking(reading);
            let _: bool = self.client.put_bytes(&self.url("files", &self.path), receiver).await?;
            return Ok(Exit::Done);
        }
        let source = PathBuf::from(from);
        fs::symlink_metadata(&source).map_err(Error::file("read", &source))?;
        let (directory, name) = self.place(&source).await?;
        let packing = move || {
            let mut archive = tar::Builder::new(Sink::new(sender.clone()));
            archive.follow_symlinks(follow_link);
            if let Err(error) = pack(&mut archive, &source, &name).and_then(|()| archive.finish()) {
                // Told in place of the rest; the other side then refuses the whole.
                let _ = sender.blocking_send(Err(error));
            }
        };
        let packed = tokio::task::spawn_blocking(packing);
        let _: bool = self.client.put_bytes(&self.url("files", &directory), receiver).await?;
        packed.await.map_err(|e| Error::file("read", from)(io::Error::other(e)))?;
        Ok(Exit::Done)
    }

    /// Directory inside to unpack in, and the name that the copy gets there.
    async fn place(&self, source: &Path) -> Result<(String, PathBuf), Error> {
        let own = source.canonicalize().ok().and_then(|p| p.file_name().map(PathBuf::from));
        let contents = source.to_string_lossy().ends_with("/.");
        match self.stat(&self.path).await? {
            Some(there) if there.is_directory && contents => Ok((self.path.clone(), PathBuf::from("."))),
            Some(there) if there.is_directory => Ok((self.path.clone(), own.unwrap_or_default())),
            _ if self.path.ends_with('/') => Err(Error::Argument {
                value: self.path.clone(),
                expected: "a directory that exists inside the container",
            }),
            _ => {
                let (parent, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
                let parent = if parent.is_empty() { "/" } else { parent };
                Ok((parent.to_owned(), PathBuf::from(name)))
            }
        }
    }
}

/// Where a copy goes on this host: the directory, and the name in place of the archive's first part. No name: what is in
/// the copied directory goes straight in.
struct Target {
    directory: PathBuf,
    name: Option<PathBuf>,
}

impl Target {
    fn here(to: &Path, source: &str) -> Result<Self, Error> {
        let contents = source.ends_with("/.");
        if to.is_dir() {
            let own = Path::new(source).file_name().map(PathBuf::from);
            return Ok(Self { directory: to.to_owned(), name: own.filter(|_| !contents) });
        }
        if contents {
            fs::create_dir_all(to).map_err(Error::file("make", to))?;
            return Ok(Self { directory: to.to_owned(), name: None });
        }
        let parent = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if to.to_string_lossy().ends_with('/') || !parent.is_dir() {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            return Err(Error::file("write to", to)(missing));
        }
        Ok(Self { directory: parent.to_owned(), name: to.file_name().map(PathBuf::from) })
    }

    fn unpack(&self, archive: Pieces, keep_owners: bool) -> io::Result<()> {
        let mut archive = tar::Archive::new(archive);
        archive.set_preserve_permissions(true);
        archive.set_preserve_mtime(true);
        archive.set_preserve_ownerships(keep_owners);
        let root = self.directory.canonicalize()?;
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let below: PathBuf = path.components().skip(1).collect();
            let relative = match &self.name {
                // A file's own name has nothing below it; joining with nothing would add a slash.
                Some(name) if below.as_os_str().is_empty() => name.clone(),
                Some(name) => name.join(below),
                None if below.as_os_str().is_empty() => continue,
                None => below,
            };
            let stays = relative.components().all(|part| matches!(part, std::path::Component::Normal(_)));
            if !stays {
                return Err(io::Error::other(format!("{} leads out of the archive", path.display())));
            }
            let target = self.directory.join(relative);
            // Nor through a link that the archive has put there itself.
            let parent = target.parent().unwrap_or(&root).canonicalize()?;
            if !parent.starts_with(&root) {
                return Err(io::Error::other(format!("{} leads through a link", path.display())));
            }
            entry.unpack(target)?;
        }
        Ok(())
    }
}

fn pack(archive: &mut tar::Builder<Sink>, source: &Path, name: &Path) -> io::Result<()> {
    if fs::metadata(source).is_ok_and(|m| m.is_dir()) && !source.is_symlink() {
        archive.append_dir_all(name, source)
    } else {
        archive.append_path_with_name(source, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_colon_after_a_slash_belongs_to_a_file_of_this_host() {
        assert_eq!(Side::parse("web:/etc/hosts"), Side::Inside("web".into(), "/etc/hosts".into()));
        assert_eq!(Side::parse("./a:b"), Side::Here("./a:b".into()));
        assert_eq!(Side::parse("-"), Side::Here("-".into()));
    }

    #[test]
    fn an_archive_that_writes_through_its_own_link_is_refused() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        archive.append_data(&mut header.clone(), "a", &b""[..]).unwrap();
        header.set_entry_type(tar::EntryType::Symlink);
        archive.append_link(&mut header, "a/door", outside.path()).unwrap();
        let mut file = tar::Header::new_gnu();
        file.set_size(1);
        archive.append_data(&mut file, "a/door/x", &b"x"[..]).unwrap();
        let (sender, receiver) = mpsc::channel(1);
        sender.try_send(Bytes::from(archive.into_inner().unwrap())).unwrap();
        drop(sender);
        let target = Target { directory: dir.path().to_owned(), name: Some("copy".into()) };
        assert!(target.unpack(Pieces::new(receiver), false).is_err());
        assert!(!outside.path().join("x").exists());
    }

    #[test]
    fn an_archive_that_leads_out_of_the_target_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.as_gnu_mut().unwrap().name[..14].copy_from_slice(b"a/../../../out");
        header.set_cksum();
        archive.append(&header, &b"x"[..]).unwrap();
        let (sender, receiver) = mpsc::channel(1);
        sender.try_send(Bytes::from(archive.into_inner().unwrap())).unwrap();
        drop(sender);
        let target = Target { directory: dir.path().join("in"), name: Some("copy".into()) };
        assert!(target.unpack(Pieces::new(receiver), false).is_err());
        assert!(!dir.path().join("out").exists());
    }
}
