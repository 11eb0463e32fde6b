//! Keeping an edge: it is missed in the moment it dies, and replaced at once.

use super::Edge;
use super::keys::LOOK_EVERY;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::Instant;

/// An edge that lived this long was well; its death is a first one.
const WELL: Duration = Duration::from_secs(5);
/// Pause before the second attempt in a row; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// An edge that never starts is tried this often.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Edge {
    /// Hears of every edge that was started in place of one that had died.
    pub fn revivals(&self) -> watch::Receiver<u64> {
        self.revivals.subscribe()
    }

    /// Keeps an edge running for as long as one is wanted, until the agent ends.
    pub async fn keep(&self) {
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = self.keep_on() => {}
            () = self.keep_keys() => {}
        }
    }

    /// Has the edge's copies of certificates and keys follow their originals.
    async fn keep_keys(&self) {
        let Some(keys) = &self.keys else { return std::future::pending().await };
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let files = self.lock().key_files();
            keys.refresh(&files);
        }
    }

    async fn keep_on(&self) {
        let (mut wanted, mut attempts) = (self.wanted.subscribe(), 0_u32);
        // Ends with the edge itself, which holds the other end.
        while wanted.wait_for(|wanted| *wanted).await.is_ok() {
            let begun = Instant::now();
            if let Ok(stream) = UnixStream::connect(self.socket()).await {
                end_of(stream).await;
            }
            attempts = if begun.elapsed() >= WELL { 0 } else { attempts + 1 };
            if attempts > 1 {
                let pause = FIRST_PAUSE.saturating_mul(1 << (attempts - 2).min(10));
                tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
            }
            if *self.wanted.borrow() {
                self.revive().await;
            }
        }
    }

    async fn revive(&self) {
        tracing::warn!("the edge has ended; it is started again");
        let mut link = self.link.lock().await;
        let wanted = self.lock().clone();
        match self.settle(&mut link, wanted).await {
            Ok(()) => self.revivals.send_modify(|count| *count += 1),
            Err(error) => tracing::error!(%error, "the edge cannot be started"),
        }
    }
}

/// A process that dies closes its connections: nothing is quicker to hear of it.
async fn end_of(mut stream: UnixStream) {
    let mut nothing = [0; 1];
    while stream.read(&mut nothing).await.is_ok_and(|read| read > 0) {}
}
