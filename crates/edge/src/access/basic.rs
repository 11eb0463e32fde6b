//! Names and passwords (RFC 7617), against hashes of Argon2 or bcrypt.
//!
//! Computing a hash takes long on purpose, so it is done on threads that serve nobody, a few at once, and a right password
//! is remembered for a while.

use super::{Denied, Memory};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mainstay_model::{BasicAuth, Secret};
use std::collections::BTreeMap;

/// Users and what their passwords are compared with.
#[derive(Debug)]
pub(super) struct Basic {
    realm: Box<str>,
    users: BTreeMap<String, Secret>,
}

impl Basic {
    pub(super) fn new(settings: &BasicAuth) -> Self {
        let BasicAuth { realm, users } = settings;
        Self { realm: realm.as_str().into(), users: users.clone() }
    }

    /// The answer that has browsers ask for a name and a password.
    pub(super) fn challenge(&self) -> Denied {
        let plain = |c: &char| !c.is_control() && !matches!(c, '"' | '\\');
        let realm: String = self.realm.chars().filter(plain).collect();
        let fields = format!("WWW-Authenticate: Basic realm=\"{realm}\", charset=\"UTF-8\"\r\n").into_bytes();
        Denied { fields, ..Denied::plain(401, "no right name and password") }
    }

    pub(super) async fn verify(&self, authorization: &[u8], memory: &Memory) -> Result<(), Denied> {
        let (user, password) = credentials(authorization).ok_or_else(|| self.challenge())?;
        // Whoever does not exist takes as long as whoever does, lest names be found out by it.
        let known = self.users.get(&user);
        let Some(hash) = known.or_else(|| self.users.values().next()) else { return Err(self.challenge()) };
        let verdict = memory.verdict(hash.expose(), &password);
        if known.is_some() && verdict.as_ref().is_some_and(|verdict| memory.is_known(verdict)) {
            return Ok(());
        }
        let is_right = compute(hash.clone(), password, memory).await?;
        match (known, is_right) {
            (Some(_), true) => {
                verdict.into_iter().for_each(|verdict| memory.remember(verdict));
                Ok(())
            }
            _ => Err(self.challenge()),
        }
    }
}

/// Name and password.
fn credentials(authorization: &[u8]) -> Option<(String, Vec<u8>)> {
    let (scheme, rest) = authorization.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(rest.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|b| *b == b':')?;
    let user = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((user, decoded[colon + 1..].to_vec()))
}

async fn compute(hash: Secret, password: Vec<u8>, memory: &Memory) -> Result<bool, Denied> {
    let busy = |_| Denied::plain(503, "too many passwords to check");
    let _place = memory.places.try_acquire().map_err(busy)?;
    let closed = |_| Denied::plain(503, "passwords are not checked any more");
    let _permit = memory.computing.acquire().await.map_err(closed)?;
    let computed = tokio::task::spawn_blocking(move || is_right(hash.expose(), &password)).await;
    computed.map_err(|_| Denied::plain(503, "a password could not be checked"))
}

/// Whether `password` is the one `hash` was made of. A hash that cannot be read is of no password.
fn is_right(hash: &str, password: &[u8]) -> bool {
    use argon2::password_hash::PasswordVerifier;
    if hash.starts_with("$argon2") {
        return argon2::Argon2::default().verify_password(password, hash).is_ok();
    }
    // Apache's `$2y$` is the same as `$2b$`; the library takes both.
    bcrypt::verify(password, hash).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_other_programs_are_read() {
        let made: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/support/made/credentials.json")).unwrap();
        for (name, hash) in made["hashes"].as_object().unwrap() {
            let hash = hash.as_str().unwrap();
            assert!(is_right(hash, b"correct horse"), "{name}");
            assert!(!is_right(hash, b"correct Horse") && !is_right(hash, b""), "{name}");
        }
        assert!(!is_right("$1$x$y", b"secret") && !is_right("secret", b"secret") && !is_right("", b""));
    }

    #[test]
    fn credentials_are_told_apart_at_the_first_colon() {
        let read = |text: &str| credentials(format!("Basic {}", BASE64_STANDARD.encode(text)).as_bytes());
        assert_eq!(read("ann:a:b"), Some(("ann".into(), b"a:b".to_vec())));
        assert_eq!(read("ann"), None);
        assert_eq!(credentials(b"Bearer YTpi"), None);
        assert_eq!(credentials(b"basic YTpi"), Some(("a".into(), b"b".to_vec())));
    }
}
