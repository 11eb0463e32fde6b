//! Users and groups by name or number, from the host's own files.

use rustix::process::{Gid, Uid};
use std::fs;

/// Whom a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    /// Supplementary groups.
    pub(super) groups: Vec<Gid>,
    /// Home directory, where the user has an entry.
    pub(super) home: Option<String>,
}

impl Identity {
    /// Resolves `user[:group]` and `group_add` as Docker does: names and numbers; a number needs no entry; without a
    /// group the user's own one and those it is a member of; with a group, only that one. `None` is the present user.
    pub(super) fn resolve(user: Option<&str>, add: &[String]) -> Result<Self, String> {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let group = fs::read_to_string("/etc/group").unwrap_or_default();
        Self::from_files(user, add, &passwd, &group)
    }

    fn from_files(user: Option<&str>, add: &[String], passwd: &str, group: &str) -> Result<Self, String> {
        let own = rustix::process::getuid().as_raw().to_string();
        let (user, wanted_group) = match user.unwrap_or(&own).split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (user.unwrap_or(&own), None),
        };
        let number = user.parse::<u32>().ok();
        let entry = entries(passwd)
            .find(|entry| entry.first() == Some(&user))
            .or_else(|| entries(passwd).find(|entry| number.is_some() && field(entry, 2) == number));
        let uid = entry
            .as_ref()
            .and_then(|entry| field(entry, 2))
            .or(number)
            .ok_or_else(|| format!("there is no user `{user}` in /etc/passwd"))?;
        let gid_of = |name: &str| {
            let named = entries(group).find(|entry| entry.first() == Some(&name));
            let found = named.and_then(|entry| field(&entry, 2)).or_else(|| name.parse().ok());
            found.ok_or_else(|| format!("there is no group `{name}` in /etc/group"))
        };
        let gid = match wanted_group {
            Some(name) => gid_of(name)?,
            None => entry.as_ref().and_then(|entry| field(entry, 3)).unwrap_or(0),
        };
        let mut groups = vec![gid];
        if wanted_group.is_none() {
            let name = entry.as_ref().and_then(|entry| entry.first().copied()).unwrap_or(user);
            groups.extend(
                entries(group).filter(|entry| has_member(entry, name)).filter_map(|entry| field(&entry, 2)),
            );
        }
        for name in add {
            groups.push(gid_of(name)?);
        }
        groups.sort_unstable();
        groups.dedup();
        let home = entry.as_ref().and_then(|entry| entry.get(5)).map(|home| (*home).to_owned());
        let groups = groups.into_iter().map(Gid::from_raw).collect();
        Ok(Self { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), groups, home })
    }
}

fn entries(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().map(|line| line.split(':').collect())
}

fn field(entry: &[&str], index: usize) -> Option<u32> {
    entry.get(index)?.parse().ok()
}

fn has_member(entry: &[&str], name: &str) -> bool {
    entry.get(3).is_some_and(|members| members.split(',').any(|member| member == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:44:w:/var/www:/bin/false\n";
    const GROUP: &str = "root:x:0:\nweb:x:44:\nmedia:x:55:alice,web\nlogs:x:66:\n";

    fn resolve(user: &str, add: &[&str]) -> Result<(u32, u32, Vec<u32>), String> {
        let add: Vec<String> = add.iter().map(|name| (*name).to_owned()).collect();
        let found = Identity::from_files(Some(user), &add, PASSWD, GROUP)?;
        let groups = found.groups.iter().map(|gid| gid.as_raw()).collect();
        Ok((found.uid.as_raw(), found.gid.as_raw(), groups))
    }

    #[test]
    fn names_and_numbers_resolve_as_in_docker() {
        assert_eq!(resolve("web", &[]), Ok((33, 44, vec![44, 55])));
        assert_eq!(resolve("33", &[]), Ok((33, 44, vec![44, 55])));
        assert_eq!(resolve("web:logs", &[]), Ok((33, 66, vec![66])));
        assert_eq!(resolve("1234", &[]), Ok((1234, 0, vec![0])));
        assert_eq!(resolve("1234:5678", &["media", "9"]), Ok((1234, 5678, vec![9, 55, 5678])));
        assert!(resolve("nobody-here", &[]).unwrap_err().contains("nobody-here"));
        assert!(resolve("web:nogroup", &[]).unwrap_err().contains("nogroup"));
    }
}
