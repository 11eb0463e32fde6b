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

/// Bytes compressed in one turn. Few answers are longer: those that pause in the middle have an encoder each, and more of
/// them than a thread keeps are made anew each time, which costs as much as the compressing.
const fn turn(coding: ContentCoding) -> usize {
    match coding {
        // A tenth of a millisecond.
        ContentCoding::Gzip | ContentCoding::Zstd => 32 * 1024,
        // Half a millisecond; its encoders are made anew anyway.
        ContentCoding::Brotli => 4 * 1024,
    }
}

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
        let (mut encoder, turn) = (Encoder::new(coding).map_err(failed)?, turn(coding));
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
                encode(&mut encoder, data, turn, step, &mut coded).await.map_err(failed)?;
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
            if taken.data >= turn {
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
async fn encode(
    encoder: &mut Encoder,
    data: &[u8],
    turn: usize,
    step: Step,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let (before, last) = data.split_at(data.len().saturating_sub(1) / turn * turn);
    for piece in before.chunks(turn) {
        encoder.encode(piece, Step::Continue, out)?;
        tokio::task::yield_now().await;
    }
    encoder.encode(last, step, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// How often compressing so many bytes pauses.
    fn pauses(coding: ContentCoding, length: usize) -> usize {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _runtime = runtime.enter();
        let (mut encoder, mut out) = (Encoder::new(coding).unwrap(), Vec::new());
        let data = vec![b'x'; length];
        let mut encoding = pin!(encode(&mut encoder, &data, turn(coding), Step::Finish, &mut out));
        let cx = &mut Context::from_waker(Waker::noop());
        std::iter::repeat_with(|| encoding.as_mut().poll(cx)).take_while(Poll::is_pending).count()
    }

    #[test]
    fn an_answer_of_twenty_kilobytes_needs_no_second_encoder_beside_it() {
        for coding in [ContentCoding::Gzip, ContentCoding::Zstd] {
            assert_eq!(pauses(coding, 20 * 1024), 0);
            assert_eq!(pauses(coding, 20 * turn(coding)), 19);
        }
        assert_eq!(pauses(ContentCoding::Brotli, 20 * 1024), 4);
    }
}
