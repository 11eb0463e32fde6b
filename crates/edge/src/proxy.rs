//! The PROXY protocol, versions 1 and 2: who the client is, told by a load balancer before the connection's own first byte.
//!
//! Only listeners that say so expect it, and then it must be there: anybody else could claim to be anyone. It is written to
//! instances that say so. After
//! HAProxy's `proxy-protocol.txt`. Knows nothing about what follows.

use crate::clock::{Deadline, Millis};
use crate::connect::Ends;
use mainstay_model::ProxyVersion;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;

/// A load balancer sends it at once; it should fit the first packet.
const PATIENCE: Millis = 5_000;
/// Shortest line of version 1: `PROXY UNKNOWN` and its end. Nothing is read beyond the header, so no more at first.
const SHORTEST: usize = 15;
/// Longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;
/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED: usize = 16;
/// Longest rest of version 2 that is taken: addresses, and extras of any load balancer in use.
const LONGEST_REST: usize = 2048;

/// Why a connection is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("no PROXY header")]
    Malformed,
    #[error("the PROXY header took too long")]
    TimedOut,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The header that says who the client is, and where it came in; without either, that the connection is the edge's own.
pub(crate) fn header(version: ProxyVersion, ends: Option<Ends>) -> Vec<u8> {
    let ends = ends.map(|Ends { client, local }| (plain(client), plain(local)));
    match version {
        ProxyVersion::V1 => line(ends).into_bytes(),
        ProxyVersion::V2 => binary(ends),
    }
}

/// IPv4 as such, also where a socket shows it in IPv6's form.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn line(ends: Option<(SocketAddr, SocketAddr)>) -> String {
    let Some((client, local)) = ends else { return "PROXY UNKNOWN\r\n".to_owned() };
    let (from, to) = (client.port(), local.port());
    match (client.ip(), local.ip()) {
        (IpAddr::V4(client), IpAddr::V4(local)) => format!("PROXY TCP4 {client} {local} {from} {to}\r\n"),
        (client, local) => format!("PROXY TCP6 {} {} {from} {to}\r\n", wide(client), wide(local)),
    }
}

fn binary(ends: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let mut addresses = Vec::new();
    let (command, family) = match ends.map(|(client, local)| (client.ip(), local.ip())) {
        None => (0x20, 0),
        Some((IpAddr::V4(client), IpAddr::V4(local))) => {
            addresses.extend_from_slice(&[client.octets(), local.octets()].concat());
            (0x21, 0x11)
        }
        Some((client, local)) => {
            addresses.extend_from_slice(&[wide(client).octets(), wide(local).octets()].concat());
            (0x21, 0x21)
        }
    };
    if let Some((client, local)) = ends {
        addresses.extend_from_slice(&client.port().to_be_bytes());
        addresses.extend_from_slice(&local.port().to_be_bytes());
    }
    let mut out = SIGNATURE.to_vec();
    out.extend_from_slice(&[command, family]);
    // 36 bytes at most.
    out.extend_from_slice(&u16::try_from(addresses.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(&addresses);
    out
}

/// Any address in IPv6's form, for where the two are not of one family.
fn wide(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// Reads the header, to its last byte. None where it says nothing of a client: the load balancer speaks for itself, such as
/// when it looks whether we are well.
pub(crate) async fn read(stream: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyError> {
    let deadline = Deadline::new();
    deadline.arm(PATIENCE);
    let mut reading = pin!(read_header(stream));
    poll_fn(|cx| match reading.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending if deadline.passed(cx) => Poll::Ready(Err(ProxyError::TimedOut)),
        Poll::Pending => Poll::Pending,
    })
    .await
}

pub(crate) async fn read_header<R: AsyncRead + Unpin>(
    stream: &mut R,
) -> Result<Option<SocketAddr>, ProxyError> {
    let mut bytes = vec![0; SHORTEST];
    stream.read_exact(&mut bytes).await?;
    if bytes.starts_with(&SIGNATURE) {
        bytes.resize(FIXED, 0);
        stream.read_exact(&mut bytes[SHORTEST..]).await?;
        let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
        if length > LONGEST_REST {
            return Err(ProxyError::Malformed);
        }
        bytes.resize(FIXED + length, 0);
        stream.read_exact(&mut bytes[FIXED..]).await?;
        return version_2(&bytes).ok_or(ProxyError::Malformed);
    }
    while !bytes.ends_with(b"\r\n") {
        if bytes.len() == LONGEST_LINE || !bytes.starts_with(b"PROXY ") {
            return Err(ProxyError::Malformed);
        }
        // A byte at a time, as the next may be the client's own; such lines have some forty more.
        bytes.push(stream.read_u8().await?);
    }
    version_1(&bytes).ok_or(ProxyError::Malformed)
}

/// The outer none: malformed. The inner: no client.
#[expect(clippy::option_option, reason = "the two say different things")]
fn version_1(line: &[u8]) -> Option<Option<SocketAddr>> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let mut words = text.split(' ');
    if words.next()? != "PROXY" {
        return None;
    }
    let is_v4 = match words.next()? {
        "UNKNOWN" => return Some(None),
        "TCP4" => true,
        "TCP6" => false,
        _ => return None,
    };
    let (source, destination): (IpAddr, IpAddr) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (port, _): (u16, u16) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let agrees = source.is_ipv4() == is_v4 && destination.is_ipv4() == is_v4;
    (agrees && words.next().is_none()).then_some(Some(SocketAddr::new(source, port)))
}

/// The same for version 2.
#[expect(clippy::option_option, reason = "the two say different things")]
fn version_2(bytes: &[u8]) -> Option<Option<SocketAddr>> {
    let (fixed, rest) = bytes.split_first_chunk::<FIXED>()?;
    let is_proxied = match fixed[12] {
        0x20 => false,
        0x21 => true,
        _ => return None,
    };
    // Of a connection that the load balancer made for itself, and of families without addresses, nothing is said.
    if !is_proxied || matches!(fixed[13] >> 4, 0 | 3) {
        return Some(None);
    }
    let port = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    match fixed[13] {
        0x11 => {
            let ip = Ipv4Addr::from(*rest.first_chunk::<4>()?);
            Some(Some(SocketAddr::new(ip.into(), port(8)?)))
        }
        0x21 => {
            let ip = Ipv6Addr::from(*rest.first_chunk::<16>()?);
            Some(Some(SocketAddr::new(ip.into(), port(32)?)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend_from_slice(&[command, family]);
        bytes.extend_from_slice(&u16::try_from(rest.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn lines_are_read_strictly() {
        let of = |text: &str| version_1(format!("{text}\r\n").as_bytes());
        assert_eq!(of("PROXY TCP4 1.2.3.4 5.6.7.8 10 20"), Some(Some("1.2.3.4:10".parse().unwrap())));
        assert_eq!(of("PROXY TCP6 ::1 ::2 10 20"), Some(Some("[::1]:10".parse().unwrap())));
        assert_eq!(of("PROXY UNKNOWN whatever it says"), Some(None));
        for bad in [
            "PROXY TCP4 1.2.3.4 5.6.7.8 10",
            "PROXY TCP4 1.2.3.4 5.6.7.8 10 20 30",
            "PROXY TCP4 ::1 ::2 10 20",
            "PROXY TCP6 1.2.3.4 5.6.7.8 10 20",
            "PROXY TCP4 1.2.3.4 5.6.7.8 70000 20",
            "PROXY  TCP4 1.2.3.4 5.6.7.8 10 20",
            "PROXY UDP4 1.2.3.4 5.6.7.8 10 20",
            "GET / HTTP/1.1",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_binary_form_is_read_with_and_without_extras() {
        let rest = [1, 2, 3, 4, 5, 6, 7, 8, 0, 10, 0, 20, 0xee, 0, 1, 9];
        assert_eq!(version_2(&v2(0x21, 0x11, &rest)), Some(Some("1.2.3.4:10".parse().unwrap())));
        let mut six = [0; 36];
        (six[15], six[33]) = (1, 10);
        assert_eq!(version_2(&v2(0x21, 0x21, &six)), Some(Some("[::1]:10".parse().unwrap())));
        assert_eq!(version_2(&v2(0x20, 0, &[])), Some(None));
        assert_eq!(version_2(&v2(0x21, 0x31, &[0; 216])), Some(None));
        assert_eq!(version_2(&v2(0x21, 0x11, &rest[..9])), None, "cut short");
        assert_eq!(version_2(&v2(0x11, 0x11, &rest)), None, "another version");
        assert_eq!(version_2(&v2(0x21, 0x12, &rest)), None, "UDP");
    }

    #[test]
    fn what_is_written_is_read_the_same() {
        let ends = |client: &str, local: &str| Ends {
            client: client.parse().unwrap(),
            local: local.parse().unwrap(),
        };
        for (given, line, client) in [
            (ends("1.2.3.4:10", "5.6.7.8:20"), "PROXY TCP4 1.2.3.4 5.6.7.8 10 20", "1.2.3.4:10"),
            (ends("[::ffff:1.2.3.4]:10", "5.6.7.8:20"), "PROXY TCP4 1.2.3.4 5.6.7.8 10 20", "1.2.3.4:10"),
            (ends("[::1]:10", "[::2]:20"), "PROXY TCP6 ::1 ::2 10 20", "[::1]:10"),
            (ends("1.2.3.4:10", "[::2]:20"), "PROXY TCP6 ::ffff:1.2.3.4 ::2 10 20", "[::ffff:1.2.3.4]:10"),
        ] {
            let text = header(ProxyVersion::V1, Some(given));
            assert_eq!(text, format!("{line}\r\n").into_bytes());
            let client = Some(Some(client.parse().unwrap()));
            assert_eq!(version_1(&text), client);
            assert_eq!(version_2(&header(ProxyVersion::V2, Some(given))), client);
        }
        assert_eq!(version_1(&header(ProxyVersion::V1, None)), Some(None));
        assert_eq!(version_2(&header(ProxyVersion::V2, None)), Some(None));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), command: u8, family: u8) {
            let _ = version_1(&bytes);
            let _ = version_2(&v2(command, family, &bytes));
        }
    }
}
