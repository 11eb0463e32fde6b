//! Any bytes as a chunked body, cut anywhere: where it ends and what it holds does not depend on the cuts, and is what hyper
//! finds where hyper takes it.

#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use mainstay_edge::fuzz::chunked;
use mainstay_fuzz::{NEXT, hyper};

#[derive(Debug, arbitrary::Arbitrary)]
struct Input<'b> {
    cuts: [u8; 4],
    body: &'b [u8],
}

fuzz_target!(|input: Input<'_>| {
    let Input { cuts, body } = input;
    let mut cuts = cuts.map(usize::from);
    cuts.sort_unstable();
    let whole = chunked(body, &[]);
    assert_eq!(whole, chunked(body, &cuts), "the cuts change it");
    assert_eq!(whole, chunked(body, &(1..body.len()).collect::<Vec<_>>()), "one by one it is another");
    let Some((data, length)) = whole else { return };
    let head = b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let theirs = hyper(&[&head[..], &body[..length], NEXT].concat());
    let Some(Some(found)) = theirs.first().map(|seen| &seen.body) else { return };
    assert_eq!(found, &data, "hyper reads another body");
    assert!(theirs.get(1).is_some_and(|next| next.target == "/next"), "hyper ends elsewhere: {theirs:?}");
});
