//! Signatures of requests: Stripe's and GitHub's, over the body as it arrived.
//!
//! Compared in constant time. Knows nothing about how bodies are read.

use crate::clock;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use mainstay_model::{Timestamp, WebhookSender};
use std::time::Duration;

/// Signatures looked at in one request: Stripe sends one for each secret in force.
const MOST_SIGNATURES: usize = 8;

/// Whose signature a request must have.
#[derive(Debug)]
pub(crate) struct Webhook {
    sender: WebhookSender,
    keys: Box<[hmac::Key]>,
    tolerance: Duration,
    pub(crate) max_body: u64,
}

/// What a request claims to be signed with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Stands before the body in what was signed.
    prefix: Vec<u8>,
    signatures: Vec<Vec<u8>>,
}

impl Webhook {
    pub(super) fn new(settings: &mainstay_model::Webhook) -> Self {
        let mainstay_model::Webhook { sender, secrets, tolerance, max_body } = settings;
        let key =
            |secret: &mainstay_model::Secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        Self {
            sender: *sender,
            keys: secrets.iter().map(key).collect(),
            tolerance: *tolerance,
            max_body: *max_body,
        }
    }

    /// The field that carries the signature.
    pub(crate) fn field(&self) -> &'static str {
        match self.sender {
            WebhookSender::Stripe => "stripe-signature",
            WebhookSender::GitHub => "x-hub-signature-256",
        }
    }

    /// Reads the field's value; none when it is no signature or an old one.
    pub(crate) fn expect(&self, value: &[u8]) -> Option<Expected> {
        match self.sender {
            WebhookSender::Stripe => self.expect_stripe(value, clock::wall()),
            WebhookSender::GitHub => {
                let signature = unhex(value.strip_prefix(b"sha256=")?)?;
                Some(Expected { prefix: Vec::new(), signatures: vec![signature] })
            }
        }
    }

    /// `t=SECONDS,v1=HEX,…`; what was signed is the time, a dot and the body.
    fn expect_stripe(&self, value: &[u8], now: Timestamp) -> Option<Expected> {
        let pairs = || value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
        let time = pairs().find_map(|pair| pair.strip_prefix(b"t="))?;
        let signed_at: u64 = std::str::from_utf8(time).ok()?.parse().ok()?;
        let age = (now.0 / 1000).abs_diff(signed_at);
        if age > self.tolerance.as_secs() {
            return None;
        }
        let hex = pairs().filter_map(|pair| pair.strip_prefix(b"v1="));
        let signatures: Vec<_> = hex.take(MOST_SIGNATURES).filter_map(unhex).collect();
        let prefix = [time, b"."].concat();
        (!signatures.is_empty()).then_some(Expected { prefix, signatures })
    }

    /// Whether one of the secrets signed this body.
    pub(crate) fn is_signed(&self, expected: &Expected, body: &[u8]) -> bool {
        self.keys.iter().any(|key| {
            let mut context = hmac::Context::with_key(key);
            context.update(&expected.prefix);
            context.update(body);
            let tag = context.sign();
            let is_it = |signature: &Vec<u8>| verify_slices_are_equal(tag.as_ref(), signature).is_ok();
            expected.signatures.iter().any(is_it)
        })
    }
}

/// Bytes written as pairs of hexadecimal digits.
fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_chunks::<2>();
    let bytes = pairs.0.iter().map(|[high, low]| Some(digit(*high)? * 16 + digit(*low)?));
    bytes.collect::<Option<Vec<u8>>>().filter(|_| pairs.1.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_model::Secret;

    fn webhook(sender: WebhookSender, secrets: &[&str]) -> Webhook {
        Webhook::new(&mainstay_model::Webhook {
            sender,
            secrets: secrets.iter().map(|secret| Secret::new(*secret)).collect(),
            tolerance: Duration::from_secs(300),
            max_body: 100,
        })
    }

    #[test]
    fn githubs_own_example() {
        // From GitHub's documentation, "Validating webhook deliveries": secret, payload and signature to test with.
        let hook = webhook(WebhookSender::GitHub, &["wrong", "It's a Secret to Everybody"]);
        let value = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let expected = hook.expect(value).unwrap();
        assert!(hook.is_signed(&expected, b"Hello, World!"));
        assert!(!hook.is_signed(&expected, b"Hello, World?"));
        for bad in [&b""[..], b"sha256=zz", b"sha1=757107ea", b"sha256=757"] {
            assert!(hook.expect(bad).is_none_or(|expected| !hook.is_signed(&expected, b"Hello, World!")));
        }
    }

    #[test]
    fn stripes_signatures_have_a_time_that_counts() {
        let hook = webhook(WebhookSender::Stripe, &["whsec_test"]);
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"whsec_test");
        let tag = hmac::sign(&key, b"1000.{}");
        let hex: String = tag.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        let value = format!("t=1000, v0=00,v1=00,v1={hex}");
        let at = |seconds: u64| hook.expect_stripe(value.as_bytes(), Timestamp(seconds * 1000));
        assert!(hook.is_signed(&at(1300).unwrap(), b"{}") && hook.is_signed(&at(700).unwrap(), b"{}"));
        assert!(!hook.is_signed(&at(1000).unwrap(), b"{ }"));
        assert_eq!((at(1301), at(699)), (None, None));
        assert!(hook.expect_stripe(b"t=1000", Timestamp(1_000_000)).is_none());
        assert!(hook.expect_stripe(b"v1=00", Timestamp(1_000_000)).is_none());
    }
}
