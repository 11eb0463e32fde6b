//! A bounded map that forgets its least recently used entry.
//!
//! Entries stand in one vector, linked by index, so that it allocates while it grows and never after. Knows nothing
//! about what is remembered.

use super::Key;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// No entry.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Entry<V> {
    key: Key,
    value: V,
    newer: u32,
    older: u32,
}

#[derive(Debug)]
pub(super) struct Lru<V> {
    places: HashMap<Key, u32, BuildHasherDefault<Folded>>,
    entries: Vec<Entry<V>>,
    newest: u32,
    oldest: u32,
    most: usize,
}

/// Keys are keyed hashes or addresses mixed with a secret already, so folding them is enough.
#[derive(Debug, Default)]
pub(super) struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        #[allow(clippy::cast_possible_truncation, reason = "both halves are used")]
        {
            self.0 = (key as u64) ^ ((key >> 64) as u64);
        }
    }
}

impl<V: Copy> Lru<V> {
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { places: HashMap::default(), entries: Vec::new(), newest: NONE, oldest: NONE, most }
    }

    /// The value of `key`, which becomes the most recently used one.
    pub(super) fn get(&mut self, key: Key) -> Option<&mut V> {
        let place = *self.places.get(&key)?;
        self.unlink(place);
        self.link_newest(place);
        self.entry(place).map(|entry| &mut entry.value)
    }

    /// Adds a key that is not there, in the place of the least recently used one when there is no room.
    pub(super) fn insert(&mut self, key: Key, value: V) {
        let place = if self.entries.len() < self.most {
            let place = u32::try_from(self.entries.len()).unwrap_or(NONE);
            self.entries.push(Entry { key, value, newer: NONE, older: NONE });
            place
        } else {
            let place = self.oldest;
            self.unlink(place);
            let Some(entry) = self.entries.get_mut(place as usize) else { return };
            self.places.remove(&entry.key);
            *entry = Entry { key, value, newer: NONE, older: NONE };
            place
        };
        self.places.insert(key, place);
        self.link_newest(place);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    fn entry(&mut self, place: u32) -> Option<&mut Entry<V>> {
        self.entries.get_mut(place as usize)
    }

    fn unlink(&mut self, place: u32) {
        let Some(Entry { newer, older, .. }) = self.entries.get(place as usize) else { return };
        let (newer, older) = (*newer, *older);
        match self.entry(newer) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.entry(older) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn link_newest(&mut self, place: u32) {
        let before = self.newest;
        if let Some(entry) = self.entry(place) {
            entry.newer = NONE;
            entry.older = before;
        }
        match self.entry(before) {
            Some(entry) => entry.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_remembers_what_a_list_ordered_by_use_would(
            most in 1_usize..6,
            uses in proptest::collection::vec((0_u128..10, any::<bool>()), 0..60),
        ) {
            let mut lru = Lru::new(most);
            let mut list: Vec<(Key, usize)> = Vec::new();
            for (turn, (key, insert)) in uses.into_iter().enumerate() {
                let known = list.iter().position(|(k, _)| *k == key).map(|at| list.remove(at));
                prop_assert_eq!(lru.get(key).copied(), known.map(|(_, value)| value));
                if let Some(known) = known {
                    list.push(known);
                } else if insert {
                    if list.len() == most {
                        list.remove(0);
                    }
                    list.push((key, turn));
                    lru.insert(key, turn);
                }
                prop_assert_eq!(lru.len(), list.len());
            }
        }
    }
}
