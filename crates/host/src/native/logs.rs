//! Reading an instance's log as a stream.

use super::files::Files;
use super::log::{Cursor, LogLine};
use super::{Native, NativeError, blocking};
use futures_util::Stream;
use mainstay_model::{InstanceId, StackName, Timestamp};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// Between two looks at a log that is being followed. Short enough to feel immediate; a look is three system calls.
const POLL: Duration = Duration::from_millis(100);

/// Lines read ahead of a slow reader.
const AHEAD: usize = 1024;

/// Lines of a log, oldest first. Dropping it ends the reading.
#[derive(Debug)]
pub struct LogStream {
    lines: mpsc::Receiver<Result<LogLine, NativeError>>,
}

impl LogStream {
    /// The next line; `None` at the end.
    pub async fn next_line(&mut self) -> Option<Result<LogLine, NativeError>> {
        self.lines.recv().await
    }
}

impl Stream for LogStream {
    type Item = Result<LogLine, NativeError>;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.lines.poll_recv(context)
    }
}

impl Native {
    /// The log of an instance: lines not older than `since`, of those the last `tail`, and with `follow` what comes
    /// until it ends, across rotations.
    ///
    /// # Errors
    /// [`NativeError::Missing`] here; failures to read come as an item of the stream, which then ends.
    pub async fn logs(
        &self,
        stack: &StackName,
        id: &InstanceId,
        follow: bool,
        since: Option<Timestamp>,
        tail: Option<usize>,
    ) -> Result<LogStream, NativeError> {
        self.stream(self.files(stack, id), follow, since, tail).await
    }

    pub(super) async fn stream(
        &self,
        files: Files,
        follow: bool,
        since: Option<Timestamp>,
        tail: Option<usize>,
    ) -> Result<LogStream, NativeError> {
        let looked = files.clone();
        blocking("read the log", move || looked.launch()).await?;
        let (sender, lines) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            if let Err(error) = send(&files, follow, since, tail, &sender).await {
                let _reader_gone = sender.send(Err(error)).await;
            }
        });
        Ok(LogStream { lines })
    }
}

async fn send(
    files: &Files,
    follow: bool,
    since: Option<Timestamp>,
    tail: Option<usize>,
    sender: &mpsc::Sender<Result<LogLine, NativeError>>,
) -> Result<(), NativeError> {
    let path = files.log();
    let mut cursor = Cursor::new(&path, since);
    if tail.is_some() {
        let kept;
        (cursor, kept) = read(cursor, files, move |cursor| cursor.read_all(tail)).await?;
        for line in kept {
            if sender.send(Ok(line)).await.is_err() {
                return Ok(());
            }
        }
    }
    loop {
        // Asked before reading: what an ended instance wrote is then all there.
        let looked = files.clone();
        let status = blocking("read the log", move || looked.status()).await?;
        let running = status.is_some_and(|status| status.is_running());
        loop {
            let lines;
            (cursor, lines) = read(cursor, files, Cursor::read).await?;
            if lines.is_empty() {
                break;
            }
            for line in lines {
                if sender.send(Ok(line)).await.is_err() {
                    return Ok(());
                }
            }
        }
        if !follow || !running {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = sender.closed() => return Ok(()),
        }
    }
}

async fn read<T: Send + 'static>(
    mut cursor: Cursor,
    files: &Files,
    how: impl FnOnce(&mut Cursor) -> io::Result<T> + Send + 'static,
) -> Result<(Cursor, T), NativeError> {
    let path = files.log();
    blocking("read the log", move || {
        let read = how(&mut cursor).map_err(NativeError::file("read", path))?;
        Ok((cursor, read))
    })
    .await
}
