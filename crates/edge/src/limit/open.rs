//! Requests under way at once, by key: nginx's `limit_conn`.
//!
//! Knows nothing about what a request is.

use super::{Key, Zone};
use std::sync::Arc;

/// A request that counts as open until dropped.
#[derive(Debug)]
pub(crate) struct OpenGuard {
    zone: Arc<Zone>,
    key: Key,
}

impl OpenGuard {
    /// Counts one more, unless `most` are open.
    pub(super) fn open(zone: &Arc<Zone>, key: Key, most: u32) -> Option<Self> {
        let mut open = zone.open(key);
        if open.get(&key).copied().unwrap_or(0) >= most {
            return None;
        }
        *open.entry(key).or_default() += 1;
        drop(open);
        Some(Self { zone: zone.clone(), key })
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        let mut open = self.zone.open(self.key);
        if let std::collections::hash_map::Entry::Occupied(mut entry) = open.entry(self.key) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_open_and_keeps_nothing_of_who_has_gone() {
        let zone = Arc::new(Zone::new(10));
        let first = OpenGuard::open(&zone, 7, 2);
        let second = OpenGuard::open(&zone, 7, 2);
        assert!(first.is_some() && second.is_some());
        assert!(OpenGuard::open(&zone, 7, 2).is_none());
        assert!(OpenGuard::open(&zone, 8, 2).is_some());
        drop(first);
        assert!(OpenGuard::open(&zone, 7, 2).is_some());
        drop(second);
        assert!(zone.open(7).is_empty());
    }
}
