//! Passing a body on compressed.
//!
//! What arrives is passed on at once, readable by itself: an event that waited for the encoder's next block would be late.
//! Knows nothing about heads and about which bodies are compressed.

use super::body::{BodyError, Framing, Passage};
use super::chunked::Decoded;
use crate::buffer::{Buf, Out};
use crate::client::Watch;
use crate::compress::{Encoder, Step};
use crate::sink::{Piece, Sink};
use crate::source::Source;
use crate::transport::TransportError;
use mainstay_model::ContentCoding;
use std::io;

/// Bytes compressed in one turn: half a millisecond of work, where passing on as much takes microseconds.
const TURN: usize = 4 * 1024;

impl Passage<'_> {
    /// As [`Passage::run`] does, with the body in `coding`.
    pub(super) async fn run_encoded<R, W, C>(
        mut self,
        coding: ContentCoding,
        head: &mut Vec<u8>,
        reader: &mut R,
        slot: &mut Option<Buf>,
        writer: &mut W,
        mut watch: Option<&mut C>,
    ) -> Result<(), BodyError>
    where
        R: Source,
        W: Sink,
        C: Watch,
    {
        let failed = |error| BodyError::Sink(TransportError::Io(error));
        let mut encoder = Encoder::new(coding).map_err(failed)?;
        let mut coded = Out::take();
        let mut watching = watch.is_some();
        loop {
            let mut taken = Decoded { data: 0, read: 0, done: self.framing.is_done() };
            if let (Some(buf), false) = (slot.as_mut(), taken.done) {
                taken = self.framing.take(buf.filled_mut())?;
            }
            let data = slot.as_ref().map_or(&[][..], |buf| &buf.filled()[..taken.data]);
            coded.clear();
            if !data.is_empty() || taken.done {
                let step = if taken.done { Step::Finish } else { Step::Flush };
                encode(&mut encoder, data, step, &mut coded).await.map_err(failed)?;
            }
            if let Some(buf) = slot {
                buf.consume(taken.read);
                if buf.is_empty() {
                    *slot = None;
                }
            }
            self.write_coded(head, &coded, taken.done, writer).await?;
            if taken.done {
                return Ok(());
            }
            if taken.data >= TURN {
                tokio::task::yield_now().await;
            }
            if self.more(taken.data, reader, slot, &mut watch, &mut watching).await? == 0 {
                if !matches!(self.framing, Framing::UntilClose) {
                    return Err(BodyError::Truncated);
                }
                reader.take_trailers().into_iter().for_each(|trailers| writer.keep_trailers(trailers));
                coded.clear();
                encoder.encode(b"", Step::Finish, &mut coded).map_err(failed)?;
                return self.write_coded(head, &coded, true, writer).await;
            }
        }
    }

    async fn write_coded<W: Sink>(
        &self,
        head: &mut Vec<u8>,
        data: &[u8],
        is_last: bool,
        writer: &mut W,
    ) -> Result<(), BodyError> {
        let piece = Piece { data, coding: self.coding, is_last };
        let written = writer.write_piece(head, piece, self.deadline, self.write_patience).await;
        written.map_err(BodyError::Sink)?;
        if let Some(tally) = self.tally {
            tally.add_sent(data.len());
        }
        Ok(())
    }
}

/// Compresses all of `data`; others have their turns meanwhile.
async fn encode(encoder: &mut Encoder, data: &[u8], step: Step, out: &mut Vec<u8>) -> io::Result<()> {
    let (before, last) = data.split_at(data.len().saturating_sub(1) / TURN * TURN);
    for piece in before.chunks(TURN) {
        encoder.encode(piece, Step::Continue, out)?;
        tokio::task::yield_now().await;
    }
    encoder.encode(last, step, out)
}
