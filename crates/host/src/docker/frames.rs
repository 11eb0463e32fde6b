//! The framing of output that comes without a terminal: `docs.docker.com/reference/api/engine`, "Stream format".

use bytes::{Buf, Bytes, BytesMut};

/// Which stream of a process something was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Output {
    /// Standard output; with a terminal, everything.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Takes pieces as they come and gives whole frames.
#[derive(Debug)]
pub(super) struct Frames {
    buffer: BytesMut,
    /// With a terminal there are no frames: all bytes are output.
    raw: bool,
}

/// Header of a frame: the stream, three zeros, the payload's length in big-endian order.
const HEADER: usize = 8;

impl Frames {
    pub(super) fn new(raw: bool) -> Self {
        Self { buffer: BytesMut::new(), raw }
    }

    pub(super) fn feed(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole frame, where there is one.
    pub(super) fn next(&mut self) -> Option<(Output, Bytes)> {
        if self.raw {
            return (!self.buffer.is_empty()).then(|| (Output::Stdout, self.buffer.split().freeze()));
        }
        let header: [u8; HEADER] = self.buffer.get(..HEADER)?.try_into().ok()?;
        let [stream, _, _, _, a, b, c, d] = header;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        if self.buffer.len() < HEADER + length {
            return None;
        }
        self.buffer.advance(HEADER);
        let payload = self.buffer.split_to(length).freeze();
        // 0 is stdin's echo, 1 stdout, 2 stderr, 3 an error of the Engine itself.
        Some((if stream >= 2 { Output::Stderr } else { Output::Stdout }, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_whole_wherever_they_were_cut() {
        let wire = [&[1, 0, 0, 0, 0, 0, 0, 2][..], b"hi", &[2, 0, 0, 0, 0, 0, 0, 1], b"!"].concat();
        for cut in 0..wire.len() {
            let mut frames = Frames::new(false);
            let mut seen = Vec::new();
            for piece in [&wire[..cut], &wire[cut..]] {
                frames.feed(piece);
                seen.extend(std::iter::from_fn(|| frames.next()));
            }
            assert_eq!(
                seen,
                [(Output::Stdout, Bytes::from("hi")), (Output::Stderr, Bytes::from("!"))],
                "cut at {cut}"
            );
        }
    }
}
