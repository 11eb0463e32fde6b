//! A token, taken apart (RFC 7515, 7.1). Nothing of it is believed yet.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Why a token is not right; for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::access) struct Wrong(pub(super) &'static str);

/// A token in its parts.
#[derive(Debug)]
pub(super) struct Token<'b> {
    /// What it says its algorithm is.
    pub(super) algorithm: String,
    /// Which key it says it was signed with.
    pub(super) key: Option<String>,
    /// What was signed.
    pub(super) signed: &'b [u8],
    pub(super) claims: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

impl<'b> Token<'b> {
    pub(super) fn read(authorization: &'b [u8]) -> Result<Self, Wrong> {
        let (scheme, token) = authorization.split_at_checked(7).ok_or(Wrong("no token"))?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return Err(Wrong("no token"));
        }
        let token = token.trim_ascii();
        let mut parts = token.split(|b| *b == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Wrong("not three parts"));
        };
        let signed = &token[..header.len() + 1 + claims.len()];
        let decode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Wrong("not base64url"));
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| Wrong("a header that is none"))?;
        // RFC 7515, 4.1.11: what must be understood and is not makes a token invalid.
        if header.crit.is_some() {
            return Err(Wrong("an unknown extension"));
        }
        Ok(Self {
            algorithm: header.alg,
            key: header.kid,
            signed,
            claims: decode(claims)?,
            signature: decode(signature)?,
        })
    }
}
