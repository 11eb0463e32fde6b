//! Where frames begin in a WebSocket byte stream (RFC 6455, 5.2), to end it politely between two of them.
//!
//! Only lengths are read. Knows nothing about messages or sockets.

/// A close frame with status 1001, "going away", as a server sends it: unmasked.
pub(crate) const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// Follows the frames of one direction.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    header: [u8; Self::LONGEST_HEADER],
    header_len: usize,
    payload_left: u64,
}

impl Frames {
    /// Two bytes, eight of length, four of mask.
    const LONGEST_HEADER: usize = 14;

    /// Whether the next byte begins a frame.
    pub(crate) fn at_boundary(&self) -> bool {
        self.header_len == 0 && self.payload_left == 0
    }

    /// Takes in what was passed on.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let step = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(bytes.len());
                self.payload_left -= step as u64;
                bytes = &bytes[step..];
                continue;
            }
            self.header[self.header_len] = bytes[0];
            self.header_len += 1;
            bytes = &bytes[1..];
            if self.header_len == self.needed() {
                self.payload_left = self.payload();
                self.header_len = 0;
            }
        }
    }

    /// Length of the current header, as far as its bytes tell.
    fn needed(&self) -> usize {
        if self.header_len < 2 {
            return 2;
        }
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        match self.header[1] & 0x7f {
            126 => 4 + mask,
            127 => 10 + mask,
            _ => 2 + mask,
        }
    }

    fn payload(&self) -> u64 {
        let sum = |bytes: &[u8]| bytes.iter().fold(0, |sum, b| (sum << 8) | u64::from(*b));
        match self.header[1] & 0x7f {
            126 => sum(&self.header[2..4]),
            127 => sum(&self.header[2..10]),
            short => u64::from(short),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![0x82];
        match payload {
            0..=125 => bytes.push(mask | payload as u8),
            126..=0xffff => {
                bytes.push(mask | 126);
                bytes.extend_from_slice(&(payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend_from_slice(&(payload as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + if masked { 4 } else { 0 } + payload, 0xff);
        bytes
    }

    #[test]
    fn boundaries_are_found_however_the_bytes_arrive() {
        for size in [0, 1, 125, 126, 70_000] {
            for masked in [false, true] {
                let bytes = frame(size, masked);
                for step in [1, 3, bytes.len()] {
                    let mut frames = Frames::default();
                    let mut seen = 0;
                    for piece in bytes.chunks(step) {
                        frames.follow(piece);
                        seen += piece.len();
                        assert_eq!(
                            frames.at_boundary(),
                            seen == bytes.len(),
                            "{size} {masked} {step} {seen}"
                        );
                    }
                }
            }
        }
    }
}
