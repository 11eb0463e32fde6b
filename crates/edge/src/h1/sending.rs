//! Sending what the edge has itself: bytes, and parts of files.
//!
//! Knows nothing about what is sent.

use super::field::write_number;
use super::forward::CLIENT_WRITE_PATIENCE;
use super::request::Facts;
use super::{Connection, Next};
use crate::buffer::{Buf, Out, Use};
use crate::client::Client;
use crate::error_page;
use crate::files::Content;
use crate::sink::{Coding, Piece, Sink};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// An answer of the edge's own.
pub(super) struct Sending<'s> {
    pub(super) status: u16,
    pub(super) facts: Facts,
    /// Lines of its head.
    pub(super) fields: &'s [u8],
    pub(super) keep_alive: bool,
}

impl<C: Client> Connection<'_, C> {
    pub(super) async fn send_content(&mut self, sending: Sending<'_>, content: Content) -> Next {
        let length = match &content {
            Content::None => None,
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::File(_, range) => Some(range.end - range.start),
        };
        let mut head = Out::take();
        self.write_head(&mut head, &sending, length);
        let sent = match content {
            _ if sending.facts.is_head => self.send_piece(&mut head, b"", true).await,
            Content::None => self.send_piece(&mut head, b"", true).await,
            Content::Bytes(bytes) => self.send_piece(&mut head, &bytes, true).await,
            Content::File(file, range) => self.send_file(&mut head, &file, range).await,
        };
        match (sent, sending.keep_alive) {
            (false, _) => Next::Drop,
            (true, true) => Next::Request,
            (true, false) => self.after(false, sending.facts.keep_alive),
        }
    }

    fn write_head(&self, out: &mut Vec<u8>, sending: &Sending<'_>, length: Option<u64>) {
        let Sending { status, facts, fields, keep_alive } = sending;
        out.extend_from_slice(b"HTTP/1.1 ");
        write_number(out, u64::from(*status));
        out.push(b' ');
        out.extend_from_slice(error_page::reason(*status).as_bytes());
        out.extend_from_slice(b"\r\nDate: ");
        self.worker.write_date(out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(fields);
        if let Some(length) = length {
            out.extend_from_slice(b"Content-Length: ");
            write_number(out, length);
            out.extend_from_slice(b"\r\n");
        }
        if !keep_alive {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if facts.is_http10 {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// False when the client has gone or a file turned out shorter than it was: what was promised cannot be kept.
    async fn send_file(&mut self, head: &mut Vec<u8>, file: &File, range: Range<u64>) -> bool {
        let mut at = range.start;
        let mut buf = Buf::take(Use::Body);
        loop {
            let piece = buf.spare();
            let most = usize::try_from(range.end - at).unwrap_or(piece.len()).min(piece.len());
            let count = match file.read_at(&mut piece[..most], at) {
                Ok(count) if count > 0 || most == 0 => count,
                _ => return false,
            };
            at += count as u64;
            let is_last = at >= range.end;
            if !self.send_piece(head, &piece[..count], is_last).await {
                return false;
            }
            if is_last {
                return true;
            }
        }
    }

    async fn send_piece(&mut self, head: &mut Vec<u8>, data: &[u8], is_last: bool) -> bool {
        let piece = Piece { data, coding: Coding::Plain, is_last };
        let (_, mut writer) = self.stream.split();
        let written = writer.write_piece(head, piece, &self.deadline, CLIENT_WRITE_PATIENCE).await;
        self.tally.add_sent(data.len());
        written.is_ok()
    }
}
