//! Sources under watch: which rule of `develop: watch:` a changed path is for, and what follows from it.
//!
//! Decides by paths alone, and knows nothing about the agent or about how changes become known (`tree`).

pub mod pack;
pub mod tree;

use mainstay_host::docker::Ignore;
use mainstay_model::{Hook, Service, ServiceName, Stack, WatchAction, WatchRule};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The rules of the services that are watched.
#[derive(Debug)]
pub struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    service: ServiceName,
    rule: WatchRule,
    path: PathBuf,
    ignore: Ignore,
    /// `include`; none: everything counts.
    include: Option<Ignore>,
    /// The build context and its `.dockerignore`.
    context: Option<(PathBuf, Ignore)>,
}

/// What follows for one service.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Build its image and deploy it; all else is in there then.
    pub rebuild: bool,
    /// Paths of this host that are copied, and where to.
    pub copies: BTreeMap<PathBuf, String>,
    /// Paths inside that are removed.
    pub gone: BTreeSet<String>,
    /// Restart it in place.
    pub restart: bool,
    /// Commands that run inside afterwards.
    pub exec: Vec<Hook>,
}

impl Rules {
    /// The rules of `services`, or of all.
    pub fn of(stack: &Stack, services: &[String]) -> Self {
        let meant = |s: &&Service| services.is_empty() || services.iter().any(|name| name == s.name.as_str());
        let of_service = |s: &Service| s.more.watch.iter().map(|rule| Rule::new(s, rule)).collect::<Vec<_>>();
        Self(stack.services.values().filter(meant).flat_map(of_service).collect())
    }

    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Services with rules.
    pub fn services(&self) -> BTreeSet<&ServiceName> {
        self.0.iter().map(|rule| &rule.service).collect()
    }

    /// What is watched.
    pub fn roots(&self) -> BTreeSet<PathBuf> {
        self.0.iter().map(|rule| rule.path.clone()).collect()
    }

    /// What follows from changes of `paths`.
    pub fn work(&self, paths: &BTreeSet<PathBuf>) -> BTreeMap<ServiceName, Work> {
        let mut all: BTreeMap<ServiceName, Work> = BTreeMap::new();
        for rule in &self.0 {
            for path in paths {
                rule.add(path, &mut all);
            }
        }
        for work in all.values_mut() {
            let mut seen = Vec::new();
            work.exec.retain(|hook| {
                let is_new = !seen.contains(hook);
                seen.push(hook.clone());
                is_new
            });
        }
        all
    }

    /// What is copied at the start, where rules say so.
    pub fn at_the_start(&self) -> BTreeMap<ServiceName, Work> {
        let mut all = BTreeMap::new();
        for rule in self.0.iter().filter(|rule| rule.rule.initial_sync) {
            let mut work = Work::default();
            rule.copy(&rule.path, &mut work);
            let of_service: &mut Work = all.entry(rule.service.clone()).or_default();
            of_service.copies.append(&mut work.copies);
        }
        all
    }
}

impl Rule {
    fn new(service: &Service, rule: &WatchRule) -> Self {
        let patterns = |list: &[String]| Ignore::parse(&list.join("\n"));
        let context = service.build.as_ref().map(|build| {
            // As BuildKit looks for it.
            let own = build.context.join(format!("{}.dockerignore", build.dockerfile.display()));
            let read = std::fs::read_to_string(own)
                .or_else(|_| std::fs::read_to_string(build.context.join(".dockerignore")));
            (build.context.clone(), Ignore::parse(&read.unwrap_or_default()))
        });
        Self {
            service: service.name.clone(),
            path: PathBuf::from(&rule.path),
            ignore: patterns(&rule.ignore),
            include: (!rule.include.is_empty()).then(|| patterns(&rule.include)),
            context,
            rule: rule.clone(),
        }
    }

    fn syncs(&self) -> bool {
        matches!(self.rule.action, WatchAction::Sync | WatchAction::SyncRestart | WatchAction::SyncExec)
    }

    fn add(&self, path: &Path, all: &mut BTreeMap<ServiceName, Work>) {
        // A directory as such is in nobody's `include`; what is in it may be.
        let is_directory = path.is_dir() && !path.is_symlink();
        let may_hold_some = is_directory && path.starts_with(&self.path) && !self.leaves_out(path);
        if !self.concerns(path) && !may_hold_some {
            return;
        }
        let mut work = Work::default();
        match self.syncs() {
            true if path.symlink_metadata().is_ok() => self.copy(path, &mut work),
            true => drop(work.gone.insert(self.inside(path))),
            false if !self.concerns(path) => return,
            false => work.rebuild = self.rule.action == WatchAction::Rebuild,
        }
        if self.syncs() && work == Work::default() {
            return;
        }
        work.restart = matches!(self.rule.action, WatchAction::Restart | WatchAction::SyncRestart);
        if self.rule.action == WatchAction::SyncExec {
            work.exec.extend(self.rule.exec.clone());
        }
        let sum = all.entry(self.service.clone()).or_default();
        sum.rebuild |= work.rebuild;
        sum.restart |= work.restart;
        sum.copies.append(&mut work.copies);
        sum.gone.append(&mut work.gone);
        sum.exec.append(&mut work.exec);
    }

    /// Adds what is at `path`, and in it.
    fn copy(&self, path: &Path, work: &mut Work) {
        let Ok(about) = path.symlink_metadata() else { return };
        if !about.is_dir() {
            if self.concerns(path) {
                work.copies.insert(path.to_owned(), self.inside(path));
            }
            return;
        }
        if path != self.path && self.leaves_out(path) {
            return;
        }
        if self.include.is_none() && path != self.path {
            work.copies.insert(path.to_owned(), self.inside(path));
        }
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.for_each(|entry| self.copy(&entry.path(), work));
    }

    /// Where `path` is inside the container.
    fn inside(&self, path: &Path) -> String {
        let target = self.rule.target.as_deref().unwrap_or("/");
        match path.strip_prefix(&self.path) {
            Ok(below) if !below.as_os_str().is_empty() => {
                format!("{}/{}", target.trim_end_matches('/'), below.display())
            }
            _ => target.to_owned(),
        }
    }

    fn concerns(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.path) else { return false };
        let below = below.to_string_lossy();
        let included =
            self.include.as_ref().is_none_or(|include| below.is_empty() || include.leaves_out(&below));
        included && !self.leaves_out(path)
    }

    /// `ignore`, `.dockerignore`, and what no rule means: git's own files, and what editors leave behind.
    fn leaves_out(&self, path: &Path) -> bool {
        let below = path.strip_prefix(&self.path).unwrap_or(path).to_string_lossy();
        let of_context = self.context.as_ref().is_some_and(|(context, ignore)| {
            path.strip_prefix(context).is_ok_and(|below| {
                !below.as_os_str().is_empty() && ignore.leaves_out(&below.to_string_lossy())
            })
        });
        of_context
            || (!below.is_empty() && self.ignore.leaves_out(&below))
            || Path::new(&*below).components().any(|part| part.as_os_str() == ".git")
            || is_ephemeral(path)
    }
}

/// Files that editors make while they save: of vim, emacs and JetBrains.
fn is_ephemeral(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let swap = name.starts_with('.') && [".swp", ".swx", ".swo"].iter().any(|end| name.ends_with(end));
    let emacs = name.starts_with(".#") || (name.starts_with('#') && name.ends_with('#') && name.len() > 1);
    let jetbrains = name.ends_with("___jb_tmp___") || name.ends_with("___jb_old___");
    swap || emacs || jetbrains || name.ends_with('~') || name == "4913"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(action: WatchAction, root: &Path, ignore: &[&str], include: &[&str]) -> Rule {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let rule = WatchRule {
            path: root.display().to_string(),
            action,
            target: Some("/app/".into()),
            include: texts(include),
            ignore: texts(ignore),
            initial_sync: false,
            exec: None,
        };
        Rule {
            service: ServiceName::new("web").unwrap(),
            path: root.to_owned(),
            ignore: Ignore::parse(&ignore.join("\n")),
            include: (!include.is_empty()).then(|| Ignore::parse(&include.join("\n"))),
            context: Some((root.to_owned(), Ignore::parse("secret\n"))),
            rule,
        }
    }

    fn work(rule: Rule, paths: &[&Path]) -> Option<Work> {
        Rules(vec![rule]).work(&paths.iter().map(|p| (*p).to_owned()).collect()).into_values().next()
    }

    #[test]
    fn a_directory_brings_what_is_in_it_but_what_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for file in ["new/a.py", "new/node_modules/x.js", "new/.git/config", "new/a.py~", "secret"] {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            std::fs::write(root.join(file), "x").unwrap();
        }
        let work = work(
            rule(WatchAction::Sync, root, &["**/node_modules"], &[]),
            &[&root.join("new"), &root.join("secret")],
        );
        let copies: Vec<_> = work.unwrap().copies.into_values().collect();
        assert_eq!(copies, ["/app/new", "/app/new/a.py"]);
    }

    #[test]
    fn what_is_gone_here_goes_there() {
        let root = Path::new("/no/such");
        let work = work(rule(WatchAction::SyncRestart, root, &[], &[]), &[&root.join("a/b")]).unwrap();
        assert_eq!(work.gone.into_iter().collect::<Vec<_>>(), ["/app/a/b"]);
        assert!(work.restart && !work.rebuild);
    }

    #[test]
    fn only_what_is_included_counts() {
        let root = Path::new("/no/such");
        assert!(
            work(rule(WatchAction::Rebuild, root, &[], &["package.json"]), &[&root.join("index.js")])
                .is_none()
        );
        let rebuilt =
            work(rule(WatchAction::Rebuild, root, &[], &["package.json"]), &[&root.join("package.json")]);
        assert!(rebuilt.unwrap().rebuild);
        assert!(
            work(rule(WatchAction::Rebuild, root, &["*.md", "!READ.md"], &[]), &[&root.join("a.md")])
                .is_none()
        );
        assert!(
            work(rule(WatchAction::Rebuild, root, &["*.md", "!READ.md"], &[]), &[&root.join("READ.md")])
                .is_some()
        );
        assert!(work(rule(WatchAction::Restart, root, &[], &[]), &[Path::new("/elsewhere")]).is_none());
    }
}
