//! Keys that tokens are verified with (RFC 7517, RFC 7518), each for one algorithm.

use super::token::{Token, Wrong};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents, VerificationAlgorithm};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::pki_types::pem::{PemObject, SectionKind};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Keys of one issuer.
#[derive(Debug)]
pub(crate) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// Its algorithm, as tokens name it.
    algorithm: &'static str,
    verifier: Verifier,
}

#[derive(Debug)]
enum Verifier {
    Shared(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// How an algorithm verifies.
enum Method {
    Shared(hmac::Algorithm),
    Public(&'static dyn VerificationAlgorithm),
}

/// The algorithms there are (RFC 7518, 3.1; RFC 8037). `none` is not among them.
fn method(name: &str) -> Option<(&'static str, Method)> {
    use Method::{Public, Shared};
    Some(match name {
        "HS256" => ("HS256", Shared(hmac::HMAC_SHA256)),
        "HS384" => ("HS384", Shared(hmac::HMAC_SHA384)),
        "HS512" => ("HS512", Shared(hmac::HMAC_SHA512)),
        "RS256" => ("RS256", Public(&signature::RSA_PKCS1_2048_8192_SHA256)),
        "RS384" => ("RS384", Public(&signature::RSA_PKCS1_2048_8192_SHA384)),
        "RS512" => ("RS512", Public(&signature::RSA_PKCS1_2048_8192_SHA512)),
        "PS256" => ("PS256", Public(&signature::RSA_PSS_2048_8192_SHA256)),
        "PS384" => ("PS384", Public(&signature::RSA_PSS_2048_8192_SHA384)),
        "PS512" => ("PS512", Public(&signature::RSA_PSS_2048_8192_SHA512)),
        "ES256" => ("ES256", Public(&signature::ECDSA_P256_SHA256_FIXED)),
        "ES384" => ("ES384", Public(&signature::ECDSA_P384_SHA384_FIXED)),
        "EdDSA" => ("EdDSA", Public(&signature::ED25519)),
        _ => return None,
    })
}

impl KeySet {
    /// One key: a secret, or the PEM of a public key.
    pub(super) fn one(material: &str, algorithm: &str) -> Option<Arc<Self>> {
        let (algorithm, method) = method(algorithm)?;
        let verifier = match method {
            Method::Shared(algorithm) => {
                Verifier::Shared(Box::new(hmac::Key::new(algorithm, material.as_bytes())))
            }
            Method::Public(algorithm) => {
                let (_, der) = <(SectionKind, Vec<u8>)>::from_pem_slice(material.as_bytes()).ok()?;
                Verifier::Public(ParsedPublicKey::new(algorithm, der).ok()?)
            }
        };
        Some(Arc::new(Self(vec![Key { id: None, algorithm, verifier }])))
    }

    /// A set of one's own, which may hold secrets.
    pub(super) fn own(text: &[u8]) -> Option<Arc<Self>> {
        read(text, true).map(Arc::new)
    }

    /// A set that everybody can read, so a secret in it is none.
    pub(crate) fn published(text: &[u8]) -> Option<Self> {
        read(text, false)
    }

    /// The keys a token may have been signed with. One without a name for its key is tried with all of its algorithm.
    fn candidates<'k>(&'k self, token: &'k Token<'_>) -> impl Iterator<Item = &'k Key> {
        self.0.iter().filter(|key| {
            let is_named = match (&token.key, &key.id) {
                (Some(named), Some(id)) => named == id,
                (None, _) | (_, None) => true,
            };
            is_named && key.algorithm == token.algorithm
        })
    }

    /// Whether there is a key that the token may have been signed with.
    pub(super) fn suits(&self, token: &Token<'_>) -> bool {
        self.candidates(token).next().is_some()
    }

    /// The claims of a token that one of these keys signed.
    pub(super) fn verify(&self, token: &Token<'_>) -> Result<Map<String, Value>, Wrong> {
        let is_signed = |key: &Key| match &key.verifier {
            Verifier::Shared(key) => hmac::verify(key, token.signed, &token.signature).is_ok(),
            Verifier::Public(key) => key.verify_sig(token.signed, &token.signature).is_ok(),
        };
        if !self.suits(token) {
            return Err(Wrong("no key for it"));
        }
        if !self.candidates(token).any(is_signed) {
            return Err(Wrong("a wrong signature"));
        }
        serde_json::from_slice(&token.claims).map_err(|_| Wrong("claims that are none"))
    }
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    k: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Reads a set. Keys of other kinds or for encryption are passed over, as RFC 7517, 5 asks; none of them left is none.
fn read(text: &[u8], may_be_secret: bool) -> Option<KeySet> {
    let Jwks { keys } = serde_json::from_slice(text).ok()?;
    let usable = |key: &Jwk| {
        key.purpose.as_deref().is_none_or(|purpose| purpose == "sig") && (may_be_secret || key.kty != "oct")
    };
    let keys: Vec<Key> = keys.into_iter().filter(usable).filter_map(Jwk::key).collect();
    (!keys.is_empty()).then_some(KeySet(keys))
}

impl Jwk {
    fn key(self) -> Option<Key> {
        // What a key does not say is what is usual for its kind; a token cannot choose.
        let usual = match (self.kty.as_str(), self.crv.as_deref()) {
            ("oct", _) => "HS256",
            ("RSA", _) => "RS256",
            ("EC", Some("P-256")) => "ES256",
            ("EC", Some("P-384")) => "ES384",
            ("OKP", Some("Ed25519")) => "EdDSA",
            _ => return None,
        };
        let named = self.alg.as_deref().unwrap_or(usual);
        // Of EC and OKP the curve decides; of the others the family has to fit.
        let fits = match self.kty.as_str() {
            "oct" => named.starts_with("HS"),
            "RSA" => named.starts_with("RS") || named.starts_with("PS"),
            _ => named == usual,
        };
        let (algorithm, method) = method(named).filter(|_| fits)?;
        let verifier = match method {
            Method::Shared(algorithm) => {
                Verifier::Shared(Box::new(hmac::Key::new(algorithm, &number(self.k.as_ref())?)))
            }
            Method::Public(how) => Verifier::Public(ParsedPublicKey::new(how, self.public_bytes()?).ok()?),
        };
        Some(Key { id: self.kid, algorithm, verifier })
    }

    fn public_bytes(&self) -> Option<Vec<u8>> {
        match self.kty.as_str() {
            "RSA" => {
                let (n, e) = (number(self.n.as_ref())?, number(self.e.as_ref())?);
                let der: PublicKeyX509Der<'_> = RsaPublicKeyComponents { n: &n, e: &e }.as_der().ok()?;
                Some(der.as_ref().to_vec())
            }
            "EC" => {
                // SEC 1, 2.3.3: not compressed.
                Some([&[4][..], &number(self.x.as_ref())?, &number(self.y.as_ref())?].concat())
            }
            _ => number(self.x.as_ref()),
        }
    }
}

fn number(text: Option<&String>) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text?.trim_end_matches('=')).ok()
}
