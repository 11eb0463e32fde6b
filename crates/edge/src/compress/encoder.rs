//! The codings themselves, one piece of a body after the other.
//!
//! Each thread keeps the states of a few encoders, which are large and cost more to make than a small body to compress.
//! Knows nothing about headers.

use brotli::CompressorWriter as BrotliWriter;
use flate2::{Compress, FlushCompress, Status};
use mainstay_model::ContentCoding;
use std::cell::RefCell;
use std::io::{self, Write};
use zstd::stream::raw::{Encoder as Zstd, InBuffer, Operation, OutBuffer};

/// nginx's level too: half the bytes of the next ones' gains for a third of their time.
const GZIP_LEVEL: u32 = 1;
/// gzip's largest window (RFC 1951).
const GZIP_WINDOW: u8 = 15;
/// Compresses better than gzip's 1 and is faster.
const ZSTD_LEVEL: i32 = 3;
/// What is advised for answers made on the fly; from 5 on the time grows faster than the gain.
const BROTLI_QUALITY: u32 = 4;
/// 256 KiB: what a response on the fly has use for; the largest would take 16 MiB a connection.
const BROTLI_WINDOW: u32 = 18;
/// Encoders kept for reuse by a thread, of each kind: as many as it works on at once under common loads.
const KEEP: usize = 8;
/// Room made at a time in the output.
const ROOM: usize = 16 * 1024;

/// What comes after a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// More, at once.
    Continue,
    /// More, nobody knows when: what is there must be readable by itself.
    Flush,
    /// Nothing.
    Finish,
}

/// A body being compressed.
pub(crate) struct Encoder(Option<State>);

enum State {
    Gzip(Compress),
    Zstd(Zstd<'static>),
    /// None once it is finished.
    Brotli(Option<Box<BrotliWriter<Vec<u8>>>>),
}

thread_local! {
    static FREE: RefCell<Free> = const { RefCell::new(Free { gzip: Vec::new(), zstd: Vec::new() }) };
}

struct Free {
    gzip: Vec<Compress>,
    zstd: Vec<Zstd<'static>>,
}

impl Encoder {
    /// # Errors
    /// The encoder cannot be made: memory is short.
    pub(crate) fn new(coding: ContentCoding) -> io::Result<Self> {
        let state = match coding {
            ContentCoding::Gzip => {
                let reused = FREE.with_borrow_mut(|free| free.gzip.pop());
                let fresh = || Compress::new_gzip(flate2::Compression::new(GZIP_LEVEL), GZIP_WINDOW);
                State::Gzip(reused.unwrap_or_else(fresh))
            }
            ContentCoding::Zstd => match FREE.with_borrow_mut(|free| free.zstd.pop()) {
                Some(reused) => State::Zstd(reused),
                None => State::Zstd(Zstd::new(ZSTD_LEVEL)?),
            },
            ContentCoding::Brotli => {
                let writer = BrotliWriter::new(Vec::new(), ROOM, BROTLI_QUALITY, BROTLI_WINDOW);
                State::Brotli(Some(Box::new(writer)))
            }
        };
        Ok(Self(Some(state)))
    }

    /// Appends what `piece` becomes to `out`.
    ///
    /// # Errors
    /// The encoder failed; what was written so far is of no use.
    pub(crate) fn encode(&mut self, piece: &[u8], step: Step, out: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.0 {
            Some(State::Gzip(state)) => gzip(state, piece, step, out),
            Some(State::Zstd(state)) => zstd(state, piece, step, out),
            Some(State::Brotli(state)) => brotli(state, piece, step, out),
            None => Ok(()),
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let Some(state) = self.0.take() else { return };
        // The thread may be ending and its list gone.
        let _ = FREE.try_with(|free| {
            let Ok(mut free) = free.try_borrow_mut() else { return };
            match state {
                State::Gzip(mut state) if free.gzip.len() < KEEP => {
                    state.reset();
                    free.gzip.push(state);
                }
                State::Zstd(mut state) => {
                    if free.zstd.len() < KEEP && state.reinit().is_ok() {
                        free.zstd.push(state);
                    }
                }
                State::Gzip(_) | State::Brotli(_) => {}
            }
        });
    }
}

fn gzip(state: &mut Compress, mut piece: &[u8], step: Step, out: &mut Vec<u8>) -> io::Result<()> {
    let flush = match step {
        Step::Continue => FlushCompress::None,
        Step::Flush => FlushCompress::Sync,
        Step::Finish => FlushCompress::Finish,
    };
    loop {
        out.reserve(ROOM);
        let before = state.total_in();
        let status = state.compress_vec(piece, out, flush).map_err(io::Error::other)?;
        let taken = usize::try_from(state.total_in() - before).unwrap_or(piece.len());
        piece = piece.get(taken..).unwrap_or_default();
        // With room left over, everything asked for has been written.
        let is_through = piece.is_empty() && (step == Step::Continue || out.len() < out.capacity());
        if status == Status::StreamEnd || (step != Step::Finish && is_through) {
            return Ok(());
        }
    }
}

fn zstd(state: &mut Zstd<'static>, piece: &[u8], step: Step, out: &mut Vec<u8>) -> io::Result<()> {
    let mut input = InBuffer::around(piece);
    loop {
        out.reserve(ROOM);
        let end = out.len();
        let mut into = OutBuffer::around_pos(out, end);
        if input.pos() < piece.len() {
            state.run(&mut input, &mut into)?;
            continue;
        }
        let left = match step {
            Step::Continue => 0,
            Step::Flush => state.flush(&mut into)?,
            Step::Finish => state.finish(&mut into, true)?,
        };
        if left == 0 {
            return Ok(());
        }
    }
}

fn brotli(
    state: &mut Option<Box<BrotliWriter<Vec<u8>>>>,
    piece: &[u8],
    step: Step,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let Some(writer) = state else { return Ok(()) };
    writer.write_all(piece)?;
    match step {
        Step::Continue => {}
        Step::Flush => {
            writer.flush()?;
            out.append(writer.get_mut());
        }
        Step::Finish => out.append(&mut state.take().map(|writer| writer.into_inner()).unwrap_or_default()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn decode(coding: ContentCoding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        // What is cut off reads as an error after all that was whole.
        let _cut = match coding {
            ContentCoding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
            ContentCoding::Zstd => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut out),
            ContentCoding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
        };
        out
    }

    #[test]
    fn what_goes_on_at_once_comes_out_whole() {
        let plain: Vec<u8> = (0..100_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        for coding in [ContentCoding::Gzip, ContentCoding::Zstd, ContentCoding::Brotli] {
            let (mut encoder, mut coded) = (Encoder::new(coding).unwrap(), Vec::new());
            for piece in plain.chunks(4096) {
                encoder.encode(piece, Step::Continue, &mut coded).unwrap();
            }
            encoder.encode(b"", Step::Finish, &mut coded).unwrap();
            assert!(decode(coding, &coded) == plain, "{coding:?}");
        }
    }

    #[test]
    fn what_is_flushed_can_be_read_at_once_and_encoders_are_used_again() {
        let noise = |seed: u32| -> Vec<u8> {
            let mut x = seed | 1;
            let mut next = || {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (x >> 24) as u8
            };
            (0..70_000).map(|n| if n % 3 == 0 { next() } else { b'a' }).collect()
        };
        for coding in [ContentCoding::Gzip, ContentCoding::Zstd, ContentCoding::Brotli] {
            for round in 0..3_u32 {
                let mut encoder = Encoder::new(coding).unwrap();
                let (mut plain, mut coded) = (Vec::new(), Vec::new());
                for piece in [b"data: 1\n\n".to_vec(), noise(round), Vec::new(), b"x".to_vec()] {
                    encoder.encode(&piece, Step::Flush, &mut coded).unwrap();
                    plain.extend(piece);
                    assert!(decode(coding, &coded) == plain, "{coding:?} round {round}");
                }
                encoder.encode(b"end", Step::Finish, &mut coded).unwrap();
                plain.extend(b"end");
                assert!(decode(coding, &coded) == plain && coded.len() < plain.len(), "{coding:?}");
            }
        }
    }
}
