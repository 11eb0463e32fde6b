//! Certificates of clients: proven in the handshake, judged by each site.
//!
//! A handshake does not know yet whom the request will be for, and what it says about that (SNI) binds nobody. So it takes
//! any certificate whose key the client holds, and a site lets in those that its own authority has signed.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The authority whose clients a site lets in.
#[derive(Debug)]
pub(crate) struct ClientCa {
    /// Unique in this process.
    id: u64,
    /// None where the authority cannot be read: then nobody is let in.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl ClientCa {
    /// The authority whose certificates `pem` holds.
    pub(crate) fn new(pem: &str) -> Self {
        let verifier = verifier(pem);
        if verifier.is_none() {
            tracing::error!("the authority of clients cannot be read: nobody is let in");
        }
        Self { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), verifier }
    }

    /// Whether the client has shown a certificate of this authority.
    pub(crate) fn admits(&self, shown: Option<&Shown>) -> bool {
        let (Some(shown), Some(verifier)) = (shown, &self.verifier) else { return false };
        if let Some((id, admitted)) = shown.0.judged.get()
            && id == self.id
        {
            return admitted;
        }
        let admitted =
            shown.0.chain.split_first().is_some_and(|(own, others)| {
                verifier.verify_client_cert(own, others, UnixTime::now()).is_ok()
            });
        shown.0.judged.set(Some((self.id, admitted)));
        admitted
    }
}

fn verifier(pem: &str) -> Option<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(root.ok()?).ok()?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), super::provider()).build();
    verifier.ok()
}

/// What a client has shown on its connection, and the last judgement about it; copies are the same.
#[derive(Debug, Clone)]
pub(crate) struct Shown(Rc<Certificate>);

#[derive(Debug)]
struct Certificate {
    chain: Box<[CertificateDer<'static>]>,
    judged: Cell<Option<(u64, bool)>>,
}

impl Shown {
    pub(super) fn new(chain: &[CertificateDer<'static>]) -> Self {
        Self(Rc::new(Certificate { chain: chain.into(), judged: Cell::new(None) }))
    }
}

/// Asks for a certificate, and takes any whose key the client proves to hold, or none.
#[derive(Debug)]
pub(super) struct Proven(WebPkiSupportedAlgorithms);

impl Proven {
    pub(super) fn new(provider: &CryptoProvider) -> Arc<Self> {
        Arc::new(Self(provider.signature_verification_algorithms))
    }
}

impl ClientCertVerifier for Proven {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
