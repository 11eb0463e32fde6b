//! The cases of `data/hostile.txt`: requests that try to be two things at once, and some that only look odd.
//!
//! A case is a line `STATUS name` followed by lines of the request, up to a line `.`; in them `\r`, `\n`, `\0`, `\t`, `\\`
//! and `\xHH` are bytes, `{N*c}` is `c` N times, and line ends of the file do not count. Status 200 marks
//! requests that look odd but are valid: they must be answered by the instance.

pub struct Case {
    pub name: String,
    pub status: u16,
    pub bytes: Vec<u8>,
}

pub fn cases() -> Vec<Case> {
    let text = include_str!("../data/hostile.txt");
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut cases = Vec::new();
    while let Some(title) = lines.next() {
        let (status, name) = title.split_once(' ').expect("STATUS name");
        let body: String = lines.by_ref().take_while(|line| *line != ".").collect();
        let status = status.parse().expect(title);
        cases.push(Case { name: name.into(), status, bytes: unescape(&body) });
    }
    cases
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("\\x") {
            bytes.push(u8::from_str_radix(&rest[2..4], 16).unwrap());
            4
        } else if first == '\\' {
            bytes.push(match rest.as_bytes()[1] {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'0' => 0,
                b'\\' => b'\\',
                other => panic!("unknown escape {}", other as char),
            });
            2
        } else if let Some((count, unit)) = repetition(rest) {
            bytes.extend(unit.repeat(count).as_bytes());
            rest.find('}').unwrap() + 1
        } else {
            bytes.extend_from_slice(first.to_string().as_bytes());
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    bytes
}

/// `{N*text}` at the start.
fn repetition(text: &str) -> Option<(usize, String)> {
    let (count, unit) = text.strip_prefix('{')?.split_once('}')?.0.split_once('*')?;
    Some((count.parse().ok()?, String::from_utf8(unescape(unit)).ok()?))
}

/// Status of the first answer, and how many final answers came.
pub fn statuses(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    let after = text.match_indices("HTTP/1.1 ").map(|(at, _)| text[at + 9..at + 12].parse().unwrap_or(0));
    after.filter(|status| *status != 100).collect()
}
