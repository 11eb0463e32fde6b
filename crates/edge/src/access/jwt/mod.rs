//! Signed tokens (RFC 7519) of `Authorization: Bearer`.
//!
//! The algorithm is the key's, never the token's word: a token that names another is not looked at further, so `none` and
//! a public key used as a secret lead nowhere (RFC 8725, 3.1).

mod key;
mod token;

pub(super) use key::KeySet;

use super::ask::Asked;
use super::{Denied, Memory, write_line};
use crate::clock;
use crate::table::Table;
use mainstay_model::JwtKeys;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use token::{Token, Wrong};

/// What tokens must be, and what is taken from them.
#[derive(Debug)]
pub(super) struct Jwt {
    keys: Keys,
    issuer: Option<Box<str>>,
    audience: Box<[Box<str>]>,
    leeway: Duration,
    /// Names of headers and of claims.
    claims: Box<[(Box<str>, Box<str>)]>,
}

#[derive(Debug)]
enum Keys {
    /// None where they cannot be read: then no token is right.
    Here(Option<Arc<KeySet>>),
    There(Asked),
}

impl Jwt {
    pub(super) fn new<E>(
        settings: &mainstay_model::Jwt,
        mut asked: impl FnMut(&mainstay_model::Asked) -> Result<Asked, E>,
    ) -> Result<Self, E> {
        let mainstay_model::Jwt { keys, issuer, audience, leeway, claims } = settings;
        let keys = match keys {
            JwtKeys::Key { material, algorithm } => Keys::Here(KeySet::one(material.expose(), algorithm)),
            JwtKeys::Set(text) => Keys::Here(KeySet::own(text.expose().as_bytes())),
            JwtKeys::Url(server) => Keys::There(asked(server)?),
        };
        if matches!(keys, Keys::Here(None)) {
            tracing::error!("a key for tokens cannot be read: its route lets nobody through");
        }
        let text = |text: &String| text.as_str().into();
        Ok(Self {
            keys,
            issuer: issuer.as_ref().map(text),
            audience: audience.iter().map(text).collect(),
            leeway: *leeway,
            claims: claims.iter().map(|(header, claim)| (text(header), text(claim))).collect(),
        })
    }

    /// Verifies the token of a request; `out` gets the lines with its claims.
    pub(super) async fn verify(
        &self,
        authorization: &[u8],
        memory: &Memory,
        table: &Table,
        out: &mut Vec<u8>,
    ) -> Result<(), Denied> {
        let token = Token::read(authorization).map_err(|wrong| challenge(Some(wrong)))?;
        let keys = match &self.keys {
            Keys::Here(keys) => keys.clone(),
            Keys::There(asked) => memory.keys(asked, table, |set| set.suits(&token)).await,
        };
        let keys = keys.ok_or_else(|| Denied::plain(503, "there are no keys to verify tokens with"))?;
        let claims = keys.verify(&token).map_err(|wrong| challenge(Some(wrong)))?;
        let now = clock::wall().0 / 1000;
        self.judge(&claims, now).map_err(|wrong| challenge(Some(wrong)))?;
        for (header, claim) in &self.claims {
            if let Some(value) = claims.get(&**claim) {
                let text = plain(value).ok_or_else(|| challenge(Some(Wrong("a claim that is no header"))))?;
                write_line(out, header, text.as_bytes());
            }
        }
        Ok(())
    }

    /// Whether the claims are what is asked for at `now`, in seconds.
    fn judge(&self, claims: &Map<String, Value>, now: u64) -> Result<(), Wrong> {
        let leeway = self.leeway.as_secs_f64();
        let now = now as f64;
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(Wrong("a time that is no number")),
        };
        // Without an end it would be good for ever.
        let expires = time("exp")?.ok_or(Wrong("no end"))?;
        if now >= expires + leeway {
            return Err(Wrong("over"));
        }
        if time("nbf")?.is_some_and(|from| now + leeway < from) {
            return Err(Wrong("not yet good"));
        }
        let is_issuer = |issuer: &str| claims.get("iss").and_then(Value::as_str) == Some(issuer);
        if !self.issuer.as_deref().is_none_or(is_issuer) {
            return Err(Wrong("another issuer"));
        }
        let is_wanted =
            |value: &Value| value.as_str().is_some_and(|a| self.audience.iter().any(|b| **b == *a));
        let is_for_us = match claims.get("aud") {
            Some(Value::Array(all)) => all.iter().any(is_wanted),
            Some(one) => is_wanted(one),
            None => false,
        };
        if is_for_us || self.audience.is_empty() { Ok(()) } else { Err(Wrong("another audience")) }
    }
}

/// A claim as the value of a header: text, numbers and truth as they are, lists with commas. None when it cannot be one.
fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Array(all) => all.iter().map(plain).collect::<Option<Vec<_>>>()?.join(","),
        Value::Null | Value::Object(_) => return None,
    };
    (!text.chars().any(char::is_control)).then_some(text)
}

/// The answer to a request without a right token (RFC 6750, 3).
pub(super) fn challenge(wrong: Option<Wrong>) -> Denied {
    let (error, why) = match wrong {
        Some(Wrong(why)) => (" error=\"invalid_token\"", why),
        None => ("", "no token"),
    };
    let fields = format!("WWW-Authenticate: Bearer{error}\r\n").into_bytes();
    Denied { fields, ..Denied::plain(401, why) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_model::Secret;
    use serde_json::json;

    fn judge(claims: Value, now: u64) -> Result<(), &'static str> {
        let never = |_: &mainstay_model::Asked| Err(());
        let settings = mainstay_model::Jwt {
            keys: JwtKeys::Key { material: Secret::new("s"), algorithm: "HS256".into() },
            issuer: Some("https://id.example".into()),
            audience: vec!["api".into()],
            leeway: Duration::from_secs(10),
            claims: Default::default(),
        };
        let jwt = Jwt::new(&settings, never).unwrap();
        jwt.judge(claims.as_object().unwrap(), now).map_err(|Wrong(why)| why)
    }

    #[test]
    fn claims_are_judged_with_leeway() {
        let good = json!({ "iss": "https://id.example", "aud": ["x", "api"], "exp": 100, "nbf": 50 });
        assert_eq!(judge(good.clone(), 60), Ok(()));
        assert_eq!((judge(good.clone(), 109), judge(good.clone(), 110)), (Ok(()), Err("over")));
        assert_eq!((judge(good.clone(), 40), judge(good.clone(), 39)), (Ok(()), Err("not yet good")));
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            judge(claims, 60)
        };
        assert_eq!(with("aud", json!("api")), Ok(()));
        assert_eq!(with("aud", json!("other")), Err("another audience"));
        assert_eq!(with("aud", Value::Null), Err("another audience"));
        assert_eq!(with("iss", json!("https://evil.example")), Err("another issuer"));
        assert_eq!(with("exp", json!("soon")), Err("a time that is no number"));
        assert_eq!(judge(json!({ "iss": "https://id.example", "aud": "api" }), 60), Err("no end"));
    }

    #[test]
    fn a_claim_is_one_line_or_none() {
        assert_eq!(plain(&json!(["a", 1, true])).as_deref(), Some("a,1,true"));
        assert_eq!(plain(&json!("a\r\nX-Admin: 1")), None);
        assert_eq!(plain(&json!({ "a": 1 })), None);
    }
}
