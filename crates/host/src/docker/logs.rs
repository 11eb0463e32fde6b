//! What containers wrote.

use super::error::DockerError;
use super::frames::{Frames, Output};
use super::lifecycle::shown as shown_container;
use super::wire::{Answer, Call, escape};
use super::{Docker, time};
use bytes::Bytes;
use mainstay_model::Timestamp;
use std::collections::VecDeque;

/// Longest line that is kept whole, bytes; the Engine itself cuts at 16 KiB and marks what goes on.
const LONGEST_LINE: usize = 1 << 20;

/// Which lines of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// Go on as lines are written, until the container ends.
    pub follow: bool,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
    /// Only so many of the last ones.
    pub tail: Option<u64>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written; `None` where the Engine's time cannot be read.
    pub time: Option<Timestamp>,
    /// Where to.
    pub stream: Output,
    /// Without the line end. Bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// Lines as they come. Dropping it hangs up.
pub struct LogStream {
    answer: Answer,
    frames: Frames,
    lines: Lines,
}

impl Docker {
    /// Reads the log of `container`.
    ///
    /// # Errors
    /// [`DockerError::Refused`] when its logging driver cannot be read.
    pub async fn logs(&self, container: &str, request: &LogRequest) -> Result<LogStream, DockerError> {
        let LogRequest { follow, since, until, tail } = request;
        let terminal = self.inspect(container).await?.config.tty;
        let mut call = Call::get(
            format!("/containers/{}/logs", escape(container)),
            format!("log of {}", shown_container(container)),
        )
        .query("stdout", "true")
        .query("stderr", "true")
        .query("timestamps", "true")
        .query("follow", if *follow { "true" } else { "false" })
        .query("tail", &tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string()))
        .patient();
        if let Some(since) = since {
            call = call.query("since", &time::seconds(*since));
        }
        if let Some(until) = until {
            call = call.query("until", &time::seconds(*until));
        }
        let answer = self.wire.send(call).await?;
        Ok(LogStream {
            answer,
            frames: Frames::new(terminal),
            lines: Lines { raw: terminal, ..Lines::default() },
        })
    }
}

impl LogStream {
    /// The next line; `None` at the end of the log, or of the container where it is followed. Safe to cancel.
    pub async fn next(&mut self) -> Result<Option<LogLine>, DockerError> {
        loop {
            if let Some(line) = self.lines.ready.pop_front() {
                return Ok(Some(line));
            }
            if let Some((stream, payload)) = self.frames.next() {
                self.lines.take(stream, &payload);
                continue;
            }
            match self.answer.piece().await? {
                Some(piece) => self.frames.feed(&piece),
                None if self.lines.finish() => {}
                None => return Ok(None),
            }
        }
    }
}

/// Puts lines together. The Engine writes every piece of a line with a time before it: one piece a frame, or
/// with a terminal, where there are no frames, as text.
#[derive(Default)]
struct Lines {
    raw: bool,
    out: Partial,
    err: Partial,
    ready: VecDeque<LogLine>,
}

#[derive(Default)]
struct Partial {
    time: Option<Timestamp>,
    text: Vec<u8>,
    begun: bool,
}

impl Lines {
    fn take(&mut self, stream: Output, payload: &Bytes) {
        let partial = match stream {
            Output::Stdout => &mut self.out,
            Output::Stderr => &mut self.err,
        };
        if self.raw {
            for piece in payload.split_inclusive(|byte| *byte == b'\n') {
                partial.text.extend_from_slice(piece);
                if piece.ends_with(b"\n") || partial.text.len() > LONGEST_LINE {
                    let (time, text) = stamped(&partial.text);
                    self.ready.push_back(LogLine { time, stream, text: shown(text) });
                    partial.text.clear();
                }
            }
            return;
        }
        let (time, text) = stamped(payload);
        if !partial.begun {
            (partial.begun, partial.time) = (true, time);
        }
        partial.text.extend_from_slice(text);
        if partial.text.ends_with(b"\n") || partial.text.len() > LONGEST_LINE {
            self.ready.push_back(LogLine { time: partial.time, stream, text: shown(&partial.text) });
            *partial = Partial::default();
        }
    }

    /// Gives up waiting for the ends of lines; whether that made any.
    fn finish(&mut self) -> bool {
        let raw = self.raw;
        for (stream, partial) in [(Output::Stdout, &mut self.out), (Output::Stderr, &mut self.err)] {
            let Partial { time, text, begun: _ } = std::mem::take(partial);
            if text.is_empty() {
                continue;
            }
            let (time, text) = if raw { stamped(&text) } else { (time, text.as_slice()) };
            self.ready.push_back(LogLine { time, stream, text: shown(text) });
        }
        !self.ready.is_empty()
    }
}

/// Splits `2026-01-02T03:04:05.123456789Z text`.
fn stamped(line: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let Some(space) = line.iter().position(|byte| *byte == b' ') else { return (None, line) };
    let time = line.get(..space).and_then(|text| std::str::from_utf8(text).ok()).and_then(time::parse);
    match (time, line.get(space + 1..)) {
        (Some(time), Some(rest)) => (Some(time), rest),
        _ => (None, line),
    }
}

fn shown(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_pieces_is_one_line_with_the_time_of_its_first() {
        let mut lines = Lines::default();
        lines.take(Output::Stdout, &Bytes::from("1970-01-01T00:00:01Z begin "));
        lines.take(Output::Stderr, &Bytes::from("1970-01-01T00:00:02Z between\n"));
        lines.take(Output::Stdout, &Bytes::from("1970-01-01T00:00:03Z end\n"));
        let seen: Vec<_> = lines.ready.iter().map(|l| (l.time.unwrap().0, l.text.as_str())).collect();
        assert_eq!(seen, [(2000, "between"), (1000, "begin end")]);
    }

    #[test]
    fn a_last_line_without_end_is_not_lost() {
        let mut lines = Lines { raw: true, ..Lines::default() };
        lines.take(Output::Stdout, &Bytes::from("1970-01-01T00:00:01Z a\r\n1970-01-01T00:00:02Z b"));
        assert!(lines.finish());
        let seen: Vec<_> = lines.ready.iter().map(|l| l.text.as_str()).collect();
        assert_eq!(seen, ["a", "b"]);
        lines.ready.clear();
        assert!(!lines.finish());
    }
}
