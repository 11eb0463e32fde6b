//! Hearing of changes at once: the kernel's word on the files of instances.
//!
//! A shim replaces `status.json` when something happens, and holds `lock` open as long as it lives; so its own violent
//! death is an event, too: the kernel closes the file. That is early in a death, so the processes are then waited for.

use super::files::{Files, LOCK, STATUS, make_private_dir};
use super::{Native, NativeError, observe, process};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use mainstay_model::{InstanceId, StackName};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, VecDeque};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use tokio::io::unix::AsyncFd;

/// Something about this instance may have changed; look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its stack.
    pub stack: StackName,
    /// Which copy, or job.
    pub id: InstanceId,
}

/// Changes of all native instances, from the moment it was made.
#[derive(Debug)]
pub struct Changes {
    root: PathBuf,
    inotify: AsyncFd<OwnedFd>,
    watched: BTreeMap<i32, Place>,
    waiting: VecDeque<Change>,
    /// Shims that died without a word, and their commands: each ends when both are gone.
    deaths: FuturesUnordered<BoxFuture<'static, Change>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Root,
    Stack(StackName),
    Instance(Change),
}

/// What one event asks for; taken out of the kernel's buffer before anything is done.
enum News {
    Entry(i32, String),
    Ignored(i32),
    Lost,
}

impl Native {
    /// Starts to listen. Observe after this, and nothing is missed.
    ///
    /// # Errors
    /// When the kernel has no more watches to give, or the state directory cannot be read.
    pub fn changes(&self) -> Result<Changes, NativeError> {
        make_private_dir(&self.root)?;
        let open = || {
            let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            process::readable(fd)
        };
        let inotify = open().map_err(NativeError::file("watch", &self.root))?;
        let mut changes = Changes {
            root: self.root.clone(),
            inotify,
            watched: BTreeMap::new(),
            waiting: VecDeque::new(),
            deaths: FuturesUnordered::new(),
        };
        changes.look_again()?;
        changes.waiting.clear();
        Ok(changes)
    }
}

impl Changes {
    /// The next change. Several of one instance in a row may be one.
    ///
    /// # Errors
    /// When the kernel has no more watches to give, or a directory cannot be read.
    pub async fn next(&mut self) -> Result<Change, NativeError> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                return Ok(change);
            }
            tokio::select! {
                ready = self.inotify.readable() => {
                    ready.map_err(NativeError::file("watch", &self.root))?.clear_ready();
                }
                Some(change) = self.deaths.next() => return Ok(change),
            }
            for news in self.read()? {
                self.take(news)?;
            }
        }
    }

    fn read(&self) -> Result<Vec<News>, NativeError> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.inotify.get_ref(), &mut buffer);
        let mut news = Vec::new();
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => news.push(News::Lost),
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => {
                    news.push(News::Ignored(event.wd()))
                }
                Ok(event) => {
                    let name = event.file_name().map(|name| name.to_string_lossy().into_owned());
                    news.extend(name.map(|name| News::Entry(event.wd(), name)));
                }
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(news),
                Err(errno) => return Err(NativeError::file("watch", &self.root)(errno.into())),
            }
        }
    }

    fn take(&mut self, news: News) -> Result<(), NativeError> {
        match news {
            News::Lost => self.look_again(),
            News::Ignored(watch) => {
                self.watched.remove(&watch);
                Ok(())
            }
            News::Entry(watch, name) => match self.watched.get(&watch).cloned() {
                Some(Place::Root) => StackName::new(name).map_or(Ok(()), |stack| self.look_at_stack(stack)),
                Some(Place::Stack(stack)) => match InstanceId::parse(&name) {
                    Some(id) if !name.starts_with('.') => self.look_at_instance(Change { stack, id }),
                    _ => Ok(()),
                },
                Some(Place::Instance(change)) => {
                    match name.as_str() {
                        STATUS => self.tell(change),
                        LOCK => self.mind(change),
                        _ => {}
                    }
                    Ok(())
                }
                None => Ok(()),
            },
        }
    }

    /// Watches everything that is there, and tells of all of it.
    fn look_again(&mut self) -> Result<(), NativeError> {
        let entries = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        self.watch(self.root.clone(), entries, Place::Root)?;
        let stacks = std::fs::read_dir(&self.root).map_err(NativeError::file("read", &self.root))?;
        for stack in stacks {
            let name = stack.map_err(NativeError::file("read", &self.root))?.file_name();
            if let Ok(stack) = StackName::new(name.to_string_lossy()) {
                self.look_at_stack(stack)?;
            }
        }
        Ok(())
    }

    /// Watched first and read then, so that what is made in between is told twice rather than not at all.
    fn look_at_stack(&mut self, stack: StackName) -> Result<(), NativeError> {
        let dir = self.root.join(stack.as_str());
        let entries = WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::ONLYDIR;
        self.watch(dir.clone(), entries, Place::Stack(stack.clone()))?;
        for id in observe::instances(&dir)? {
            self.look_at_instance(Change { stack: stack.clone(), id })?;
        }
        Ok(())
    }

    fn look_at_instance(&mut self, change: Change) -> Result<(), NativeError> {
        let dir = self.root.join(change.stack.as_str()).join(change.id.to_string());
        let files = WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE | WatchFlags::ONLYDIR;
        self.watch(dir, files, Place::Instance(change.clone()))?;
        self.tell(change.clone());
        self.mind(change);
        Ok(())
    }

    /// Tells of the end of a running instance even when its shim cannot: once both are gone.
    fn mind(&mut self, change: Change) {
        let files = Files::of(&self.root, &change.stack, &change.id);
        let status = match files.status() {
            Ok(Some(status)) if status.exited.is_none() => status,
            // Over already; or not to be read, and whoever looks will find out why.
            _ => return self.tell(change),
        };
        self.deaths.push(Box::pin(async move {
            let _gone = status.shim.gone().await;
            if let Some(child) = status.child {
                let _gone = child.gone().await;
            }
            change
        }));
    }

    fn tell(&mut self, change: Change) {
        if !self.waiting.contains(&change) {
            self.waiting.push_back(change);
        }
    }

    /// What is gone by now needs no watch.
    fn watch(&mut self, dir: PathBuf, flags: WatchFlags, place: Place) -> Result<(), NativeError> {
        match inotify::add_watch(self.inotify.get_ref(), &dir, flags) {
            Ok(watch) => {
                self.watched.insert(watch, place);
                Ok(())
            }
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(NativeError::file("watch", dir)(errno.into())),
        }
    }
}
