//! Copies of directories of files, one for each build of a site, named by a hash of what is in them.
//!
//! A copy is made beside the others and put in its place whole, and never changes after. What lies outside the directory is
//! never read, whatever links say, and what nobody would be served is left out. Knows nothing about releases and requests.

mod walk;

use mainstay_model::{ServiceName, StackName};
use rustix::fs::{Mode, OFlags};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use walk::{Sum, Walk};

/// Largest directory that is copied: twenty times a large build of a site. Above it stand collections of media, which no
/// deploy should copy.
pub const MOST_BYTES: u64 = 1 << 30;
/// Most files of one.
pub const MOST_FILES: usize = 100_000;
/// Bytes that the earlier copies of a site may take together.
const EARLIER_BYTES: u64 = 2 << 30;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// There is no such directory.
    #[error("there is no directory {}", .0.display())]
    Missing(PathBuf),
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is larger than what is copied.
    #[error("{} has more than {MOST_FILES} files or {} MiB", .0.display(), MOST_BYTES >> 20)]
    TooLarge(PathBuf),
}

/// The copies of all sites of this host.
#[derive(Debug, Clone)]
pub struct Sites {
    directory: PathBuf,
}

impl Sites {
    /// Those below the agent's state directory.
    pub fn new(state_dir: &Path) -> Self {
        Self { directory: state_dir.join("sites") }
    }

    /// Where the copy of `root` is, or would be.
    ///
    /// # Errors
    /// [`SiteError`]; nothing is written.
    pub fn place(&self, stack: &StackName, service: &ServiceName, root: &Path) -> Result<PathBuf, SiteError> {
        let sum = Walk::begin(root)?.sum(|_, _| Ok(()))?;
        Ok(self.of(stack, service).join(sum.to_string()))
    }

    /// Copies `root`, unless there is a copy of the same already, and says where it is.
    ///
    /// # Errors
    /// [`SiteError`]; what was begun is taken away.
    pub fn keep(&self, stack: &StackName, service: &ServiceName, root: &Path) -> Result<PathBuf, SiteError> {
        let place = self.place(stack, service, root)?;
        if place.is_dir() {
            touch(&place);
            return Ok(place);
        }
        let parent = self.of(stack, service);
        make_dir(&self.directory)?;
        make_dir(&self.directory.join(stack.as_str()))?;
        make_dir(&parent)?;
        let fresh = parent.join(".new");
        remove(&fresh)?;
        let copied = copy(root, &fresh).and_then(|sum| {
            let place = parent.join(sum.to_string());
            settle(&fresh, &place).map(|()| place)
        });
        if copied.is_err() {
            // The error that matters is the first.
            let _ = remove(&fresh);
        }
        copied
    }

    /// Whether a copy is still there; it is in use from now on.
    pub fn use_again(&self, place: &Path) -> bool {
        touch(place);
        place.is_dir()
    }

    /// Takes away the copies of a site but `used` and, of the others, the most recently used so that `count` stay in all.
    ///
    /// # Errors
    /// [`SiteError::Io`].
    pub fn prune(
        &self,
        stack: &StackName,
        service: &ServiceName,
        count: usize,
        used: &[&Path],
    ) -> Result<(), SiteError> {
        let mut left = count.saturating_sub(used.len());
        let mut bytes = 0;
        for (place, _) in self.copies(stack, service) {
            if used.contains(&&*place) {
                continue;
            }
            bytes += size(&place);
            if left == 0 || bytes > EARLIER_BYTES {
                remove(&place)?;
            } else {
                left -= 1;
            }
        }
        Ok(())
    }

    /// Takes away what is kept of services other than these.
    ///
    /// # Errors
    /// [`SiteError::Io`].
    pub fn retain(&self, stack: &StackName, services: &[&ServiceName]) -> Result<(), SiteError> {
        let wanted: Vec<_> = services.iter().map(|service| self.of(stack, service)).collect();
        let entries = fs::read_dir(self.directory.join(stack.as_str())).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| !wanted.contains(&entry.path())) {
            remove(&entry.path())?;
        }
        Ok(())
    }

    /// Takes away all that is kept of a stack.
    ///
    /// # Errors
    /// [`SiteError::Io`].
    pub fn remove(&self, stack: &StackName) -> Result<(), SiteError> {
        remove(&self.directory.join(stack.as_str()))
    }

    fn of(&self, stack: &StackName, service: &ServiceName) -> PathBuf {
        self.directory.join(stack.as_str()).join(service.as_str())
    }

    /// The most recently used first.
    fn copies(&self, stack: &StackName, service: &ServiceName) -> Vec<(PathBuf, SystemTime)> {
        let entries = fs::read_dir(self.of(stack, service)).into_iter().flatten().flatten();
        let mut all: Vec<_> = entries
            .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.modified().ok()?)))
            .collect();
        all.sort_by_key(|(_, used)| std::cmp::Reverse(*used));
        all
    }
}

/// Notes that a copy is in use from now on.
fn touch(place: &Path) {
    // Where that fails, it may be taken away earlier than others.
    let _ = File::open(place).and_then(|dir| dir.set_modified(SystemTime::now()));
}

fn copy(root: &Path, to: &Path) -> Result<Sum, SiteError> {
    make_dir(to)?;
    let mut made: Option<PathBuf> = None;
    Walk::begin(root)?.sum(|relative, content| {
        let target = to.join(relative);
        let fail = |source| SiteError::Io { action: "write", path: target.clone(), source };
        let parent = target.parent().unwrap_or(to);
        if made.as_deref() != Some(parent) {
            make_dirs(to, relative.parent().unwrap_or(Path::new("")))?;
            made = Some(parent.to_owned());
        }
        let mut out = File::create_new(&target).map_err(fail)?;
        content.copy_to(&mut out)?;
        out.set_permissions(fs::Permissions::from_mode(0o644)).map_err(fail)?;
        // What did not change keeps its date, and with it what browsers know it by.
        out.set_modified(content.modified).map_err(fail)
    })
}

/// Puts a copy in its place, once all of it is on disk: the journal will say that it is there.
fn settle(fresh: &Path, place: &Path) -> Result<(), SiteError> {
    let fail = |source| SiteError::Io { action: "keep", path: place.to_owned(), source };
    let directory = rustix::fs::open(fresh, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    directory.and_then(|directory| rustix::fs::syncfs(&directory)).map_err(|e| fail(e.into()))?;
    if place.is_dir() {
        // Changed while it was read, into what there is a copy of.
        touch(place);
        return remove(fresh);
    }
    fs::rename(fresh, place).map_err(fail)?;
    touch(place);
    Ok(())
}

fn make_dirs(from: &Path, relative: &Path) -> Result<(), SiteError> {
    let mut path = from.to_owned();
    for part in relative {
        path.push(part);
        make_dir(&path)?;
    }
    Ok(())
}

/// Makes a directory that the edge's user may read, whatever the umask.
fn make_dir(path: &Path) -> Result<(), SiteError> {
    let made = match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made,
    };
    made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .map_err(|source| SiteError::Io { action: "make", path: path.to_owned(), source })
}

fn remove(path: &Path) -> Result<(), SiteError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(SiteError::Io { action: "remove", path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

fn size(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(facts) if facts.is_dir() => size(&entry.path()),
            Ok(facts) => facts.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    struct Host {
        dir: tempfile::TempDir,
        sites: Sites,
        stack: StackName,
        web: ServiceName,
    }

    fn host() -> Host {
        let dir = tempfile::tempdir().unwrap();
        let sites = Sites::new(dir.path());
        fs::create_dir_all(dir.path().join("dist/assets")).unwrap();
        let (stack, web) = (StackName::new("s").unwrap(), ServiceName::new("web").unwrap());
        Host { dir, sites, stack, web }
    }

    impl Host {
        fn root(&self) -> PathBuf {
            self.dir.path().join("dist")
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.root().join(name), text).unwrap();
        }

        fn keep(&self) -> PathBuf {
            self.sites.keep(&self.stack, &self.web, &self.root()).unwrap()
        }

        fn count(&self) -> usize {
            self.sites.copies(&self.stack, &self.web).len()
        }
    }

    #[test]
    fn a_copy_has_all_that_would_be_served_and_stays_as_it_was() {
        let host = host();
        host.write("index.html", "one");
        host.write("assets/app.1234abcd.js", "1");
        host.write(".env", "secret");
        fs::create_dir(host.root().join(".well-known")).unwrap();
        host.write(".well-known/x", "x");
        fs::write(host.dir.path().join("outside"), "secret").unwrap();
        for (name, to) in [("out", "../outside"), ("abs", "/etc/passwd"), ("nowhere", "gone"), ("loop", ".")]
        {
            symlink(to, host.root().join(name)).unwrap();
        }
        symlink("index.html", host.root().join("in.html")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            host.root().join("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::RWXU,
            0,
        )
        .unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        File::open(host.root().join("index.html")).unwrap().set_modified(long_ago).unwrap();
        let place = host.keep();
        assert_eq!(host.sites.place(&host.stack, &host.web, &host.root()).unwrap(), place);
        let mut names: Vec<_> = fs::read_dir(&place)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [".well-known", "assets", "in.html", "index.html"]);
        let index = fs::metadata(place.join("index.html")).unwrap();
        assert_eq!((index.modified().unwrap(), index.permissions().mode() & 0o777), (long_ago, 0o644));
        host.write("index.html", "two");
        assert_eq!(fs::read_to_string(place.join("index.html")).unwrap(), "one");
        assert_eq!(fs::read_to_string(place.join("in.html")).unwrap(), "one");
    }

    #[test]
    fn the_same_is_kept_once_and_anything_else_is_another() {
        let host = host();
        host.write("a", "1");
        let first = host.keep();
        host.write("a", "1");
        assert_eq!(host.keep(), first, "a date is no content");
        let mut seen = vec![first];
        for (name, text) in [("a", "2"), ("a", "1b"), ("assets/a", "1"), ("assets/a", "")] {
            host.write(name, text);
            let next = host.keep();
            assert!(!seen.contains(&next), "{name} {text}");
            seen.push(next);
        }
        assert_eq!(host.count(), 5);
    }

    #[test]
    fn the_least_recently_used_go_first_and_what_is_used_stays() {
        let host = host();
        let places: Vec<_> = (0..5)
            .map(|n| {
                host.write("a", &n.to_string());
                let place = host.keep();
                let used = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 + n);
                File::open(&place).unwrap().set_modified(used).unwrap();
                place
            })
            .collect();
        let prune = |count, used: &[&Path]| host.sites.prune(&host.stack, &host.web, count, used).unwrap();
        prune(3, &[&places[0]]);
        let left: Vec<_> = places.iter().map(|place| place.is_dir()).collect();
        assert_eq!(left, [true, false, false, true, true]);
        prune(1, &[&places[0], &places[3]]);
        assert_eq!(host.count(), 2);
        host.sites.retain(&host.stack, &[&host.web]).unwrap();
        assert_eq!(host.count(), 2);
        host.sites.retain(&host.stack, &[&ServiceName::new("other").unwrap()]).unwrap();
        assert_eq!(host.count(), 0);
        host.keep();
        host.sites.remove(&host.stack).unwrap();
        host.sites.remove(&host.stack).unwrap();
        assert!(host.root().is_dir() && host.count() == 0);
    }

    #[test]
    fn what_cannot_be_copied_leaves_nothing_behind() {
        let host = host();
        let nowhere = host.dir.path().join("gone");
        assert!(matches!(
            host.sites.keep(&host.stack, &host.web, &nowhere),
            Err(SiteError::Missing(path)) if path == nowhere
        ));
        host.write("a", "1");
        let place = host.keep();
        fs::remove_dir_all(&place).unwrap();
        // What a copy that was cut short left is no obstacle.
        fs::create_dir(place.with_file_name(".new")).unwrap();
        fs::write(place.with_file_name(".new").join("half"), "").unwrap();
        assert_eq!(host.keep(), place);
        assert_eq!(host.count(), 1);
        assert!(!place.join("half").exists());
    }
}
