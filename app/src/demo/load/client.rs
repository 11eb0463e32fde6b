//! Just enough of HTTP/1.1 to ask the demo's own page.

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection to the edge.
#[derive(Debug)]
pub struct Connection(TcpStream);

/// What the page said.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which version answered.
    pub version: String,
    /// Which process answered.
    pub process: Option<i32>,
    /// The connection ends with this answer.
    pub closes: bool,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Asks for a page. Anything but a whole 200 is a reason.
    pub async fn get(&mut self, path: &str, keep: bool) -> Result<Answer, String> {
        let close = if keep { "" } else { "Connection: close\r\n" };
        let request = format!("GET {path} HTTP/1.1\r\nHost: demo.localhost\r\n{close}\r\n");
        self.0.write_all(request.as_bytes()).await.map_err(|error| format!("cannot send: {error}"))?;
        let mut read = Vec::with_capacity(4096);
        loop {
            if let Some(answer) = whole(&read) {
                return answer;
            }
            match self.0.read_buf(&mut read).await {
                Ok(0) if read.is_empty() => return Err("closed before an answer".into()),
                Ok(0) => return Err("closed in the middle of an answer".into()),
                Ok(_) => {}
                Err(error) => return Err(format!("broken: {error}")),
            }
        }
    }
}

/// The answer, once all of it is there.
fn whole(read: &[u8]) -> Option<Result<Answer, String>> {
    let end = read.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length: usize = field("content-length:").and_then(|text| text.parse().ok()).unwrap_or(0);
    let body = read.get(end..end + length)?;
    let status = head.split(' ').nth(1).unwrap_or("nothing");
    if status != "200" {
        return Some(Err(format!("answered {status}")));
    }
    let body = String::from_utf8_lossy(body);
    let word = |before: &str| {
        let rest = body.split_once(before)?.1;
        Some(rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().to_owned())
    };
    let Some(version) = word("<h1>Version ") else { return Some(Err("answered something else".into())) };
    let process = word("process ").and_then(|pid| pid.parse().ok());
    Some(Ok(Answer { version, process, closes: field("connection:") == Some("close") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_when_all_of_it_is_there() {
        let body = "<h1>Version 2</h1> served by process 7,";
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        for cut in 0..text.len() {
            assert_eq!(whole(&text.as_bytes()[..cut]), None, "{cut}");
        }
        let answer = Answer { version: "2".into(), process: Some(7), closes: false };
        assert_eq!(whole(text.as_bytes()), Some(Ok(answer)));
        let error = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(whole(error.as_bytes()), Some(Err("answered 502".into())));
    }
}
