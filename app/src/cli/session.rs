//! A command that runs elsewhere with our standard streams: `exec`, `run` and `attach`.

use crate::error::Error;
use crate::exit::Exit;
use bytes::Bytes;
use mainstay_api::frame::{self, Frame};
use rustix::termios::{self, OptionalActions, Termios};
use std::io::{self, IsTerminal, Read, Write};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Read at once from standard input: a pipe's own buffer.
const CHUNK: usize = 64 * 1024;
/// Chunks read ahead of the connection.
const AHEAD: usize = 4;

/// Rows and columns, when standard input and output are a terminal.
pub fn terminal_size() -> Option<(u16, u16)> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return None;
    }
    let size = termios::tcgetwinsize(io::stdout()).ok()?;
    Some((size.ws_row, size.ws_col))
}

/// A terminal in raw mode: every key goes to the command. Set back when dropped.
struct Raw(Termios);

impl Raw {
    fn set() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal is gone, and nobody looks at it.
        let _gone = termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// Keys that, typed one after the other, let go of what runs elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys(Vec<u8>);

/// `ctrl-p,ctrl-q` and the like (docs.docker.com, `docker attach`, "Override the detach sequence").
///
/// # Errors
/// What is wrong, in words.
pub fn keys(text: &str) -> Result<Keys, String> {
    let one = |key: &str| {
        let refuse = || format!("`{key}` is no key: expected a letter, or ctrl- and one of a-z @ [ \\ ] ^ _");
        match (key.as_bytes(), key.strip_prefix("ctrl-").map(str::as_bytes)) {
            ([letter], _) if letter.is_ascii_graphic() => Ok(*letter),
            (_, Some([letter @ (b'a'..=b'z')])) => Ok(letter - b'a' + 1),
            (_, Some([sign @ (b'@' | b'['..=b'_')])) => Ok(sign - b'@'),
            _ => Err(refuse()),
        }
    };
    text.split(',').filter(|key| !key.is_empty()).map(one).collect::<Result<_, _>>().map(Keys)
}

/// How our standard streams take part.
#[derive(Debug, Clone)]
pub struct Session {
    with_terminal: bool,
    with_input: bool,
    detached_by: Keys,
}

impl Session {
    /// With a terminal in raw mode, and with standard input.
    pub fn new(with_terminal: bool, with_input: bool) -> Self {
        Self { with_terminal, with_input, detached_by: Keys::default() }
    }

    /// Where there is a terminal, these keys end the session and leave running what it was with.
    #[must_use]
    pub fn detached_by(self, keys: Keys) -> Self {
        Self { detached_by: if self.with_terminal { keys } else { Keys::default() }, ..self }
    }

    /// Passes frames both ways until the command ends; its status.
    ///
    /// # Errors
    /// The connection broke, the terminal refused, or the command could not be run.
    pub async fn run(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Exit, Error> {
        let (mut from, to) = tokio::io::split(stream);
        let raw = if self.with_terminal { Some(Raw::set().map_err(Error::Terminal)?) } else { None };
        let resized = signal(SignalKind::window_change()).map_err(Error::Terminal)?;
        let input = if self.with_input { Some(read_input()) } else { None };
        let sending = send(to, input, self.with_terminal.then_some(resized), self.detached_by);
        let mut sending = tokio::spawn(sending);
        let end = tokio::select! {
            end = receive(&mut from) => end,
            Ok(Sent::Detached) = &mut sending => Ok(Exit::Done),
        };
        sending.abort();
        drop(raw);
        end
    }
}

/// Reads standard input on a thread of its own, which ends with the process: a read cannot be called off.
fn read_input() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut buffer = vec![0; CHUNK];
        while let Ok(read) = input.read(&mut buffer) {
            let gone = sender.blocking_send(Bytes::copy_from_slice(&buffer[..read])).is_err();
            if read == 0 || gone {
                break;
            }
        }
    });
    receiver
}

/// Why nothing more is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// The user let go.
    Detached,
    /// The connection is gone; whoever reads from it says why.
    Broken,
}

async fn send(
    mut to: impl AsyncWrite + Unpin,
    mut input: Option<mpsc::Receiver<Bytes>>,
    mut resized: Option<Signal>,
    keys: Keys,
) -> Sent {
    let mut typed = 0;
    loop {
        let frame = tokio::select! {
            chunk = next_input(&mut input) => match chunk {
                Some(chunk) if keys.typed_in(&chunk, &mut typed) => return Sent::Detached,
                Some(chunk) if !chunk.is_empty() => Frame::Stdin(chunk),
                _ => {
                    input = None;
                    Frame::StdinEnd
                }
            },
            () = next_resize(&mut resized) => match terminal_size() {
                Some((rows, columns)) => Frame::Resize { rows, columns },
                None => continue,
            },
        };
        if frame::write(&mut to, &frame).await.is_err() {
            return Sent::Broken;
        }
    }
}

impl Keys {
    /// Whether `chunk` completes the sequence, of which `typed` keys have been seen so far. Unlike with Docker, keys that
    /// begin it are passed on at once.
    fn typed_in(&self, chunk: &[u8], typed: &mut usize) -> bool {
        if self.0.is_empty() {
            return false;
        }
        for byte in chunk {
            *typed = match self.0.get(*typed) {
                Some(key) if key == byte => *typed + 1,
                _ => usize::from(self.0.first() == Some(byte)),
            };
            if *typed == self.0.len() {
                return true;
            }
        }
        false
    }
}

async fn next_input(input: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    match input {
        Some(input) => input.recv().await,
        None => std::future::pending().await,
    }
}

async fn next_resize(resized: &mut Option<Signal>) {
    match resized {
        Some(resized) => {
            resized.recv().await;
        }
        None => std::future::pending().await,
    }
}

async fn receive(from: &mut (impl AsyncRead + Unpin)) -> Result<Exit, Error> {
    loop {
        let frame = frame::read(from).await.map_err(broken)?;
        match frame {
            Some(Frame::Stdout(bytes)) => write(&mut io::stdout().lock(), &bytes)?,
            Some(Frame::Stderr(bytes)) => write(&mut io::stderr().lock(), &bytes)?,
            Some(Frame::Exit(status)) => return Ok(Exit::Command(shell_status(status))),
            Some(Frame::Error(why)) => return Err(Error::NotRun(why)),
            Some(Frame::Stdin(_) | Frame::StdinEnd | Frame::Resize { .. }) => {}
            None => return Err(broken(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

fn write(out: &mut impl Write, bytes: &[u8]) -> Result<(), Error> {
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Error::Output)
}

fn broken(error: io::Error) -> Error {
    Error::Agent(mainstay_api::ClientError::Broken(error.into()))
}

/// The status as a shell would say it: that of a signal is 128 and its number.
pub fn shell_status(status: i32) -> u8 {
    let status = if status < 0 { 128 - status } else { status };
    u8::try_from(status & 0xff).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_status_of_the_command_comes_through() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        frame::write(&mut theirs, &Frame::Exit(42)).await.unwrap();
        assert_eq!(Session::new(false, false).run(ours).await.unwrap(), Exit::Command(42));
        assert_eq!(shell_status(-9), 137);
    }

    #[test]
    fn keys_that_let_go_are_seen_across_chunks() {
        let sequence = keys("ctrl-p,ctrl-q").unwrap();
        assert_eq!(sequence, Keys(vec![16, 17]));
        assert_eq!(keys("ctrl-[,a").unwrap(), Keys(vec![27, b'a']));
        assert!(keys("ctrl-1").is_err() && keys("ab").is_err());
        let mut typed = 0;
        assert!(!sequence.typed_in(&[b'x', 16], &mut typed));
        assert!(sequence.typed_in(&[17], &mut typed));
        let mut typed = 0;
        assert!(!sequence.typed_in(&[16, b'x', 17, 16], &mut typed) && typed == 1);
        assert!(!Keys::default().typed_in(b"x", &mut 0));
    }

    #[tokio::test]
    async fn an_agent_that_dies_is_an_error() {
        let (ours, theirs) = tokio::io::duplex(1024);
        drop(theirs);
        assert!(matches!(Session::new(false, false).run(ours).await, Err(Error::Agent(_))));
    }
}
