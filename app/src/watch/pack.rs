//! Changed files as one archive that is unpacked at the root of a container.

use crate::archive::Sink;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Packs `copies`: paths of this host, and where they go. One that has gone meanwhile is left out: a change of its own
/// tells of that.
///
/// # Errors
/// A file cannot be read, or nobody takes the archive.
pub fn pack(copies: &BTreeMap<PathBuf, String>, to: Sink) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    archive.follow_symlinks(false);
    for (path, inside) in copies {
        match append(&mut archive, path, inside.trim_start_matches('/')) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            packed => packed?,
        }
    }
    archive.finish()
}

fn append(archive: &mut tar::Builder<Sink>, path: &Path, name: &str) -> io::Result<()> {
    let about = path.symlink_metadata()?;
    if about.is_dir() {
        return archive.append_dir(name, path);
    }
    if about.is_symlink() {
        return archive.append_path_with_name(path, name);
    }
    if !about.is_file() {
        // Sockets and pipes are no sources.
        return Ok(());
    }
    let mut file = std::fs::File::open(path)?;
    archive.append_file(name, &mut file)
}
