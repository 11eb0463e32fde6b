//! The connections of clients that are open.
//!
//! Knows nothing about what is spoken on them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counts of all threads.
#[derive(Debug)]
pub(crate) struct Connections {
    threads: Box<[Count]>,
    /// Where each client may have so many only.
    by_client: Mutex<HashMap<IpAddr, u32>>,
    /// Turned away for being too many.
    pub(crate) refused: AtomicU64,
}

/// The count of one thread, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Count(AtomicUsize);

impl Connections {
    pub(crate) fn new(workers: usize) -> Self {
        let threads = (0..workers.max(1)).map(|_| Count::default()).collect();
        Self { threads, by_client: Mutex::default(), refused: AtomicU64::new(0) }
    }

    /// Notes how many a thread has; `worker` is the calling thread's number.
    pub(crate) fn note(&self, worker: usize, open: usize) {
        if let Some(count) = self.threads.get(worker) {
            count.0.store(open, Ordering::Relaxed);
        }
    }

    /// Counts one of `client`, unless it has `most` already. To be followed by [`Connections::leave`].
    pub(crate) fn enter(&self, client: IpAddr, most: u32) -> bool {
        let mut by_client = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_client.entry(subscriber(client)).or_default();
        let has_room = *count < most;
        *count += u32::from(has_room);
        has_room
    }

    pub(crate) fn leave(&self, client: IpAddr) {
        let mut by_client = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        let client = subscriber(client);
        if let Some(count) = by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                by_client.remove(&client);
            }
        }
    }

    /// All that are open now.
    pub(crate) fn count(&self) -> usize {
        self.threads.iter().map(|count| count.0.load(Ordering::Relaxed)).sum()
    }
}

/// Who is taken for one client: an IPv4 address or an IPv6 /64, which is the least a subscriber is given.
pub(crate) fn subscriber(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_has_so_many_and_no_more() {
        let connections = Connections::new(1);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(connections.enter(ip("2001:db8::1"), 2) && connections.enter(ip("2001:db8::2"), 2));
        assert!(!connections.enter(ip("2001:db8::3"), 2) && connections.enter(ip("2001:db8:0:1::3"), 2));
        assert!(connections.enter(ip("::ffff:192.0.2.1"), 1) && !connections.enter(ip("192.0.2.1"), 1));
        connections.leave(ip("2001:db8::9"));
        assert!(connections.enter(ip("2001:db8::3"), 2));
        connections.leave(ip("192.0.2.1"));
        assert!(connections.enter(ip("192.0.2.1"), 1));
    }
}
