//! The connections of clients that are open.
//!
//! Knows nothing about what is spoken on them.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts of all threads.
#[derive(Debug)]
pub(crate) struct Connections(Box<[Count]>);

/// The count of one thread, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Count(AtomicUsize);

impl Connections {
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Count::default()).collect())
    }

    /// Notes how many a thread has; `worker` is the calling thread's number.
    pub(crate) fn note(&self, worker: usize, open: usize) {
        if let Some(count) = self.0.get(worker) {
            count.0.store(open, Ordering::Relaxed);
        }
    }

    /// All that are open now.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|count| count.0.load(Ordering::Relaxed)).sum()
    }
}
