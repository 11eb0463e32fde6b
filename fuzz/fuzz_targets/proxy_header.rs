//! Any bytes before a connection: a PROXY header is read to its last byte and not beyond, and says the same whatever follows.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_edge::fuzz::proxy_header;
use std::net::IpAddr;

fuzz_target!(|bytes: &[u8]| {
    let Some((client, read)) = proxy_header(bytes) else { return };
    let header = &bytes[..read];
    assert_eq!(proxy_header(header), Some((client, read)), "what follows changes it");
    assert!(proxy_header(&header[..read - 1]).is_none(), "it was read as whole before its end");
    assert_eq!(proxy_header(&[header, &b"GET / HTTP/1.1\r\n\r\n"[..]].concat()), Some((client, read)));
    match (header[0], client) {
        // Version 1 names the client in words.
        (b'P', Some(client)) => {
            let text = std::str::from_utf8(header).unwrap();
            let word: IpAddr = text.split(' ').nth(2).unwrap().parse().unwrap();
            assert_eq!(client.ip(), word);
            assert!(text.trim_end().split(' ').count() == 6 && text.len() <= 107);
        }
        (b'P', None) => assert!(header.starts_with(b"PROXY UNKNOWN")),
        _ => assert_eq!(read, 16 + usize::from(u16::from_be_bytes([header[14], header[15]]))),
    }
});
