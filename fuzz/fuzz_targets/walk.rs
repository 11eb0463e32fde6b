//! Any `X-Forwarded-For`, from a trusted proxy and from anybody: the client is the last address that is no trusted proxy, found
//! here in the simplest way there is, and nothing to the left of it counts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_edge::fuzz::walk;
use std::net::{IpAddr, SocketAddr};

fn is_trusted(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 10)
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse::<IpAddr>().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(ip.to_canonical())
}

fuzz_target!(|bytes: &[u8]| {
    let stranger: IpAddr = [192, 0, 2, 1].into();
    assert_eq!(walk(stranger, bytes), (stranger, Vec::new()), "a stranger was believed");
    let proxy: IpAddr = [10, 0, 0, 1].into();
    let (client, via) = walk(proxy, bytes);

    let elements: Vec<&[u8]> = bytes.split(|byte| *byte == b',').collect();
    let mut expected = proxy;
    for element in elements.iter().rev() {
        let Some(ip) = std::str::from_utf8(element.trim_ascii()).ok().and_then(|text| address(text.trim())) else { break };
        expected = ip;
        if !is_trusted(ip) {
            break;
        }
    }
    assert_eq!(client, expected);
    // What is passed on of the chain are trusted proxies only.
    for element in via.split(|byte| *byte == b',').filter(|element| !element.trim_ascii().is_empty()) {
        let ip = std::str::from_utf8(element.trim_ascii()).ok().and_then(|text| address(text.trim()));
        assert!(ip.is_some_and(is_trusted), "{:?} is passed on", element.escape_ascii().to_string());
    }
    // Whatever an unknown one writes before it changes nothing.
    let before = [b"1.2.3.4, junk, ".as_slice(), bytes].concat();
    if !is_trusted(client) {
        assert_eq!(walk(proxy, &before).0, client);
    }
});
