//! Archives on their way to and from the agent: pieces through channels, between a thread that packs and a connection.

use bytes::Bytes;
use std::io::{self, Read, Write};
use tokio::sync::mpsc;

/// Pieces of an archive read ahead of the connection.
pub const AHEAD: usize = 4;
/// Read at once of an archive: a pipe's own buffer.
const PIECE: usize = 64 * 1024;

/// Writes what is written to it into a channel.
#[derive(Debug)]
pub struct Sink {
    sender: mpsc::Sender<io::Result<Bytes>>,
}

impl Sink {
    /// Into this channel.
    pub fn new(sender: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self { sender }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.sender.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Passes everything that `from` gives on; an error in place of the rest.
pub fn pump(mut from: impl Read, to: &mpsc::Sender<io::Result<Bytes>>) {
    let mut buffer = vec![0; PIECE];
    loop {
        let piece = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => Ok(Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default())),
            Err(error) => Err(error),
        };
        let failed = piece.is_err();
        if to.blocking_send(piece).is_err() || failed {
            return;
        }
    }
}

/// Reads what comes through a channel.
#[derive(Debug)]
pub struct Pieces {
    from: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Pieces {
    /// Of this channel.
    pub fn new(from: mpsc::Receiver<Bytes>) -> Self {
        Self { from, piece: Bytes::new() }
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.from.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let taken = self.piece.split_to(into.len().min(self.piece.len()));
        into.get_mut(..taken.len()).unwrap_or_default().copy_from_slice(&taken);
        Ok(taken.len())
    }
}

/// Percent-encodes a path for a query.
pub fn escape(path: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                escaped.push(char::from(byte));
            }
            // A String takes everything.
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
    }
    escaped
}
