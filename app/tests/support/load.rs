//! A steady load: for each host one client that keeps its connection and one that makes a new one each time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two requests of one client: it is the machine's to share with what is tested.
const PACE: Duration = Duration::from_millis(8);

/// Clients at work.
pub struct Load {
    end: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn begin(port: u16, hosts: &[&str]) -> Self {
        let (end, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let failures = Arc::new(Mutex::new(Vec::new()));
        let kinds = hosts.iter().flat_map(|host| [(host, true), (host, false)]);
        let clients = kinds.map(|(host, keep)| {
            let (end, answered, failures) = (end.clone(), answered.clone(), failures.clone());
            let host = (*host).to_owned();
            std::thread::spawn(move || {
                let mut kept = None;
                while !end.load(Ordering::Relaxed) {
                    match request(port, &host, keep, &mut kept) {
                        Ok(_) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Err(why) => {
                            kept = None;
                            failures.lock().unwrap().push(format!("{host}, keep {keep}: {why}"));
                        }
                    }
                    std::thread::sleep(PACE);
                }
            })
        });
        let clients = clients.collect();
        Self { end, answered, failures, clients }
    }

    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Failures since this was last asked.
    pub fn failures(&self) -> Vec<String> {
        std::mem::take(&mut self.failures.lock().unwrap())
    }

    /// Waits for requests under way; how many were answered, and what failed.
    pub fn end(mut self) -> (u64, Vec<String>) {
        self.end.store(true, Ordering::Relaxed);
        self.clients.drain(..).for_each(|client| client.join().unwrap());
        (self.answered(), self.failures())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

/// The version that answers at `host`.
pub fn version(port: u16, host: &str) -> Result<String, String> {
    let page = request(port, host, false, &mut None)?;
    let rest = page.split_once("<h1>Version ").ok_or("not the page")?.1;
    Ok(rest.chars().take_while(char::is_ascii_digit).collect())
}

/// One request; its body when the answer was 200 and whole.
fn request(port: u16, host: &str, keep: bool, kept: &mut Option<TcpStream>) -> Result<String, String> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => TcpStream::connect(("127.0.0.1", port)).map_err(|e| format!("cannot connect: {e}"))?,
    };
    stream.set_read_timeout(Some(super::PATIENCE)).map_err(|e| e.to_string())?;
    let close = if keep { "" } else { "Connection: close\r\n" };
    let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{close}\r\n");
    stream.write_all(head.as_bytes()).map_err(|e| format!("cannot send: {e}"))?;
    let mut read = Vec::new();
    let mut part = [0; 8192];
    loop {
        if let Some((body, closes)) = whole(&read)? {
            if keep && !closes {
                *kept = Some(stream);
            }
            return Ok(body);
        }
        match stream.read(&mut part) {
            Ok(0) => return Err(format!("closed after {} bytes", read.len())),
            Ok(count) => read.extend_from_slice(&part[..count]),
            Err(error) => return Err(format!("broken after {} bytes: {error}", read.len())),
        }
    }
}

/// The body and whether the connection ends, once all of it is there.
fn whole(read: &[u8]) -> Result<Option<(String, bool)>, String> {
    let text = String::from_utf8_lossy(read);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    let head = head.to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length: usize = field("content-length:").and_then(|l| l.parse().ok()).unwrap_or(0);
    if body.len() < length {
        return Ok(None);
    }
    match head.split(' ').nth(1) {
        Some("200") => Ok(Some((body.to_owned(), field("connection:") == Some("close")))),
        status => Err(format!("answered {status:?}")),
    }
}
