//! What clients of WebSockets may do, well or badly (RFC 6455, 7692): the bytes of each case, and nothing about what must
//! come of them.

use flate2::{Compress, Compression, FlushCompress};

/// One case: the fields that its handshake has beyond the usual ones, and what is done after it.
pub struct Case {
    pub name: String,
    pub fields: String,
    pub steps: Vec<Step>,
    pub end: End,
}

/// Something that is sent, and how many frames are waited for before the next: a server may answer a message before or
/// after a close that comes with it.
pub struct Step {
    pub sent: Vec<u8>,
    pub replies: usize,
}

impl Case {
    pub fn size(&self) -> usize {
        self.steps.iter().map(|step| step.sent.len()).sum()
    }
}

/// What the client does when it has sent everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It waits for the server to end.
    Wait,
    /// It ends its side, and waits.
    HalfClose,
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FIN: u8 = 0x80;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame; `first` is its first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        middle @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A frame whose length is written in so many bytes, whatever it is.
fn frame_long(first: u8, payload: &[u8], length: &[u8]) -> Vec<u8> {
    let marker = if length.len() == 2 { 126 } else { 127 };
    let mut bytes = vec![first, 0x80 | marker];
    bytes.extend_from_slice(length);
    bytes.extend_from_slice(&frame(first, payload)[2..]);
    bytes
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

/// What compresses messages as a client does that keeps its dictionary.
fn deflate(compress: &mut Compress, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 1024);
    compress.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
    // RFC 7692, 7.2.1: the empty block that the flush left goes without saying.
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

#[derive(Default)]
struct List(Vec<Case>);

impl List {
    fn add(&mut self, name: impl Into<String>, fields: &str, steps: Vec<Step>, end: End) {
        self.0.push(Case { name: name.into(), fields: fields.into(), steps, end });
    }

    /// A case that gets so many answers, and that the client ends with a close frame.
    fn closed(&mut self, name: impl Into<String>, frames: &[Vec<u8>], replies: usize) {
        self.add(name, "", closed(frames.concat(), replies), End::Wait);
    }

    /// A case that the server has to end, or where the client has sent its own end.
    fn bad(&mut self, name: impl Into<String>, frames: &[Vec<u8>]) {
        self.add(name, "", vec![Step { sent: frames.concat(), replies: 0 }], End::Wait);
    }
}

fn closed(sent: Vec<u8>, replies: usize) -> Vec<Step> {
    vec![Step { sent, replies }, Step { sent: close(1000, b""), replies: 0 }]
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut list = List::default();
    sizes(&mut list);
    control(&mut list);
    fragments(&mut list);
    forbidden(&mut list);
    text(&mut list);
    closes(&mut list);
    ends(&mut list);
    extensions(&mut list);
    list.0
}

fn sizes(list: &mut List) {
    for size in [0, 1, 2, 125, 126, 127, 128, 4096, 65_534, 65_535, 65_536, 65_537, 1 << 20, 16 << 20] {
        list.closed(format!("text of {size}"), &[frame(FIN | TEXT, &vec![b'*'; size])], 1);
        let bytes: Vec<u8> = (0..size).map(|place| (place % 251) as u8).collect();
        list.closed(format!("binary of {size}"), &[frame(FIN | BINARY, &bytes)], 1);
    }
    list.closed("many small ones", &vec![frame(FIN | TEXT, b"x"); 1000], 1000);
    list.closed(
        "a length of two bytes for five",
        &[frame_long(FIN | TEXT, b"hello", &5_u16.to_be_bytes())],
        1,
    );
    list.closed(
        "a length of eight bytes for five",
        &[frame_long(FIN | TEXT, b"hello", &5_u64.to_be_bytes())],
        1,
    );
    list.bad("a length of 2^63", &[frame_long(FIN | TEXT, b"hello", &(1_u64 << 63).to_be_bytes())]);
}

fn control(list: &mut List) {
    for size in [0, 1, 125] {
        list.closed(format!("ping of {size}"), &[frame(FIN | PING, &vec![0xfe; size])], 1);
        list.closed(
            format!("pong of {size} that nobody asked for"),
            &[frame(FIN | PONG, &vec![b'p'; size])],
            0,
        );
    }
    list.bad("ping of 126", &[frame(FIN | PING, &[0; 126])]);
    list.closed("ten pings at once", &(0..10).map(|n| frame(FIN | PING, &[n])).collect::<Vec<_>>(), 10);
    let ping = |payload| Step { sent: frame(FIN | PING, payload), replies: 1 };
    let mut between = closed(frame(FIN | TEXT, b"between"), 1);
    between.insert(1, ping(b"2"));
    between.insert(0, ping(b"1"));
    list.add("ping, message, ping", "", between, End::Wait);
    list.bad("ping in pieces", &[frame(PING, b"a"), frame(FIN, b"b")]);
    list.bad("close in pieces", &[frame(CLOSE, b"\x03\xe8"), frame(FIN, b"b")]);
}

fn fragments(list: &mut List) {
    list.closed("in two", &[frame(TEXT, b"one"), frame(FIN, b"two")], 1);
    list.closed("in three, one empty", &[frame(BINARY, b"one"), frame(0, b""), frame(FIN, b"three")], 1);
    list.closed("in nothing but empty ones", &[frame(TEXT, b""), frame(0, b""), frame(FIN, b"")], 1);
    list.closed("ping between", &[frame(TEXT, b"one"), frame(FIN | PING, b"now"), frame(FIN, b"two")], 2);
    let mut many = vec![frame(TEXT, b"0")];
    many.extend((0..200).map(|n| frame(if n % 7 == 0 { FIN | PING } else { 0 }, b"abc")));
    many.push(frame(FIN, b"end"));
    list.closed("in two hundred with pings between", &many, 30);
    list.bad("a piece of nothing", &[frame(FIN, b"what")]);
    list.bad("a piece of nothing, not the last", &[frame(0, b"what"), frame(FIN | TEXT, b"x")]);
    list.bad("a message within a message", &[frame(TEXT, b"one"), frame(FIN | TEXT, b"two")]);
    list.bad("a close within a message", &[frame(TEXT, b"one"), close(1000, b"")]);
}

fn forbidden(list: &mut List) {
    for bits in 1..8_u8 {
        for opcode in [TEXT, PING, CLOSE] {
            list.bad(
                format!("reserved bits {bits:03b} on {opcode}"),
                &[frame(FIN | bits << 4 | opcode, b"x")],
            );
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        list.bad(format!("opcode {opcode}"), &[frame(FIN | opcode, b"x")]);
    }
    list.bad("not masked", &[vec![FIN | TEXT, 2, b'h', b'i']]);
    list.bad("close that is not masked", &[vec![FIN | CLOSE, 2, 3, 0xe8]]);
    list.closed("masked with nothing", &[vec![FIN | TEXT, 0x82, 0, 0, 0, 0, b'h', b'i']], 1);
}

fn text(list: &mut List) {
    let good = "κόσμε \u{7ff} \u{ffff} 😀 \u{10ffff}".as_bytes();
    list.closed("UTF-8", &[frame(FIN | TEXT, good)], 1);
    for cut in 1..good.len() {
        list.closed(
            format!("UTF-8 in pieces at {cut}"),
            &[frame(TEXT, &good[..cut]), frame(FIN, &good[cut..])],
            1,
        );
    }
    for (name, bad) in [
        ("a lone continuation", &b"a\x80"[..]),
        ("a surrogate", b"a\xed\xa0\x80b"),
        ("too long a form", b"a\xc0\xaf"),
        ("above the last", b"a\xf4\x90\x80\x80"),
        ("cut short", b"a\xf0\x9f\x98"),
        ("no lead byte", b"\xff\xfe"),
    ] {
        list.bad(format!("not UTF-8: {name}"), &[frame(FIN | TEXT, bad)]);
        list.bad(
            format!("not UTF-8 in pieces: {name}"),
            &[frame(TEXT, &bad[..1]), frame(0, &bad[1..]), frame(FIN, b".")],
        );
        list.closed(format!("bytes need not be UTF-8: {name}"), &[frame(FIN | BINARY, bad)], 1);
    }
}

fn closes(list: &mut List) {
    list.bad("close without a code", &[frame(FIN | CLOSE, b"")]);
    list.bad("close with half a code", &[frame(FIN | CLOSE, b"\x03")]);
    for code in [
        0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1014, 1015,
        1016, 1100, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65_535,
    ] {
        list.bad(format!("close {code}"), &[close(code, b"why")]);
    }
    list.bad("close with a long reason", &[close(1000, &[b'r'; 123])]);
    list.bad("close with a reason that is too long", &[close(1000, &[b'r'; 124])]);
    list.bad("close with a reason that is not UTF-8", &[close(1000, b"\xff")]);
    list.bad("close twice", &[close(1000, b"one"), close(1001, b"two")]);
    list.bad("message after close", &[close(1000, b""), frame(FIN | TEXT, b"late")]);
    list.bad("ping after close", &[close(1000, b""), frame(FIN | PING, b"late")]);
    let last = Step { sent: close(4001, b"bye"), replies: 0 };
    let words = Step { sent: frame(FIN | TEXT, b"last words"), replies: 1 };
    list.add("message, then close", "", vec![words, last], End::Wait);
}

fn ends(list: &mut List) {
    let whole = frame(FIN | TEXT, b"last words");
    let once = |sent: &[u8], replies| vec![Step { sent: sent.to_vec(), replies }];
    list.add("an end without close", "", once(&whole, 1), End::HalfClose);
    list.add("an end at once", "", Vec::new(), End::HalfClose);
    for cut in [1, 2, 5, 9] {
        list.add(format!("an end within a frame at {cut}"), "", once(&whole[..cut], 0), End::HalfClose);
    }
    list.add("an end within a message", "", once(&frame(TEXT, b"one"), 0), End::HalfClose);
    list.add("an end behind a close", "", once(&close(1000, b""), 1), End::HalfClose);
}

fn extensions(list: &mut List) {
    let offer = |parameters: &str| format!("Sec-WebSocket-Extensions: permessage-deflate{parameters}\r\n");
    let message = b"mainstay mainstay mainstay mainstay".repeat(20);
    for parameters in [
        "",
        "; client_max_window_bits",
        "; client_no_context_takeover",
        "; server_no_context_takeover",
        "; client_no_context_takeover; server_no_context_takeover; server_max_window_bits=12",
        "; server_max_window_bits=10",
    ] {
        // The second message refers to the first, where that is agreed on.
        let messages = if parameters.contains("client_no") { 1 } else { 3 };
        let mut compress = Compress::new(Compression::default(), false);
        let frames = (0..messages).map(|_| frame(FIN | 0x40 | TEXT, &deflate(&mut compress, &message)));
        let steps = closed(frames.collect::<Vec<_>>().concat(), messages);
        list.add(format!("deflate{parameters}"), &offer(parameters), steps, End::Wait);
    }
    let plain = || closed(frame(FIN | TEXT, b"plain"), 1);
    for parameters in ["; server_max_window_bits=7", "; nonsense", "; client_max_window_bits=99"] {
        list.add(format!("deflate{parameters}, not understood"), &offer(parameters), plain(), End::Wait);
    }
    let two = "Sec-WebSocket-Extensions: x-unknown, permessage-deflate; nonsense\r\n\
               Sec-WebSocket-Extensions: permessage-deflate\r\n";
    list.add("the second offer of deflate", two, plain(), End::Wait);
    list.add("plain messages under deflate", &offer(""), plain(), End::Wait);
    let broken = Step { sent: frame(FIN | 0x40 | TEXT, b"\xff\xff\xff\xff"), replies: 0 };
    list.add("what cannot be inflated", &offer(""), vec![broken], End::Wait);
    let whole = deflate(&mut Compress::new(Compression::default(), false), &message);
    let pieces = [frame(0x40 | TEXT, &whole[..9]), frame(FIN | PING, b"p"), frame(FIN, &whole[9..])];
    list.add("deflate in pieces", &offer(""), closed(pieces.concat(), 2), End::Wait);
    for offered in ["chat", "chat, superchat", "superchat, chat"] {
        list.add(
            format!("protocols {offered}"),
            &format!("Sec-WebSocket-Protocol: {offered}\r\n"),
            plain(),
            End::Wait,
        );
    }
}
