//! What BuildKit reports while it builds: `moby.buildkit.v1.StatusResponse`, a protocol buffer of which a few
//! fields matter.
//!
//! Knows nothing about HTTP. Fields that are not known here are skipped, as the format intends.

/// One report.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) vertexes: Vec<Vertex>,
    pub(super) transfers: Vec<Transfer>,
    pub(super) logs: Vec<Log>,
}

/// A step of the build, as far as it has come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Vertex {
    pub(super) digest: String,
    pub(super) name: String,
    pub(super) cached: bool,
    /// Milliseconds since the epoch.
    pub(super) started: Option<u64>,
    pub(super) completed: Option<u64>,
    pub(super) error: String,
}

/// Something that a step counts, such as bytes of a layer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) id: String,
    pub(super) vertex: String,
    pub(super) current: u64,
    pub(super) total: u64,
}

/// What a step wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) vertex: String,
    /// 1 is standard output, 2 standard error.
    pub(super) stream: u64,
    pub(super) message: Vec<u8>,
}

/// Reads a report. `None` when it is no protocol buffer.
pub(super) fn read(bytes: &[u8]) -> Option<Status> {
    let mut status = Status::default();
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => status.vertexes.push(vertex(bytes)?),
            (2, Value::Bytes(bytes)) => status.transfers.push(transfer(bytes)?),
            (3, Value::Bytes(bytes)) => status.logs.push(log(bytes)?),
            _ => {}
        }
    }
    Some(status)
}

fn vertex(bytes: &[u8]) -> Option<Vertex> {
    let mut vertex = Vertex::default();
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => vertex.digest = text(bytes),
            (3, Value::Bytes(bytes)) => vertex.name = text(bytes),
            (4, Value::Number(number)) => vertex.cached = number != 0,
            (5, Value::Bytes(bytes)) => vertex.started = Some(time(bytes)?),
            (6, Value::Bytes(bytes)) => vertex.completed = Some(time(bytes)?),
            (7, Value::Bytes(bytes)) => vertex.error = text(bytes),
            _ => {}
        }
    }
    Some(vertex)
}

fn transfer(bytes: &[u8]) -> Option<Transfer> {
    let mut transfer = Transfer::default();
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => transfer.id = text(bytes),
            (2, Value::Bytes(bytes)) => transfer.vertex = text(bytes),
            (4, Value::Number(number)) => transfer.current = number,
            (5, Value::Number(number)) => transfer.total = number,
            _ => {}
        }
    }
    Some(transfer)
}

fn log(bytes: &[u8]) -> Option<Log> {
    let mut log = Log::default();
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => log.vertex = text(bytes),
            (3, Value::Number(number)) => log.stream = number,
            (4, Value::Bytes(bytes)) => log.message = bytes.to_vec(),
            _ => {}
        }
    }
    Some(log)
}

/// `google.protobuf.Timestamp` in milliseconds.
fn time(bytes: &[u8]) -> Option<u64> {
    let (mut seconds, mut nanos) = (0_u64, 0_u64);
    for field in Fields(bytes) {
        match field? {
            (1, Value::Number(number)) => seconds = number,
            (2, Value::Number(number)) => nanos = number,
            _ => {}
        }
    }
    Some(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a fixed width; nothing of what is read here is.
    Skipped,
}

/// The fields of one message, in order, by number; `None` once for what cannot be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Skipped)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Skipped)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        // Seven bits a byte, at most ten bytes.
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    fn decode(text: &str) -> Vec<u8> {
        base64::engine::general_purpose::STANDARD.decode(text).unwrap()
    }

    #[test]
    fn reports_of_an_engine_are_read() {
        // Recorded from Debian's Engine 20.10.
        let log = "GmAKR3NoYTI1Njo3N2Q0MzM3MjFiNzkzYjQzMzE4NmI4YjQ0YmJmMGE0YzMzOGY4NDRiNzFiMDZiM2NkNzE4YTdlNjljYWM4\
                   OGYxEgwI65OR2AYQhpGD1AEYASIFaGkgNwo=";
        let status = read(&decode(log)).unwrap();
        assert_eq!((status.logs[0].stream, status.logs[0].message.as_slice()), (1, &b"hi 7\n"[..]));
        let vertex = "CosBCkdzaGEyNTY6NTE3Mjc2ZDI3ZTZkMTg0NDg0YzA2MzljYmVhNTllZGExMWE0OTk3NDExMDU1ODNiOGRkZTZmYWZj\
                      Njk2YmM1YRokW2ludGVybmFsXSBsb2FkIHJlbW90ZSBidWlsZCBjb250ZXh0KgwI6pOR2AYQwMPwwQMyDAjqk5HYBhC+\
                      gcLOAw==";
        let status = read(&decode(vertex)).unwrap();
        let vertex = &status.vertexes[0];
        assert_eq!(vertex.name, "[internal] load remote build context");
        assert!(vertex.started.unwrap() < vertex.completed.unwrap());
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_no_panic() {
        let whole = decode("GmAKR3NoYTI1Ng==");
        assert_eq!(read(&whole), None);
        // Field 15 as a number, then a field of eight bytes, then one of a kind that does not exist.
        assert_eq!(read(&[0x78, 0x01, 0x09, 0, 0, 0, 0, 0, 0, 0, 0]), Some(Status::default()));
        assert_eq!(read(&[0x0f]), None);
        assert_eq!(read(&[0xff; 12]), None);
    }
}
