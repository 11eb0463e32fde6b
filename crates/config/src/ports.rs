//! Port mappings in their short form (Compose Specification, "ports: short syntax").

use crate::diagnostic::Span;
use crate::node::Value;
use crate::short::fields;
use std::net::IpAddr;

/// Most ports one entry may stand for. Media servers publish ranges of 10,000; each is a rule of the host.
const MOST_PORTS: u32 = 20_000;

/// Text that is no port mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing where the port of the container belongs.
    #[error("`{0}` names no port of the container")]
    NoPort(String),
    /// Not a number from 0 to 65535, or not a range of those.
    #[error("`{0}` is not a port or a range of ports")]
    NotAPort(String),
    /// Not an address.
    #[error("`{0}` is not an IP address")]
    NotAnAddress(String),
    /// Neither tcp, udp nor sctp.
    #[error("`{0}` is not a protocol: use tcp, udp or sctp")]
    NotAProtocol(String),
    /// Ranges of different lengths.
    #[error("the ranges `{0}` and `{1}` have different lengths")]
    Ranges(String, String),
    /// A range nobody means.
    #[error("`{0}` stands for more than 20000 ports")]
    TooMany(String),
}

/// One port of the container and where it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Address of the host, as text; empty when none was given.
    pub host_ip: String,
    /// Port or range of the host; empty when the Engine picks one.
    pub published: String,
    /// Port of the container.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

impl Port {
    /// The long form.
    pub fn to_value(&self, span: Span) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        let mut value = fields(
            span,
            [
                ("mode", text("ingress")),
                ("target", Value::Int(i64::from(self.target))),
                ("protocol", text(&self.protocol)),
            ],
        );
        if let Value::Map(map) = &mut value {
            for (name, given) in [("host_ip", &self.host_ip), ("published", &self.published)] {
                if !given.is_empty()
                    && let Value::Map(field) = fields(span, [(name, text(given))])
                {
                    map.extend(field);
                }
            }
        }
        value
    }
}

/// Parses `[HOST_ADDRESS:][HOST_PORT:]PORT[/PROTOCOL]`, where ports may be ranges. The ports come in the order
/// of their text, as in Compose's output.
pub fn parse(text: &str) -> Result<Vec<Port>, Error> {
    let (mapping, protocol) = match text.split_once('/') {
        Some((mapping, protocol)) => (mapping, protocol.to_ascii_lowercase()),
        None => (text, "tcp".to_owned()),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(Error::NotAProtocol(protocol));
    }
    let (host_ip, host, container) = parts(mapping);
    if container.is_empty() {
        return Err(Error::NoPort(text.to_owned()));
    }
    let host_ip = address(host_ip)?;
    let (start, end) = range(container)?;
    let host_range = if host.is_empty() { None } else { Some(range(host)?) };
    let count = u32::from(end - start) + 1;
    if count > MOST_PORTS {
        return Err(Error::TooMany(container.to_owned()));
    }
    if let Some((host_start, host_end)) = host_range
        && host_end - host_start != end - start
        && start != end
    {
        return Err(Error::Ranges(host.to_owned(), container.to_owned()));
    }
    let mut ports: Vec<Port> = (start..=end)
        .map(|target| {
            let published = match host_range {
                None => String::new(),
                Some((first, last)) if start == end && first != last => format!("{first}-{last}"),
                Some((first, _)) => (u32::from(first) + u32::from(target - start)).to_string(),
            };
            Port { host_ip: host_ip.clone(), published, target, protocol: protocol.clone() }
        })
        .collect();
    ports.sort_by_key(|p| p.target.to_string());
    Ok(ports)
}

/// Address, port of the host and port of the container, from behind.
fn parts(mapping: &str) -> (&str, &str, &str) {
    let Some((before, container)) = mapping.rsplit_once(':') else { return ("", "", mapping) };
    match before.rsplit_once(':') {
        Some((address, host)) => (address, host, container),
        None => ("", before, container),
    }
}

fn address(text: &str) -> Result<String, Error> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if bare.is_empty() || bare.parse::<IpAddr>().is_ok() {
        Ok(bare.to_owned())
    } else {
        Err(Error::NotAnAddress(text.to_owned()))
    }
}

/// `80` or `80-90`.
pub fn range(text: &str) -> Result<(u16, u16), Error> {
    let wrong = || Error::NotAPort(text.to_owned());
    let port = |t: &str| t.parse::<u16>().map_err(|_| wrong());
    let (start, end) = match text.split_once('-') {
        Some((start, end)) => (port(start)?, port(end)?),
        None => (port(text)?, port(text)?),
    };
    if end < start { Err(wrong()) } else { Ok((start, end)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> Vec<String> {
        let show = |p: Port| format!("{}|{}|{}/{}", p.host_ip, p.published, p.target, p.protocol);
        parse(text).unwrap().into_iter().map(show).collect()
    }

    #[test]
    fn every_short_form() {
        assert_eq!(show("80"), ["||80/tcp"]);
        assert_eq!(show("8080:80"), ["|8080|80/tcp"]);
        assert_eq!(show("127.0.0.1:8080:80/udp"), ["127.0.0.1|8080|80/udp"]);
        assert_eq!(show("127.0.0.1::80"), ["127.0.0.1||80/tcp"]);
        assert_eq!(show("[::1]:8080:80"), ["::1|8080|80/tcp"]);
        assert_eq!(show("9-10"), ["||10/tcp", "||9/tcp"]);
        assert_eq!(show("8000-8001:80-81"), ["|8000|80/tcp", "|8001|81/tcp"]);
        assert_eq!(show("8000-8010:80"), ["|8000-8010|80/tcp"]);
    }

    #[test]
    fn what_is_no_port() {
        for text in ["", "a", "80:", "65536", "1:2:3:4", "80/http", "8000-8002:80-81", "10-9", "1.2.3:80:80"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
