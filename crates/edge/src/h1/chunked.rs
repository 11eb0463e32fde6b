//! Reading the chunked coding (RFC 9112, 7.1), strictly.
//!
//! Extensions are skipped within a budget, trailers are dropped within a budget, and anything another reader
//! might understand differently is refused. Knows nothing about sockets.

use std::ops::Range;

/// Bytes of extensions in a whole body. Nothing known uses them.
const EXTENSION_BUDGET: u32 = 4 * 1024;
/// Bytes of trailers.
const TRAILER_BUDGET: u32 = 8 * 1024;
/// Hexadecimal digits of a chunk size: 2^60 is no real chunk, and cannot overflow.
const MOST_DIGITS: u8 = 15;

/// What is wrong with a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChunkError {
    #[error("a chunk size is not a plain hexadecimal number")]
    Size,
    #[error("a chunk extension has a byte that does not belong there")]
    Extension,
    #[error("a chunk does not end where its size says")]
    End,
    #[error("a trailer is malformed")]
    Trailer,
    #[error("chunk extensions or trailers are too long")]
    TooLong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the digits of a size, so many seen.
    Size(u8),
    Extension(Extension),
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    Done,
}

/// Where in `;name=value` (RFC 9112, 7.1.1). What is no extension is where two readers may part ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extension {
    /// Behind `;`.
    Start,
    Name,
    /// Behind a name and white space.
    NameEnded,
    /// Behind `=`.
    Value,
    Token,
    Quoted,
    /// Behind a backslash within quotes.
    Escaped,
    /// Behind a closing quote.
    QuoteClosed,
    /// Behind a value and white space.
    ValueEnded,
}

/// A decoder, fed piece by piece.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    state: State,
    /// Bytes of the current chunk still to come; while in its size line, the size so far.
    left: u64,
    extension_left: u32,
    trailer_left: u32,
}

/// What [`Decoder::decode`] made of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Bytes of data, now at the front of the piece.
    pub(crate) data: usize,
    /// Bytes of the piece that were read. All of them, unless the body ended before.
    pub(crate) read: usize,
    /// The body is complete.
    pub(crate) done: bool,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Size(0),
            left: 0,
            extension_left: EXTENSION_BUDGET,
            trailer_left: TRAILER_BUDGET,
        }
    }

    /// Reads `piece` and moves the data in it to its front.
    pub(crate) fn decode(&mut self, piece: &mut [u8]) -> Result<Decoded, ChunkError> {
        let mut read = 0;
        let mut data = 0;
        while self.state != State::Done && read < piece.len() {
            if self.state == State::Data {
                let run = self.data_run(read, piece.len());
                if run.start != data {
                    piece.copy_within(run.clone(), data);
                }
                data += run.len();
                read = run.end;
            } else {
                self.step(piece[read])?;
                read += 1;
            }
        }
        Ok(Decoded { data, read, done: self.state == State::Done })
    }

    fn data_run(&mut self, from: usize, len: usize) -> Range<usize> {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(len - from);
        self.left -= count as u64;
        if self.left == 0 {
            self.state = State::DataCr;
        }
        from..from + count
    }

    fn step(&mut self, byte: u8) -> Result<(), ChunkError> {
        self.state = match (self.state, byte) {
            (State::Size(digits), _) => self.size(digits, byte)?,
            (State::Extension(at), _) => spend(&mut self.extension_left, at.next(byte)?)?,
            (State::SizeLf, b'\n') if self.left == 0 => State::TrailerStart,
            (State::SizeLf, b'\n') => State::Data,
            (State::SizeLf, _) => return Err(ChunkError::Size),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size(0),
            (State::DataCr | State::DataLf, _) => return Err(ChunkError::End),
            (State::TrailerStart, b'\r') => State::LastLf,
            (State::TrailerStart | State::TrailerName, byte) if is_token(byte) => {
                spend(&mut self.trailer_left, State::TrailerName)?
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => {
                spend(&mut self.trailer_left, State::TrailerValue)?
            }
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::LastLf, b'\n') => State::Done,
            _ => return Err(ChunkError::Trailer),
        };
        Ok(())
    }

    fn size(&mut self, digits: u8, byte: u8) -> Result<State, ChunkError> {
        if digits == 0 {
            self.left = 0;
        }
        if let Some(digit) = char::from(byte).to_digit(16) {
            if digits == MOST_DIGITS {
                return Err(ChunkError::Size);
            }
            self.left = self.left * 16 + u64::from(digit);
            return Ok(State::Size(digits + 1));
        }
        match byte {
            b'\r' if digits > 0 => Ok(State::SizeLf),
            b';' if digits > 0 => Ok(State::Extension(Extension::Start)),
            _ => Err(ChunkError::Size),
        }
    }
}

impl Extension {
    fn next(self, byte: u8) -> Result<State, ChunkError> {
        use Extension::{Escaped, Name, NameEnded, QuoteClosed, Quoted, Start, Token, Value, ValueEnded};
        Ok(State::Extension(match (self, byte) {
            (Name | Token | QuoteClosed, b'\r') => return Ok(State::SizeLf),
            (Quoted, b'"') => QuoteClosed,
            (Quoted, b'\\') => Escaped,
            (Quoted | Escaped, b'\t' | b' '..=b'~' | 0x80..) => Quoted,
            (Name | NameEnded | Token | QuoteClosed | ValueEnded, b';') => Start,
            (Name | NameEnded, b'=') => Value,
            (Value, b'"') => Quoted,
            (Start | Name, byte) if is_token(byte) => Name,
            (Value | Token, byte) if is_token(byte) => Token,
            (Name | NameEnded, b' ' | b'\t') => NameEnded,
            (Token | QuoteClosed | ValueEnded, b' ' | b'\t') => ValueEnded,
            (Start | Value, b' ' | b'\t') => self,
            _ => return Err(ChunkError::Extension),
        }))
    }
}

fn spend(budget: &mut u32, next: State) -> Result<State, ChunkError> {
    *budget = budget.checked_sub(1).ok_or(ChunkError::TooLong)?;
    Ok(next)
}

/// A byte of a token (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Appends a chunk's size line.
pub(crate) fn write_size(out: &mut Vec<u8>, size: usize) {
    let mut started = false;
    for shift in (0..usize::BITS / 4).rev() {
        let digit = (size >> (shift * 4)) & 0xf;
        if digit != 0 || started || shift == 0 {
            started = true;
            out.push(b"0123456789abcdef"[digit]);
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes `bytes` cut at `cuts`; returns the data and what was left over.
    fn decode(bytes: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, Option<Vec<u8>>), ChunkError> {
        let mut cuts: Vec<usize> =
            cuts.iter().map(|c| *c.min(&bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let mut decoder = Decoder::new();
        let mut data = Vec::new();
        for pair in cuts.windows(2) {
            let mut piece = bytes[pair[0]..pair[1]].to_vec();
            let decoded = decoder.decode(&mut piece)?;
            data.extend_from_slice(&piece[..decoded.data]);
            if decoded.done {
                return Ok((data, Some(bytes[pair[0] + decoded.read..].to_vec())));
            }
        }
        Ok((data, None))
    }

    #[test]
    fn reads_chunks_extensions_and_trailers() {
        let body = b"5\r\nhello\r\n1; a = \"b \\\"c\" ;d;e=f\r\n!\r\n000\r\nX: y\r\n\r\nGET";
        assert_eq!(decode(body, &[]), Ok((b"hello!".to_vec(), Some(b"GET".to_vec()))));
        assert_eq!(decode(b"3\r\nab", &[]), Ok((b"ab".to_vec(), None)));
    }

    #[test]
    fn refuses_what_can_be_read_in_two_ways() {
        for (bad, why) in [
            (&b"\r\n"[..], ChunkError::Size),
            (b"0x5\r\n", ChunkError::Size),
            (b"+5\r\n", ChunkError::Size),
            (b"-1\r\n", ChunkError::Size),
            (b" 5\r\n", ChunkError::Size),
            (b"5 \r\n", ChunkError::Size),
            (b"5\n", ChunkError::Size),
            (b"5\r5", ChunkError::Size),
            (b";a\r\n", ChunkError::Size),
            (b"fffffffffffffffff\r\n", ChunkError::Size),
            (b"5;a\n", ChunkError::Extension),
            (b"5;\0\r\n", ChunkError::Extension),
            (b"5;\r\n", ChunkError::Extension),
            (b"5;=a\r\n", ChunkError::Extension),
            (b"5;a=\r\n", ChunkError::Extension),
            (b"5;a b\r\n", ChunkError::Extension),
            (b"5;a=b c\r\n", ChunkError::Extension),
            (b"5;a=\"b\r\n", ChunkError::Extension),
            (b"5;a=\"b\"c\r\n", ChunkError::Extension),
            (b"1\r\nab\r\n", ChunkError::End),
            (b"1\r\na\n", ChunkError::End),
            (b"1\r\na\r\r", ChunkError::End),
            (b"0\r\n X: y\r\n\r\n", ChunkError::Trailer),
            (b"0\r\nX : y\r\n\r\n", ChunkError::Trailer),
            (b"0\r\n\n", ChunkError::Trailer),
            (b"0\r\nX: y\n\r\n", ChunkError::Trailer),
            (b"0\r\n\rX", ChunkError::Trailer),
        ] {
            assert_eq!(decode(bad, &[]), Err(why), "{:?}", String::from_utf8_lossy(bad));
        }
        let long = [b"1;".to_vec(), vec![b'a'; 5000]].concat();
        assert_eq!(decode(&long, &[]), Err(ChunkError::TooLong));
        let long = [b"0\r\na:".to_vec(), vec![b'a'; 9000]].concat();
        assert_eq!(decode(&long, &[]), Err(ChunkError::TooLong));
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_out_however_it_is_cut(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
            cuts in proptest::collection::vec(0_usize..400, 0..10),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                write_size(&mut wire, chunk.len());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\nnext");
            let (data, rest) = decode(&wire, &cuts).unwrap();
            prop_assert_eq!(data, chunks.concat());
            prop_assert_eq!(rest.as_deref(), Some(&b"next"[..]));
        }

        #[test]
        fn any_bytes_give_the_same_answer_however_they_are_cut(
            bytes in proptest::collection::vec(proptest::sample::select(&b"0123aF;x=\":\r\n \0\x80"[..]), 0..60),
            cuts in proptest::collection::vec(0_usize..60, 0..10),
        ) {
            prop_assert_eq!(decode(&bytes, &cuts), decode(&bytes, &[]));
        }

        #[test]
        fn sizes_are_written_as_they_are_read(size in 1_usize..1 << 40) {
            let mut line = Vec::new();
            write_size(&mut line, size);
            prop_assert_eq!(line, format!("{size:x}\r\n").into_bytes());
        }
    }
}
