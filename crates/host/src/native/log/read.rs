//! The reading side: lines across files, while they are being written and rotated.

use super::LogLine;
use super::write::numbered;
use mainstay_model::Timestamp;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// A place in the log of one instance.
#[derive(Debug)]
pub(in crate::native) struct Cursor {
    path: PathBuf,
    since: Option<Timestamp>,
    file: Option<File>,
    /// Read, not yet a whole line.
    pending: Vec<u8>,
}

impl Cursor {
    /// Before the oldest line that is kept, or that is not older than `since`.
    pub(in crate::native) fn new(path: &Path, since: Option<Timestamp>) -> Self {
        Self { path: path.to_owned(), since, file: None, pending: Vec::new() }
    }

    /// The next lines, at most a chunk of them; none at the end of what is written so far.
    pub(in crate::native) fn read(&mut self) -> io::Result<Vec<LogLine>> {
        loop {
            let Some(file) = &mut self.file else {
                self.file = self.oldest()?;
                if self.file.is_none() {
                    return Ok(Vec::new());
                }
                continue;
            };
            let mut chunk = vec![0; CHUNK];
            let count = file.read(&mut chunk)?;
            if count > 0 {
                self.pending.extend_from_slice(&chunk[..count]);
                let lines = self.take_lines();
                if !lines.is_empty() {
                    return Ok(lines);
                }
            } else if !self.advance()? {
                return Ok(Vec::new());
            }
        }
    }

    /// Everything up to the end of what is written so far; only the last `tail` lines where given.
    pub(in crate::native) fn read_all(&mut self, tail: Option<usize>) -> io::Result<VecDeque<LogLine>> {
        let mut kept = VecDeque::new();
        loop {
            let lines = self.read()?;
            if lines.is_empty() {
                return Ok(kept);
            }
            kept.extend(lines);
            if let Some(tail) = tail {
                kept.drain(..kept.len().saturating_sub(tail));
            }
        }
    }

    /// Complete lines among the pending bytes; those that are no log lines are left out.
    fn take_lines(&mut self) -> Vec<LogLine> {
        let Some(end) = self.pending.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = self.pending.split_off(end + 1);
        let whole = std::mem::replace(&mut self.pending, rest);
        let lines = whole.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        lines.filter(|line: &LogLine| self.since.is_none_or(|since| line.time >= since)).collect()
    }

    /// At the end of a file: goes to the next newer one, if there is one. The writer never touches a file after it
    /// renamed it, so a file that is no longer `log` and was read to its end after that is read whole.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(file) = &mut self.file else { return Ok(false) };
        let Some(next) = next_newer(&self.path, file)? else { return Ok(false) };
        let mut rest = Vec::new();
        file.read_to_end(&mut rest)?;
        self.pending.extend_from_slice(&rest);
        // What has no end by now never gets one.
        if self.pending.last().is_some_and(|byte| *byte != b'\n') {
            self.pending.push(b'\n');
        }
        self.file = Some(next);
        Ok(true)
    }

    fn oldest(&self) -> io::Result<Option<File>> {
        match files(&self.path)?.iter().rposition(Option::is_some) {
            Some(number) => open(&self.path, number),
            None => Ok(None),
        }
    }
}

/// The file that follows the one of `own`. `None`: that one is the newest.
fn next_newer(path: &Path, own: &File) -> io::Result<Option<File>> {
    // Between looking and opening the files may move on, and in the middle of a rotation one is missing; then the look
    // is repeated. A rotation is a few renames, so this many looks outlast it.
    for _ in 0..1000 {
        let before = files(path)?;
        let own = own.metadata()?;
        let next = match before.iter().position(|known| *known == Some(identity(&own))) {
            Some(0) => Some(None),
            Some(place) => Some(Some(place - 1)),
            // Deleted while it was read: the oldest that is left follows it, with a gap.
            None if own.nlink() == 0 => before.iter().rposition(Option::is_some).map(Some),
            None => None,
        };
        match next {
            Some(None) => return Ok(None),
            Some(Some(place)) => {
                let opened = open(path, place)?;
                let found = opened.as_ref().map(File::metadata).transpose()?.as_ref().map(identity);
                if found.is_some() && before.get(place) == Some(&found) {
                    return Ok(opened);
                }
            }
            None => {}
        }
        std::thread::yield_now();
    }
    Ok(None)
}

fn open(path: &Path, number: usize) -> io::Result<Option<File>> {
    match File::open(numbered(path, u32::try_from(number).unwrap_or(u32::MAX))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Identities of `log`, `log.1`, … A single one may be missing: a rotation is under way there.
fn files(path: &Path) -> io::Result<Vec<Option<(u64, u64)>>> {
    let mut found = Vec::new();
    for number in 0.. {
        match fs::metadata(numbered(path, number)) {
            Ok(meta) => found.push(Some(identity(&meta))),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) if found.last() == Some(&None) || found.is_empty() && number > 0 => break,
            Err(_) => found.push(None),
        }
    }
    found.pop_if(|last| last.is_none());
    Ok(found)
}

fn identity(meta: &fs::Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

#[cfg(test)]
mod tests {
    use super::super::{Rotation, Stream, Writer};
    use super::*;

    fn line(number: u64) -> LogLine {
        LogLine {
            time: Timestamp(number),
            stream: Stream::Stdout,
            line: format!("line {number}"),
            partial: false,
        }
    }

    #[test]
    fn every_line_is_read_once_across_rotations() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut cursor = Cursor::new(&path, None);
        assert!(cursor.read().unwrap().is_empty());
        let mut writer = Writer::open(&path, Rotation { max_size: 500, max_file: 4 }).unwrap();
        let mut seen = Vec::new();
        for number in 0..200 {
            writer.write(&[line(number)]);
            if number % 20 == 19 {
                seen.extend(cursor.read_all(None).unwrap());
            }
        }
        let expected: Vec<LogLine> = (0..200).map(line).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn since_and_tail_choose_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut writer = Writer::open(&path, Rotation { max_size: 500, max_file: 9 }).unwrap();
        writer.write(&(0..50).map(line).collect::<Vec<_>>());
        let tail = Cursor::new(&path, None).read_all(Some(3)).unwrap();
        assert_eq!(tail, (47..50).map(line).collect::<Vec<_>>());
        let since = Cursor::new(&path, Some(Timestamp(45))).read_all(None).unwrap();
        assert_eq!(since, (45..50).map(line).collect::<Vec<_>>());
    }

    #[test]
    fn a_single_file_is_replaced_without_losing_a_reader() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut writer = Writer::open(&path, Rotation { max_size: 200, max_file: 1 }).unwrap();
        writer.write(&[line(0), line(1), line(2)]);
        let mut cursor = Cursor::new(&path, None);
        assert_eq!(cursor.read().unwrap().len(), 3);
        writer.write(&[line(3), line(4), line(5)]);
        let seen = cursor.read_all(None).unwrap();
        assert_eq!(seen, [line(3), line(4), line(5)]);
        assert!(!numbered(&path, 1).exists());
    }
}
