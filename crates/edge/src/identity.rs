//! Who the client of a request is: the peer of its connection, or whom a trusted proxy names.
//!
//! Nobody else's word counts, and a chain of proxies is walked from its near end, as far as they are trusted: what stands
//! beyond was written by somebody unknown. Knows nothing about connections and routes.

use crate::client::Scheme;
use crate::cloudflare;
use ipnet::IpNet;
use mainstay_model::TrustedProxy;
use std::net::{IpAddr, SocketAddr};

/// Proxies whose word counts.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    cloudflare: Vec<IpNet>,
    others: Vec<IpNet>,
}

/// What a request says about its client; only a trusted proxy's counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Claims<'b> {
    /// `CF-Connecting-IP`.
    pub(crate) cloudflare: Option<&'b [u8]>,
    /// `X-Forwarded-For`; of several fields the last, which is the nearest proxy's.
    pub(crate) x_forwarded_for: Option<&'b [u8]>,
    /// `Forwarded` (RFC 7239), likewise.
    pub(crate) forwarded: Option<&'b [u8]>,
    /// `X-Forwarded-Proto`.
    pub(crate) scheme: Option<&'b [u8]>,
}

/// The client, and what vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client<'b> {
    pub(crate) ip: IpAddr,
    /// Its proxies as the trusted ones name them, the nearest last, without the peer itself: for `X-Forwarded-For`.
    pub(crate) via: &'b [u8],
    /// The peer is a trusted proxy.
    pub(crate) is_vouched: bool,
    /// It is Cloudflare that named the client.
    pub(crate) by_cloudflare: bool,
    /// The scheme the client used, by a trusted proxy's word.
    pub(crate) scheme: Option<Scheme>,
}

impl<'b> Claims<'b> {
    /// Takes in one field.
    pub(crate) fn add(&mut self, name: &str, value: &'b [u8]) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            9 if is("forwarded") => self.forwarded = Some(value),
            15 if is("x-forwarded-for") => self.x_forwarded_for = Some(value),
            16 if is("cf-connecting-ip") => self.cloudflare = Some(value),
            17 if is("x-forwarded-proto") => self.scheme = Some(value),
            _ => {}
        }
    }
}

impl Trust {
    /// `ranges` are Cloudflare's networks, where others are known than were when this was built.
    pub(crate) fn new(proxies: &[TrustedProxy], ranges: &[IpNet]) -> Self {
        let mut trust = Self::default();
        for proxy in proxies {
            match proxy {
                TrustedProxy::Cloudflare if ranges.is_empty() => {
                    trust.cloudflare.extend(cloudflare::networks())
                }
                TrustedProxy::Cloudflare => trust.cloudflare.extend(ranges),
                TrustedProxy::Net(net) => trust.others.push(*net),
            }
        }
        trust
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cloudflare.is_empty() && self.others.is_empty()
    }

    pub(crate) fn covers(&self, ip: IpAddr) -> bool {
        self.is_cloudflare(ip) || self.others.iter().any(|net| net.contains(&ip))
    }

    fn is_cloudflare(&self, ip: IpAddr) -> bool {
        self.cloudflare.iter().any(|net| net.contains(&ip))
    }

    /// The client of a request that came from `peer`.
    pub(crate) fn client<'b>(&self, peer: IpAddr, claims: &Claims<'b>) -> Client<'b> {
        let peer = peer.to_canonical();
        let alone = Client { ip: peer, via: b"", is_vouched: false, by_cloudflare: false, scheme: None };
        if self.is_empty() || !self.covers(peer) {
            return alone;
        }
        let scheme = claims.scheme.and_then(|scheme| match scheme.trim_ascii() {
            s if s.eq_ignore_ascii_case(b"https") => Some(Scheme::Https),
            s if s.eq_ignore_ascii_case(b"http") => Some(Scheme::Http),
            _ => None,
        });
        let vouched = Client { is_vouched: true, scheme, ..alone };
        if self.is_cloudflare(peer)
            && let Some(ip) = claims.cloudflare.and_then(parse)
        {
            return Client { ip, by_cloudflare: true, ..vouched };
        }
        let Some((ip, via)) = self.walk(claims) else { return vouched };
        Client { ip, via, ..vouched }
    }

    /// From the right, the first address that is not a trusted proxy's, or the leftmost when all are.
    fn walk<'b>(&self, claims: &Claims<'b>) -> Option<(IpAddr, &'b [u8])> {
        let mut best = None;
        match (claims.x_forwarded_for, claims.forwarded) {
            (Some(chain), _) => {
                for (element, rest) in from_the_right(chain) {
                    // What cannot be read ends the walk: nothing beyond it can be believed.
                    let Some(ip) = parse(element) else { break };
                    best = Some((ip, rest));
                    if !self.covers(ip) {
                        break;
                    }
                }
            }
            (None, Some(chain)) => {
                for (element, _) in from_the_right(chain) {
                    let Some(ip) = forwarded_for(element) else { break };
                    best = Some((ip, &b""[..]));
                    if !self.covers(ip) {
                        break;
                    }
                }
            }
            (None, None) => {}
        }
        best
    }
}

/// The elements of a list from its end, each with what follows it.
fn from_the_right(list: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut end = Some(list.len());
    std::iter::from_fn(move || {
        let until = end?;
        let start = list[..until].iter().rposition(|b| *b == b',').map_or(0, |comma| comma + 1);
        end = start.checked_sub(1);
        let rest = list.get(until + 1..).unwrap_or_default().trim_ascii();
        Some((list[start..until].trim_ascii(), rest))
    })
}

/// `for=` of one element of `Forwarded`. Obfuscated names and `unknown` are no address.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let pairs = element.split(|b| *b == b';').map(<[u8]>::trim_ascii);
    let mut named = pairs.filter_map(|pair| {
        let (name, value) = pair.split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    });
    let value = named.next()?;
    parse(value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value))
}

/// An address, with or without a port, IPv6 with or without brackets.
fn parse(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trust(list: &[&str]) -> Trust {
        let proxies: Vec<_> = list
            .iter()
            .map(|text| match *text {
                "cloudflare" => TrustedProxy::Cloudflare,
                net => TrustedProxy::Net(net.parse().unwrap()),
            })
            .collect();
        Trust::new(&proxies, &[])
    }

    fn client(trust: &Trust, peer: &str, claims: &Claims<'_>) -> String {
        let client = trust.client(peer.parse().unwrap(), claims);
        format!("{} [{}]", client.ip, String::from_utf8_lossy(client.via))
    }

    fn chain(text: &str) -> Claims<'_> {
        Claims { x_forwarded_for: Some(text.as_bytes()), ..Claims::default() }
    }

    #[test]
    fn a_chain_is_believed_from_its_near_end_as_far_as_it_is_trusted() {
        let lan = trust(&["10.0.0.0/8", "fd00::/8"]);
        assert_eq!(client(&lan, "10.0.0.1", &chain("9.9.9.9, 192.0.2.7")), "192.0.2.7 []");
        assert_eq!(client(&lan, "10.0.0.1", &chain("9.9.9.9, 192.0.2.7, 10.1.1.1")), "192.0.2.7 [10.1.1.1]");
        assert_eq!(client(&lan, "10.0.0.1", &chain("10.3.3.3,10.2.2.2")), "10.3.3.3 [10.2.2.2]");
        assert_eq!(client(&lan, "10.0.0.1", &chain("192.0.2.7, nonsense, 10.2.2.2")), "10.2.2.2 []");
        assert_eq!(client(&lan, "10.0.0.1", &chain("")), "10.0.0.1 []");
        assert_eq!(
            client(&lan, "::ffff:10.0.0.1", &chain("[2001:db8::1]:443, fd00::2")),
            "2001:db8::1 [fd00::2]"
        );
        assert_eq!(client(&lan, "10.0.0.1", &Claims::default()), "10.0.0.1 []");
    }

    #[test]
    fn nobody_elses_word_counts() {
        let lan = trust(&["10.0.0.0/8", "cloudflare"]);
        let all = Claims {
            cloudflare: Some(b"1.1.1.1"),
            x_forwarded_for: Some(b"2.2.2.2"),
            forwarded: Some(b"for=3.3.3.3"),
            scheme: Some(b"https"),
        };
        let stranger = lan.client("192.0.2.7".parse().unwrap(), &all);
        assert_eq!((stranger.ip.to_string().as_str(), stranger.is_vouched), ("192.0.2.7", false));
        assert_eq!(stranger.scheme, None);
        // A proxy that is trusted but is not Cloudflare cannot speak for it.
        assert_eq!(client(&lan, "10.0.0.1", &all), "2.2.2.2 []");
        assert_eq!(client(&lan, "104.16.3.4", &all), "1.1.1.1 []");
        assert_eq!(client(&lan, "2606:4700::5", &all), "1.1.1.1 []");
        assert_eq!(client(&trust(&[]), "104.16.3.4", &all), "104.16.3.4 []");
    }

    #[test]
    fn other_ranges_of_cloudflare_take_the_place_of_those_known_here() {
        let newer = Trust::new(&[TrustedProxy::Cloudflare], &["203.0.113.0/24".parse().unwrap()]);
        let claims = Claims { cloudflare: Some(b"1.1.1.1"), ..Claims::default() };
        assert_eq!(client(&newer, "203.0.113.9", &claims), "1.1.1.1 []");
        assert_eq!(client(&newer, "104.16.3.4", &claims), "104.16.3.4 []");
    }

    #[test]
    fn forwarded_counts_where_there_is_no_x_forwarded_for() {
        let lan = trust(&["10.0.0.0/8"]);
        let read = |text: &str| {
            client(&lan, "10.0.0.1", &Claims { forwarded: Some(text.as_bytes()), ..Claims::default() })
        };
        assert_eq!(
            read("for=9.9.9.9, For=\"[2001:db8::1]:4711\";proto=https, for=10.2.2.2"),
            "2001:db8::1 []"
        );
        assert_eq!(read("for=192.0.2.7;by=10.0.0.1"), "192.0.2.7 []");
        assert_eq!(read("for=_hidden"), "10.0.0.1 []");
        assert_eq!(read("for=unknown, for=10.2.2.2"), "10.2.2.2 []");
    }

    proptest! {
        #[test]
        fn whatever_a_client_writes_before_the_trusted_part_changes_nothing(
            spoofed in "[ -~]{0,40}",
            hops in 0_usize..4,
        ) {
            let lan = trust(&["10.0.0.0/8"]);
            let mut text = format!("{spoofed},192.0.2.7");
            for hop in 0..hops {
                text.push_str(&format!(", 10.0.0.{hop}"));
            }
            let found = lan.client("10.9.9.9".parse().unwrap(), &chain(&text));
            prop_assert_eq!(found.ip.to_string(), "192.0.2.7");
        }
    }
}
