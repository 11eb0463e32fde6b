//! Cookies that protect themselves (RFC 6265bis).
//!
//! Knows nothing about what cookies are for.

/// Appends a `Set-Cookie` line with `HttpOnly`, `SameSite=Lax` and, over TLS, `Secure`, where the service has said
/// nothing of the kind.
pub(crate) fn harden(out: &mut Vec<u8>, value: &[u8], is_secure: bool) {
    let says = |attribute: &[u8]| {
        value.split(|b| *b == b';').skip(1).any(|part| {
            let name = part.split(|b| *b == b'=').next().unwrap_or_default();
            name.trim_ascii().eq_ignore_ascii_case(attribute)
        })
    };
    out.extend_from_slice(b"Set-Cookie: ");
    out.extend_from_slice(value);
    if is_secure && !says(b"secure") {
        out.extend_from_slice(b"; Secure");
    }
    if !says(b"httponly") {
        out.extend_from_slice(b"; HttpOnly");
    }
    if !says(b"samesite") {
        out.extend_from_slice(b"; SameSite=Lax");
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_added() {
        let hardened = |value: &str, is_secure| {
            let mut out = Vec::new();
            harden(&mut out, value.as_bytes(), is_secure);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(hardened("a=secure", true), "Set-Cookie: a=secure; Secure; HttpOnly; SameSite=Lax\r\n");
        assert_eq!(
            hardened("a=b; samesite = None; SECURE", true),
            "Set-Cookie: a=b; samesite = None; SECURE; HttpOnly\r\n"
        );
        assert_eq!(hardened("a=b; HttpOnly", false), "Set-Cookie: a=b; HttpOnly; SameSite=Lax\r\n");
    }
}
