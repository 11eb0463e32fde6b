//! Request targets and hosts (RFC 9112, 3.2), and when a path could mean two things.
//!
//! We pass paths on as they came, so whatever an upstream might make of one must lead to the same route. Knows
//! nothing about routes.

/// Longest host name of the DNS.
const LONGEST_HOST: usize = 253;

/// What is wrong with a target or host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UriError {
    #[error("the request target has a byte that does not belong there")]
    BadByte,
    #[error("the request target is in a form this server does not take")]
    BadForm,
    #[error("the path has a `.` or `..` segment")]
    DotSegment,
    #[error("the path has a broken percent escape")]
    BadEscape,
    #[error("the host is not a host name")]
    BadHost,
}

/// A request target, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'b> {
    /// The authority of an absolute-form target.
    pub(crate) authority: Option<&'b [u8]>,
    /// Path and query as they are passed on; `*` for `OPTIONS *`.
    pub(crate) path_and_query: &'b [u8],
    /// Bytes of the path.
    pub(crate) path_len: usize,
    /// The path does not need to be compared in other readings; see [`readings`].
    pub(crate) is_plain: bool,
}

impl<'b> Target<'b> {
    pub(crate) fn path(&self) -> &'b [u8] {
        &self.path_and_query[..self.path_len]
    }
}

/// Takes a request target apart.
pub(crate) fn target<'b>(method: &str, target: &'b [u8]) -> Result<Target<'b>, UriError> {
    if target == b"*" {
        let asterisk = Target { authority: None, path_and_query: target, path_len: 1, is_plain: true };
        return if method == "OPTIONS" { Ok(asterisk) } else { Err(UriError::BadForm) };
    }
    let (authority, rest) = match target.first() {
        Some(b'/') => (None, target),
        _ => split_absolute(target)?,
    };
    let mut is_plain = true;
    let mut path_len = rest.len();
    for (index, byte) in rest.iter().enumerate() {
        match byte {
            b'?' => {
                path_len = index;
                break;
            }
            b'%' => is_plain = false,
            b'/' | b'.' if index > 0 && rest[index - 1] == b'/' => is_plain = false,
            _ => {}
        }
    }
    // Everything printable may be passed on, as browsers send `|`, `{` and the like raw; but not `#`, which
    // never leaves a browser, nor `\`, which some servers take for a slash.
    if !rest.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'\\')) {
        return Err(UriError::BadByte);
    }
    let target = Target { authority, path_and_query: rest, path_len, is_plain };
    if !is_plain {
        check_path(target.path())?;
    }
    Ok(target)
}

/// `http://authority/path`: the authority and what follows it.
fn split_absolute(target: &[u8]) -> Result<(Option<&[u8]>, &[u8]), UriError> {
    const SCHEME: &[u8] = b"http://";
    let (scheme, rest) = target.split_at_checked(SCHEME.len()).ok_or(UriError::BadForm)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(UriError::BadForm);
    }
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match path.first() {
        _ if authority.is_empty() => Err(UriError::BadForm),
        None => Ok((Some(authority), b"/")),
        Some(b'/') => Ok((Some(authority), path)),
        // `http://host?query` would need a slash put in; nobody sends it.
        Some(_) => Err(UriError::BadForm),
    }
}

/// Refuses broken escapes, escaped NULs and dot segments, escaped or not.
fn check_path(path: &[u8]) -> Result<(), UriError> {
    let mut rest = path;
    while let Some(at) = memchr::memchr(b'%', rest) {
        let byte = unescape(&rest[at..]).ok_or(UriError::BadEscape)?;
        if byte == 0 {
            return Err(UriError::BadByte);
        }
        rest = &rest[at + 3..];
    }
    let mut decoded = Vec::with_capacity(path.len());
    decode(path, &mut decoded);
    // A second decoding, as some upstreams do, must not uncover one either.
    let mut twice = Vec::with_capacity(decoded.len());
    decode(&decoded, &mut twice);
    let is_slash = |b: &u8| matches!(b, b'/' | b'\\');
    let is_dots = |path: &[u8]| {
        path.split(is_slash).any(|segment| {
            // `/..;x/` is `..` with a parameter to servlet containers.
            let name = segment.split(|b| *b == b';').next().unwrap_or(segment);
            name == b"." || name == b".."
        })
    };
    if is_dots(&decoded) || is_dots(&twice) { Err(UriError::DotSegment) } else { Ok(()) }
}

/// The path as upstreams might read it: repeated slashes as one, escapes decoded, both (with backslashes as
/// slashes).
pub(crate) fn readings(path: &[u8]) -> [Vec<u8>; 3] {
    let mut decoded = Vec::with_capacity(path.len());
    decode(path, &mut decoded);
    let both = merge_slashes(&decoded);
    [merge_slashes(path), decoded, both]
}

fn merge_slashes(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for byte in path {
        let byte = if *byte == b'\\' { b'/' } else { *byte };
        if byte != b'/' || out.last() != Some(&b'/') {
            out.push(byte);
        }
    }
    out
}

fn decode(path: &[u8], out: &mut Vec<u8>) {
    let mut index = 0;
    while let Some(byte) = path.get(index) {
        match (byte, unescape(&path[index..])) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                index += 3;
            }
            _ => {
                out.push(*byte);
                index += 1;
            }
        }
    }
}

/// The byte of an escape at the start of `text`.
fn unescape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(*high)? * 16 + digit(*low)?)
}

/// A host in lower case, without port and trailing dot, on the stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host {
    bytes: [u8; LONGEST_HOST],
    len: usize,
}

impl Host {
    /// Reads the value of `Host` or an authority (RFC 9112, 3.2; RFC 3986, 3.2.2): a name or an address, and a
    /// port. No user info.
    pub(crate) fn parse(value: &[u8]) -> Result<Self, UriError> {
        let name = without_port(value).ok_or(UriError::BadHost)?;
        let name = name.strip_suffix(b".").unwrap_or(name);
        let mut host = Self { bytes: [0; LONGEST_HOST], len: name.len() };
        let room = host.bytes.get_mut(..name.len()).ok_or(UriError::BadHost)?;
        for (to, from) in room.iter_mut().zip(name) {
            *to = from.to_ascii_lowercase();
        }
        if name.is_empty() { Err(UriError::BadHost) } else { Ok(host) }
    }

    /// No host, as HTTP/1.0 allows: only routes for any host match.
    pub(crate) fn none() -> Self {
        Self { bytes: [0; LONGEST_HOST], len: 0 }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn is_port(digits: &[u8]) -> bool {
    std::str::from_utf8(digits).is_ok_and(|digits| digits.parse::<u16>().is_ok())
}

fn without_port(value: &[u8]) -> Option<&[u8]> {
    let (name, port) = match value.first()? {
        b'[' => {
            let end = value.iter().position(|b| *b == b']')?;
            let (literal, rest) = value.split_at(end + 1);
            let inner = &literal[1..end];
            let plausible = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
            if inner.is_empty() || !inner.iter().all(plausible) {
                return None;
            }
            (literal, rest)
        }
        _ => {
            let end = value.iter().position(|b| *b == b':').unwrap_or(value.len());
            let (name, rest) = value.split_at(end);
            let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
            if !name.iter().all(plain)
                || name.windows(2).any(|pair| pair == b"..")
                || name.first() == Some(&b'.')
            {
                return None;
            }
            (name, rest)
        }
    };
    let port_is_fine = match port.split_first() {
        None => true,
        // Empty or a number, and one that a port can be: who cuts it off would take it for another.
        Some((b':', digits)) => {
            digits.iter().all(u8::is_ascii_digit) && (digits.is_empty() || is_port(digits))
        }
        Some(_) => false,
    };
    port_is_fine.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<&[u8], UriError> {
        target("GET", text.as_bytes()).map(|t| t.path())
    }

    #[test]
    fn the_forms_of_a_target() {
        assert_eq!(path("/a?b=/../c"), Ok(&b"/a"[..]));
        let absolute = target("GET", b"HTTP://a.example:80/x?y").unwrap();
        assert_eq!(absolute.authority, Some(&b"a.example:80"[..]));
        assert_eq!(absolute.path_and_query, b"/x?y");
        assert_eq!(target("GET", b"http://a.example").unwrap().path_and_query, b"/");
        assert!(target("OPTIONS", b"*").is_ok());
        for bad in
            ["*", "a/b", "ftp://a/", "http:///a", "http://a?b", "example.com:80", "", "/a#b", "/a\\b", "/ä"]
        {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dot_segments_are_refused_in_any_disguise() {
        for bad in [
            "/..",
            "/a/../b",
            "/a/./b",
            "/.",
            "/a/..",
            "/%2e%2e/a",
            "/a/%2E./b",
            "/a/..%2fb",
            "/a/%2e%2e%5cb",
            "/a/..;x/b",
            "/%252e%252e/a",
            "/a//../b",
        ] {
            assert_eq!(path(bad), Err(UriError::DotSegment), "{bad}");
        }
        for fine in ["/a/...", "/.well-known/x", "/a..b", "/a/.b", "//a", "/a%2fb", "/a/..b"] {
            assert!(path(fine).is_ok(), "{fine}");
        }
        for bad in ["/%", "/%2", "/%zz", "/a%+1"] {
            assert_eq!(path(bad), Err(UriError::BadEscape), "{bad}");
        }
        assert_eq!(path("/a%00"), Err(UriError::BadByte));
    }

    #[test]
    fn readings_are_what_upstreams_might_see() {
        let [merged, decoded, both] = readings(b"/a//%61dmin%2Fx%5Cy");
        assert_eq!(merged, b"/a/%61dmin%2Fx%5Cy");
        assert_eq!(decoded, b"/a//admin/x\\y");
        assert_eq!(both, b"/a/admin/x/y");
        assert!(!target("GET", b"//a").unwrap().is_plain);
        assert!(target("GET", b"/a/b.c?d=%20").unwrap().is_plain);
    }

    #[test]
    fn hosts() {
        let host = |text: &str| {
            Host::parse(text.as_bytes()).map(|h| String::from_utf8_lossy(h.as_bytes()).into_owned())
        };
        assert_eq!(host("Example.COM.:8080").as_deref(), Ok("example.com"));
        assert_eq!(host("[::1]:80").as_deref(), Ok("[::1]"));
        for bad in [
            "", ":80", "a b", "a/b", "u@a", "a:b", "a:999999", "[::1", "[]", "[::1]x", "a..b", ".a", "a,b",
            "ä", "a%20",
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
