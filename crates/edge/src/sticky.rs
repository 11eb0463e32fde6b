//! Sticky sessions: a signed cookie that names the instance that answers a client, so that it stays with it.
//!
//! The name is a number, which tells clients nothing about what runs; the signature binds it to the upstream, so that it is
//! worth nothing elsewhere. Whatever is wrong with a cookie means a new choice and a new cookie, never an error. Knows
//! nothing about how requests are read.

use crate::clock::{self, Millis};
use crate::route::Route;
use crate::table::Upstream;
use crate::target::{Phase, TargetState};
use crate::tls::{NAME_LEN, SIGNATURE_LEN, Signed, Tickets};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::sync::Arc;

/// Cookies of one name that are looked at: one for each of the paths above a request that has one. More are nobody's.
pub(crate) const MOST_TOKENS: usize = 8;

const MARK_LEN: usize = 8;
const TOKEN_LEN: usize = NAME_LEN + MARK_LEN + SIGNATURE_LEN;

/// What a cookie says: which key signed it, the instance, the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token([u8; TOKEN_LEN]);

/// The instance that a client stays with.
#[derive(Debug)]
pub(crate) struct Stay {
    target: Arc<TargetState>,
    signed: Signed,
}

impl Token {
    /// Reads the value of a cookie; nothing is verified.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(value).ok()?;
        bytes.try_into().ok().map(Self)
    }

    fn sign(upstream: &str, instance: &str, tickets: &Tickets) -> Option<Self> {
        let (key, signature) = tickets.sign(&[upstream.as_bytes(), instance.as_bytes()])?;
        let mut token = [0; TOKEN_LEN];
        let (name, rest) = token.split_at_mut(NAME_LEN);
        let (mark, end) = rest.split_at_mut(MARK_LEN);
        name.copy_from_slice(&key);
        mark.copy_from_slice(&mark_of(instance));
        end.copy_from_slice(&signature);
        Some(Self(token))
    }

    fn verify(&self, upstream: &str, instance: &str, tickets: &Tickets) -> Option<Signed> {
        let (key, rest) = self.0.split_at(NAME_LEN);
        let signature = &rest[MARK_LEN..];
        tickets.verify(key, &[upstream.as_bytes(), instance.as_bytes()], signature)
    }
}

impl Stay {
    /// The instance of `upstream` that one of the cookies names, if its signature is right.
    pub(crate) fn find(tokens: &[Token], upstream: &Upstream, tickets: &Tickets) -> Option<Self> {
        tokens.iter().find_map(|token| {
            let mark = &token.0[NAME_LEN..NAME_LEN + MARK_LEN];
            let target = upstream.targets.iter().find(|target| mark == mark_of(&target.instance))?;
            let signed = token.verify(&upstream.state.key, &target.instance, tickets)?;
            Some(Self { target: target.clone(), signed })
        })
    }

    /// The instance, while it is well and stays.
    pub(crate) fn target(&self, now: Millis) -> Option<&Arc<TargetState>> {
        let is_well = self.target.phase() == Phase::Active && self.target.avoid_until() <= now;
        is_well.then_some(&self.target)
    }
}

/// A client and the instance that answers it.
pub(crate) struct Staying<'a> {
    /// With which it has stayed so far.
    pub(crate) stays: Option<&'a Stay>,
    pub(crate) answering: &'a TargetState,
    pub(crate) is_secure: bool,
}

impl Staying<'_> {
    /// Appends the line that has it stay, unless it does already. One that was answered by another only because its own had
    /// no room goes back to its own.
    pub(crate) fn write_cookie(self, out: &mut Vec<u8>, route: &Route, upstream: &str, tickets: &Tickets) {
        let Self { stays, answering, is_secure } = self;
        let Some(name) = route.steering.as_ref().and_then(|steering| steering.cookie()) else { return };
        let stays = stays.filter(|stays| stays.target(clock::now()).is_some());
        if stays.is_some_and(|stays| stays.signed == Signed::Now || stays.target.id != answering.id) {
            return;
        }
        let Some(Token(token)) = Token::sign(upstream, &answering.instance, tickets) else { return };
        // A path that cannot stand there is rare: the cookie then comes back from everywhere.
        let plain = |b: &u8| b.is_ascii_graphic() && *b != b';';
        let path = if route.path.iter().all(plain) { &*route.path } else { &b"/"[..] };
        let value = BASE64_URL_SAFE_NO_PAD.encode(token);
        for part in [&b"Set-Cookie: "[..], name.as_bytes(), b"=", value.as_bytes(), b"; Path=", path] {
            out.extend_from_slice(part);
        }
        out.extend_from_slice(b"; HttpOnly; SameSite=Lax");
        out.extend_from_slice(if is_secure { b"; Secure\r\n" } else { b"\r\n" });
    }
}

/// The number that stands for an instance: FNV-1a of its name, which is the same in every build. Two instances with one
/// number would be told apart by the signature.
fn mark_of(instance: &str) -> [u8; MARK_LEN] {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let step = |mark: u64, byte: u8| (mark ^ u64::from(byte)).wrapping_mul(PRIME);
    instance.bytes().fold(BASIS, step).to_be_bytes()
}
