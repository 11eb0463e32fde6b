//! Where a message head ends, and whether its lines are what RFC 9112 says lines are.
//!
//! `httparse` splits fields but is lenient about line ends; this looks at the raw bytes first. Knows nothing
//! about what the fields mean.

use crate::buffer::HEAD_CAPACITY;
use memchr::memchr;

/// Fields in one head. Browsers send some twenty; 100 is what Apache allows and fits the stack.
pub(crate) const MOST_FIELDS: usize = 100;

/// Empty lines ignored before a request line (RFC 9112, 2.2 asks for at least one).
const MOST_EMPTY_LINES: usize = 2;

/// What is wrong with the lines of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("a line does not end with CR LF")]
    BareLineFeed,
    #[error("a CR or NUL inside a line")]
    ControlInLine,
    #[error("the request line is too long")]
    LongStart,
    #[error("a header line is too long")]
    LongLine,
    #[error("empty lines where a message should begin")]
    NoStart,
}

/// Looks for the end of a head in bytes that arrive piece by piece, and never looks at a byte twice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scanner {
    /// Longest line that is taken, the first included.
    longest: usize,
    /// Bytes already looked at.
    seen: usize,
    /// Where the current line begins.
    line: usize,
    empty_lines: usize,
    /// Where the message begins, after leading empty lines.
    start: usize,
}

/// A complete head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// After leading empty lines.
    pub(crate) start: usize,
    /// After the empty line that ends the head.
    pub(crate) end: usize,
}

impl Default for Scanner {
    /// Lines as long as a head may be.
    fn default() -> Self {
        Self::of_lines(HEAD_CAPACITY)
    }
}

impl Scanner {
    /// For lines of at most so many bytes.
    pub(crate) fn of_lines(longest: usize) -> Self {
        Self { longest, seen: 0, line: 0, empty_lines: 0, start: 0 }
    }

    /// The bounds of the head in `bytes`, or none when more must arrive. `bytes` must begin with what earlier
    /// calls were given.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Result<Option<Bounds>, HeadError> {
        while let Some(found) = bytes.get(self.seen..).and_then(|rest| memchr(b'\n', rest)) {
            let line_feed = self.seen + found;
            let line = &bytes[self.line..line_feed];
            let too_long = self.too_long();
            self.seen = line_feed + 1;
            self.line = self.seen;
            let Some((b'\r', content)) = line.split_last() else { return Err(HeadError::BareLineFeed) };
            if content.len() > self.longest {
                return Err(too_long);
            }
            if content.is_empty() {
                if line_feed - 1 == self.start {
                    self.start = self.seen;
                    self.empty_lines += 1;
                    if self.empty_lines > MOST_EMPTY_LINES {
                        return Err(HeadError::NoStart);
                    }
                    continue;
                }
                return Ok(Some(Bounds { start: self.start, end: self.seen }));
            }
            if memchr::memchr2(b'\r', 0, content).is_some() {
                return Err(HeadError::ControlInLine);
            }
        }
        self.seen = bytes.len();
        if bytes.len() - self.line > self.longest + 2 {
            return Err(self.too_long());
        }
        Ok(None)
    }

    fn too_long(&self) -> HeadError {
        if self.line == self.start { HeadError::LongStart } else { HeadError::LongLine }
    }

    /// Whether nothing but empty lines has arrived.
    pub(crate) fn is_at_start(&self) -> bool {
        self.seen == self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(bytes: &[u8]) -> Result<Option<Bounds>, HeadError> {
        Scanner::default().scan(bytes)
    }

    #[test]
    fn finds_the_end_and_skips_leading_empty_lines() {
        assert_eq!(whole(b"GET / HTTP/1.1\r\n\r\nrest"), Ok(Some(Bounds { start: 0, end: 18 })));
        assert_eq!(whole(b"\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n"), Ok(Some(Bounds { start: 2, end: 26 })));
        assert_eq!(whole(b"GET / HTTP/1.1\r\nA: b\r\n"), Ok(None));
        assert_eq!(whole(b"\r\n\r\n\r\n"), Err(HeadError::NoStart));
    }

    #[test]
    fn refuses_what_others_might_read_as_a_line_end() {
        assert_eq!(whole(b"GET / HTTP/1.1\n\r\n"), Err(HeadError::BareLineFeed));
        assert_eq!(whole(b"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n"), Err(HeadError::ControlInLine));
        assert_eq!(whole(b"GET / HTTP/1.1\r\nA: \0\r\n\r\n"), Err(HeadError::ControlInLine));
        assert_eq!(whole(&[b'a'; HEAD_CAPACITY + 3]), Err(HeadError::LongStart));
        let line = |length: usize| {
            let head = [b"GET / HTTP/1.1\r\n", &b"a".repeat(length)[..], b"\r\n\r\n"].concat();
            Scanner::of_lines(100).scan(&head).map(|found| found.is_some())
        };
        assert_eq!([line(100), line(101)], [Ok(true), Err(HeadError::LongLine)]);
    }

    proptest! {
        #[test]
        fn the_way_bytes_arrive_changes_nothing(
            parts in proptest::collection::vec("(\r\n|\n|\r|a|: |GET / HTTP/1.1\r\n|\r\n\r\n)", 0..12),
            cuts in proptest::collection::vec(0_usize..64, 0..6),
        ) {
            let bytes = parts.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let mut scanner = Scanner::default();
            let mut piecewise = Ok(None);
            for cut in cuts {
                piecewise = scanner.scan(&bytes[..cut]);
                if !matches!(piecewise, Ok(None)) {
                    break;
                }
            }
            prop_assert_eq!(piecewise, whole(&bytes));
        }
    }
}
