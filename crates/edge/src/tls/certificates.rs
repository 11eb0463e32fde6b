//! The certificates now served, found by the name a client asks for.
//!
//! Exact names first, then the wildcard of the name's parent (RFC 6125, 6.4.3: one label only), then the first
//! certificate there is. Knows nothing about where certificates come from or when they change.

use super::challenge::Challenges;
use crate::issue::schedule::Life;
use mainstay_model::Timestamp;
use mainstay_model::table::CertificateStatus;
use rustls::InconsistentKeys;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

/// The protocol by which authorities ask (RFC 8737, 6.2).
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{} holds no certificate", .0.display())]
    Empty(PathBuf),
    #[error("the certificate and the key do not belong together, or are of a kind that is not supported")]
    Unusable(#[source] rustls::Error),
    #[error("the certificate is malformed")]
    Malformed,
}

/// A certificate with its key, and the names it is for.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    key: Arc<CertifiedKey>,
    /// In lower case; `*.` in front of a wildcard's parent.
    names: Vec<Box<str>>,
    life: Life,
}

impl Certificate {
    /// Reads PEM files: the chain with the certificate first, and its key (PKCS #8, PKCS #1 or SEC 1).
    pub(crate) fn read(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| CertificateError::Read { path, source }
        };
        let certificates = CertificateDer::pem_file_iter(chain)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(fail(chain))?;
        if certificates.is_empty() {
            return Err(CertificateError::Empty(chain.to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(fail(key))?;
        Self::new(certificates, key)
    }

    /// Reads a key and a chain that are in one text.
    pub(crate) fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let malformed = |_| CertificateError::Malformed;
        let chain = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(malformed)?;
        Self::new(chain.map_err(malformed)?, key)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateError> {
        let first = chain.first().ok_or(CertificateError::Malformed)?;
        let (_, parsed) = X509Certificate::from_der(first).map_err(|_| CertificateError::Malformed)?;
        let names = names(&parsed)?;
        let seconds = |time: ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
        let validity = parsed.validity();
        let life = Life { from: seconds(validity.not_before), to: seconds(validity.not_after) };
        let provider = CryptoProvider::get_default().ok_or_else(|| {
            CertificateError::Unusable(rustls::Error::General("no cryptographic library".to_owned()))
        })?;
        let key = provider.key_provider.load_private_key(key).map_err(CertificateError::Unusable)?;
        let key = CertifiedKey::new(chain, key);
        // What cannot be compared, such as the one that answers an authority, has an extension made for others' eyes.
        if let Err(error @ rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) = key.keys_match()
        {
            return Err(CertificateError::Unusable(error));
        }
        Ok(Self { key: Arc::new(key), names, life })
    }

    /// What the status says of it.
    pub(crate) fn report(&self) -> CertificateStatus {
        let names = self.names.iter().map(|name| name.to_string()).collect();
        let not_after = Some(Timestamp(self.life.to.saturating_mul(1000)));
        CertificateStatus { names, not_after, problem: None }
    }

    /// Whether it is for `name`, which may be a wildcard.
    pub(super) fn covers(&self, name: &str) -> bool {
        let above = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        self.names.iter().any(|own| **own == *name || above.as_deref() == Some(&**own))
    }

    pub(crate) fn life(&self) -> Life {
        self.life
    }

    /// The certificate itself, without its chain.
    pub(crate) fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }

    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.key
    }
}

/// The host names it is for, in lower case.
fn names(certificate: &X509Certificate<'_>) -> Result<Vec<Box<str>>, CertificateError> {
    let alternative = certificate.subject_alternative_name().map_err(|_| CertificateError::Malformed)?;
    let all = alternative.iter().flat_map(|extension| &extension.value.general_names);
    let dns = all.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
        _ => None,
    });
    Ok(dns.collect())
}

/// The certificates in force.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    index: Mutex<Arc<Index>>,
    pub(crate) challenges: Arc<Challenges>,
}

#[derive(Debug, Default)]
struct Index {
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// By what follows the first label's dot.
    wildcard: HashMap<Box<str>, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Replaces all at once; handshakes under way end with what they began with. Of two for the same name the earlier
    /// is served.
    pub(crate) fn replace<'c>(&self, all: impl Iterator<Item = &'c Certificate>) {
        let mut index = Index::default();
        for Certificate { key, names, life: _ } in all {
            index.first.get_or_insert_with(|| key.clone());
            for name in names {
                let (kind, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut index.wildcard, parent),
                    None => (&mut index.exact, &**name),
                };
                kind.entry(name.into()).or_insert_with(|| key.clone());
            }
        }
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(index);
    }

    /// Whether there is one for `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.index().of(name).is_some()
    }

    fn index(&self) -> Arc<Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Index {
    fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        name.and_then(|name| self.of(name)).or(self.first.as_ref())
    }

    fn of(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let wildcard = || name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        self.exact.get(&*name).or_else(wildcard)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_question = hello.alpn().is_some_and(|mut names| names.any(|name| name == ACME_TLS));
        if is_question {
            return self.challenges.certificate(hello.server_name()?);
        }
        self.index().find(hello.server_name()).cloned()
    }
}
