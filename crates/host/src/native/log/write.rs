//! The writing side: bytes to lines, lines to bounded files.

use super::{LogLine, Rotation, Stream};
use mainstay_model::Timestamp;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Docker's bound: a longer line is kept in pieces of this many bytes.
const LONGEST: usize = 16 * 1024;

/// Cuts the bytes of one stream into lines. A line without an end is kept back until it ends, grows too long, or the
/// stream does.
#[derive(Debug)]
pub(in crate::native) struct Splitter {
    stream: Stream,
    pending: Vec<u8>,
    since: Timestamp,
}

impl Splitter {
    pub(in crate::native) fn new(stream: Stream) -> Self {
        Self { stream, pending: Vec::new(), since: Timestamp(0) }
    }

    /// Takes what was read at `now`; gives the lines that are complete.
    pub(in crate::native) fn push(&mut self, mut bytes: &[u8], now: Timestamp) -> Vec<LogLine> {
        let mut lines = Vec::new();
        while !bytes.is_empty() {
            if self.pending.is_empty() {
                self.since = now;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
            let room = LONGEST - self.pending.len();
            let taken = end.min(room);
            self.pending.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if bytes.first() == Some(&b'\n') {
                bytes = &bytes[1..];
                lines.push(self.take(false));
            } else if self.pending.len() == LONGEST {
                lines.push(self.take(true));
            }
        }
        lines
    }

    /// The stream ended: what is left is a line, too.
    pub(in crate::native) fn finish(&mut self) -> Option<LogLine> {
        (!self.pending.is_empty()).then(|| self.take(false))
    }

    /// Takes the pending line. A piece of a longer line is cut before a character that it would tear apart.
    fn take(&mut self, partial: bool) -> LogLine {
        let mut bytes = std::mem::take(&mut self.pending);
        if partial {
            let torn = torn_tail(&bytes);
            self.pending = bytes.split_off(bytes.len() - torn);
        }
        let line = String::from_utf8_lossy(&bytes).into_owned();
        LogLine { time: self.since, stream: self.stream, line, partial }
    }
}

/// Bytes at the end of `bytes` that begin a UTF-8 character without completing it; 0 to 3.
fn torn_tail(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => (bytes.len() - error.valid_up_to()).min(3),
        _ => 0,
    }
}

/// Writes lines to `log` and rotates it. A write that fails (a full disk) loses lines, never the instance: the loss is
/// counted and told in the log as soon as it takes lines again.
#[derive(Debug)]
pub(in crate::native) struct Writer {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    size: u64,
    lost: u64,
}

impl Writer {
    /// Goes on at the end of the file at `path`.
    pub(in crate::native) fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let file = open(path)?;
        let size = file.metadata()?.len();
        let mut writer = Self { path: path.to_owned(), rotation, file, size, lost: 0 };
        writer.mend()?;
        Ok(writer)
    }

    /// Ends a line that an earlier writer left in the middle.
    fn mend(&mut self) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let mut last = [b'\n'];
        if self.size > 0 {
            File::open(&self.path)?.read_exact_at(&mut last, self.size - 1)?;
        }
        if last != *b"\n" {
            self.file.write_all(b"\n")?;
            self.size += 1;
        }
        Ok(())
    }

    /// Writes `lines`, in one piece where they fit into one file.
    pub(in crate::native) fn write(&mut self, lines: &[LogLine]) {
        let mut batch = Vec::new();
        let mut count = 0;
        if self.lost > 0 {
            let told = lines.first().map(|line| self.told_loss(line.time));
            batch.extend(told.as_ref().and_then(encode).unwrap_or_default());
        }
        for line in lines {
            let Some(bytes) = encode(line) else { continue };
            let full = self.size + (batch.len() + bytes.len()) as u64 > self.rotation.max_size;
            if full && self.size + batch.len() as u64 > 0 {
                self.flush(&batch, count);
                batch.clear();
                count = 0;
                self.rotate();
            }
            batch.extend_from_slice(&bytes);
            count += 1;
        }
        self.flush(&batch, count);
    }

    fn told_loss(&self, time: Timestamp) -> LogLine {
        let line =
            format!("[mainstay: {} lines were lost here, because the log could not be written]", self.lost);
        LogLine { time, stream: Stream::Stderr, line, partial: false }
    }

    fn flush(&mut self, batch: &[u8], lines: u64) {
        if batch.is_empty() {
            return;
        }
        match self.file.write_all(batch) {
            Ok(()) => {
                self.size += batch.len() as u64;
                self.lost = 0;
            }
            Err(_) => {
                self.lost += lines;
                // Half a line may have been written; the next one must not continue it.
                self.size = self.file.metadata().map_or(self.size, |meta| meta.len());
                let _full_still = self.mend();
            }
        }
    }

    /// `log.1` becomes `log.2` and so on, `log` becomes `log.1` and begins anew. With a single file, a new one takes
    /// its place; a reader of the old one can still finish it.
    fn rotate(&mut self) {
        let last = self.rotation.max_file.saturating_sub(1);
        for number in (1..last).rev() {
            let _missing_is_fine = fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1));
        }
        let moved = if last == 0 {
            fs::remove_file(&self.path)
        } else {
            fs::rename(&self.path, numbered(&self.path, 1))
        };
        // Where the move or the new file fails, the old one grows on: too large is better than lost.
        if let (Ok(()), Ok(file)) = (moved, open(&self.path)) {
            self.file = file;
            self.size = 0;
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// `log` is number 0.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn encode(line: &LogLine) -> Option<Vec<u8>> {
    let mut bytes = serde_json::to_vec(line).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[LogLine]) -> Vec<(&str, bool)> {
        lines.iter().map(|line| (line.line.as_str(), line.partial)).collect()
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        let mut splitter = Splitter::new(Stream::Stdout);
        assert!(splitter.push(b"he", Timestamp(1)).is_empty());
        let lines = splitter.push(b"llo\n\nwor\xff", Timestamp(2));
        assert_eq!(texts(&lines), [("hello", false), ("", false)]);
        assert_eq!((lines[0].time, lines[1].time), (Timestamp(1), Timestamp(2)));
        assert_eq!(splitter.finish().unwrap().line, "wor\u{fffd}");
        assert!(splitter.finish().is_none());
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut splitter = Splitter::new(Stream::Stderr);
        let mut text = "x".repeat(LONGEST - 1);
        text.push_str("ü!\n");
        let lines = splitter.push(text.as_bytes(), Timestamp(1));
        assert_eq!(lines.len(), 2);
        assert!(lines[0].partial && !lines[1].partial);
        assert_eq!(lines[0].line.len(), LONGEST - 1);
        assert_eq!(lines[1].line, "ü!");
    }

    #[test]
    fn a_line_of_exactly_the_bound_is_followed_by_its_empty_rest() {
        let mut splitter = Splitter::new(Stream::Stdout);
        let lines = splitter.push(format!("{}\n", "x".repeat(LONGEST)).as_bytes(), Timestamp(1));
        assert_eq!(texts(&lines).len(), 1);
        assert!(!lines[0].partial);
    }

    #[test]
    fn files_are_bounded_in_size_and_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut writer = Writer::open(&path, Rotation { max_size: 300, max_file: 3 }).unwrap();
        for number in 0..40 {
            let line = LogLine {
                time: Timestamp(number),
                stream: Stream::Stdout,
                line: number.to_string(),
                partial: false,
            };
            writer.write(&[line]);
        }
        let sizes: Vec<u64> =
            (0..3).map(|number| fs::metadata(numbered(&path, number)).unwrap().len()).collect();
        assert!(sizes.iter().all(|size| *size > 0 && *size <= 300), "{sizes:?}");
        assert!(!numbered(&path, 3).exists());
        assert!(fs::read_to_string(&path).unwrap().contains("\"39\""));
    }

    #[test]
    fn a_line_left_in_the_middle_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "{\"time\":1").unwrap();
        Writer::open(&path, Rotation { max_size: 300, max_file: 1 }).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"time\":1\n");
    }
}
