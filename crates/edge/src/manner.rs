//! How the instances of an upstream are spoken to, beyond HTTP/1.1 over TCP: HTTP/2, TLS, checked as the file says, and
//! who the client is, told before anything else.
//!
//! Made once for all tables that say the same, so that sessions can be resumed whatever table came since. Knows nothing
//! about requests.

use crate::target::Address;
use crate::tls::provider;
use mainstay_model::{ClientIdentity, ProxyVersion, Scheme, Transport, UpstreamTls};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::io;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The way of one upstream.
#[derive(Debug)]
pub(crate) struct Manner {
    is_http2: bool,
    tls: Option<Tls>,
    /// Each connection begins with this kind of header.
    pub(crate) send_proxy: Option<ProxyVersion>,
}

#[derive(Debug)]
struct Tls {
    /// None where what the file names cannot be used: then no handshake succeeds.
    config: Option<Arc<ClientConfig>>,
    /// Is asked for, where it is not the address's own.
    name: Option<ServerName<'static>>,
}

/// Why TLS cannot be spoken as the file says.
#[derive(Debug, thiserror::Error)]
enum TlsError {
    #[error("a certificate or key cannot be read: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error(transparent)]
    Tls(#[from] Error),
}

impl Manner {
    /// None for plain HTTP/1.1, which needs nothing.
    pub(crate) fn new(transport: &Transport) -> Option<Self> {
        let Transport { scheme, tls, send_proxy } = transport;
        let tls = scheme.is_secure().then(|| Tls::new(tls, scheme.is_http2()));
        let is_plain = *scheme == Scheme::Http && send_proxy.is_none();
        (!is_plain).then(|| Self { is_http2: scheme.is_http2(), tls, send_proxy: *send_proxy })
    }

    /// Whether HTTP/2 is spoken.
    pub(crate) fn is_http2(&self) -> bool {
        self.is_http2
    }

    /// Whether more than TCP is needed before the first request.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Shakes hands with an instance over a fresh connection to its `address`.
    pub(crate) async fn shake_hands(
        &self,
        stream: TcpStream,
        address: &Address,
    ) -> io::Result<TlsStream<TcpStream>> {
        let unusable = || io::Error::other("what the file names for it cannot be used");
        let Tls { config, name } = self.tls.as_ref().ok_or_else(unusable)?;
        let config = config.as_ref().ok_or_else(unusable)?;
        let name = match name {
            Some(name) => name.clone(),
            None => named_by(address)?,
        };
        let stream = TlsConnector::from(config.clone()).connect(name, stream).await?;
        // Without a word about it, HTTP/1.1 is meant (RFC 7301).
        if self.is_http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("it does not speak HTTP/2"));
        }
        Ok(stream)
    }
}

impl Tls {
    fn new(settings: &UpstreamTls, is_http2: bool) -> Self {
        let alpn: &[u8] = if is_http2 { b"h2" } else { b"http/1.1" };
        let config = config(settings, alpn).map(Arc::new);
        let explain = |error: &TlsError| tracing::error!(%error, "TLS to an upstream cannot be set up");
        let config = config.inspect_err(explain).ok();
        // One that is no name is refused where it is written.
        let name = settings.server_name.clone().and_then(|name| ServerName::try_from(name).ok());
        Self { config, name }
    }
}

/// What the certificate must be for where the file says nothing: the host of the address.
fn named_by(address: &Address) -> io::Result<ServerName<'static>> {
    match address {
        Address::Ip(address) => Ok(ServerName::from(address.ip())),
        Address::Name { name, .. } => {
            let host = name.rsplit_once(':').map_or(name.as_str(), |(host, _)| host);
            ServerName::try_from(host.to_owned()).map_err(io::Error::other)
        }
    }
}

fn config(settings: &UpstreamTls, alpn: &[u8]) -> Result<ClientConfig, TlsError> {
    let UpstreamTls { ca, server_name: _, unverified, identity } = settings;
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match (unverified, ca) {
        (true, _) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody::new())),
        (false, Some(ca)) => {
            let mut roots = RootCertStore::empty();
            for root in CertificateDer::pem_slice_iter(ca.as_bytes()) {
                roots.add(root?)?;
            }
            builder.with_root_certificates(roots)
        }
        (false, None) => builder.with_root_certificates(system_roots()),
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(ClientIdentity { chain, key }) => {
            let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>()?;
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.expose().as_bytes())?)?
        }
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}

/// The system's roots, read when the first upstream needs them.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    ROOTS.get_or_init(read).clone()
}

/// Believes whoever holds the key of the certificate it shows: `verify: false`.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl Anybody {
    fn new() -> Self {
        Self(provider().signature_verification_algorithms)
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
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
