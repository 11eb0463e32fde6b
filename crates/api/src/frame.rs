//! Frames of an `exec` or `run` connection after its upgrade: one byte of kind, four of length (big endian), payload.

use bytes::Bytes;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// `Upgrade:` token of the protocol.
pub const PROTOCOL: &str = "mainstay-frames";

/// Longest payload accepted; writers stay far below.
const LONGEST: u32 = 1 << 20;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Client to agent: standard input.
    Stdin(Bytes),
    /// Client to agent: no more standard input.
    StdinEnd,
    /// Client to agent: the terminal has this many rows and columns.
    Resize { rows: u16, columns: u16 },
    /// Agent to client: standard output.
    Stdout(Bytes),
    /// Agent to client: standard error.
    Stderr(Bytes),
    /// Agent to client: it ended with this status. The last frame.
    Exit(i32),
    /// Agent to client: it could not be run. The last frame.
    Error(String),
}

/// Writes one frame.
///
/// # Errors
/// The connection's.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> io::Result<()> {
    let (kind, payload) = match frame {
        Frame::Stdin(bytes) => (0, bytes.clone()),
        Frame::StdinEnd => (1, Bytes::new()),
        Frame::Resize { rows, columns } => {
            (2, Bytes::copy_from_slice(&[rows.to_be_bytes(), columns.to_be_bytes()].concat()))
        }
        Frame::Stdout(bytes) => (3, bytes.clone()),
        Frame::Stderr(bytes) => (4, bytes.clone()),
        Frame::Exit(status) => (5, Bytes::copy_from_slice(&status.to_be_bytes())),
        Frame::Error(text) => (6, Bytes::copy_from_slice(text.as_bytes())),
    };
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    to.write_u8(kind).await?;
    to.write_u32(length).await?;
    to.write_all(&payload).await?;
    to.flush().await
}

/// Reads one frame; `None` at a clean end.
///
/// # Errors
/// The connection's, and frames that break the protocol.
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let kind = match from.read_u8().await {
        Ok(kind) => kind,
        Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = from.read_u32().await?;
    if length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    from.read_exact(&mut payload).await?;
    decode(kind, payload)
        .map(Some)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a malformed frame"))
}

fn decode(kind: u8, payload: Vec<u8>) -> Option<Frame> {
    Some(match kind {
        0 => Frame::Stdin(payload.into()),
        1 => Frame::StdinEnd,
        2 => {
            let [r0, r1, c0, c1] = <[u8; 4]>::try_from(payload).ok()?;
            Frame::Resize { rows: u16::from_be_bytes([r0, r1]), columns: u16::from_be_bytes([c0, c1]) }
        }
        3 => Frame::Stdout(payload.into()),
        4 => Frame::Stderr(payload.into()),
        5 => Frame::Exit(i32::from_be_bytes(payload.try_into().ok()?)),
        6 => Frame::Error(String::from_utf8_lossy(&payload).into_owned()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_frame_comes_back_as_it_was() {
        let frames = [
            Frame::Stdin(Bytes::from_static(b"\0x")),
            Frame::StdinEnd,
            Frame::Resize { rows: 24, columns: 300 },
            Frame::Stdout(Bytes::new()),
            Frame::Exit(-9),
            Frame::Error("no".into()),
        ];
        let mut wire = Vec::new();
        for frame in &frames {
            write(&mut wire, frame).await.unwrap();
        }
        let mut from = wire.as_slice();
        for frame in frames {
            assert_eq!(read(&mut from).await.unwrap(), Some(frame));
        }
        assert_eq!(read(&mut from).await.unwrap(), None);
    }
}
