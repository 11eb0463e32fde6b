//! A TLS client that says what it was shown, and certificates made on the spot.

use super::Client;
use mainstay_model::CertificateFiles;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ConfigBuilder, ProtocolVersion, RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub type Secure = Client<TlsStream<TcpStream>>;
pub type Instance = Client<tokio_rustls::server::TlsStream<TcpStream>>;

/// An authority of the test's own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate whose issuer has its own name for self-signed.
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority of a test");
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), root }
    }

    /// Puts a certificate for these names into `dir`, as `file.pem` and `file.key`; replaces what is there at once.
    pub fn issue(&self, dir: &Path, file: &str, names: &[&str]) -> CertificateFiles {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let cert = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let files =
            CertificateFiles { cert: dir.join(format!("{file}.pem")), key: dir.join(format!("{file}.key")) };
        for (path, text) in [(&files.key, key.serialize_pem()), (&files.cert, cert.pem())] {
            let fresh = path.with_extension("new");
            std::fs::write(&fresh, text).unwrap();
            std::fs::rename(fresh, path).unwrap();
        }
        files
    }

    /// The same by an authority of this one, whose certificate comes with it.
    pub fn issue_through_another(&self, dir: &Path, file: &str, names: &[&str]) -> CertificateFiles {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(DnType::CommonName, "another authority");
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        let another = Self { issuer: Issuer::new(params, key), root: self.root.clone() };
        let files = another.issue(dir, file, names);
        let leaf = std::fs::read_to_string(&files.cert).unwrap();
        std::fs::write(&files.cert, leaf + &chain).unwrap();
        files
    }

    pub fn root_pem(&self) -> String {
        use base64::Engine;
        let text = base64::prelude::BASE64_STANDARD.encode(&self.root);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    /// A client of HTTP/1.1 that trusts this root.
    pub fn trusting(root: &str) -> Arc<ClientConfig> {
        let root = CertificateDer::from_pem_slice(root.as_bytes()).unwrap();
        client(root, &["http/1.1"], &[&rustls::version::TLS13])
    }

    /// A client that trusts this authority and speaks these protocols.
    pub fn client(&self, alpn: &[&str], versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        client(self.root.clone(), alpn, versions)
    }

    /// The same, with a certificate to show.
    pub fn client_showing(
        &self,
        shown: &CertificateFiles,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let chain = CertificateDer::pem_file_iter(&shown.cert).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&shown.key).unwrap();
        let config = builder(self.root.clone(), versions).with_client_auth_cert(chain, key).unwrap();
        Arc::new(config)
    }
}

fn client(
    root: CertificateDer<'static>,
    alpn: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut config = builder(root, versions).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn builder(
    root: CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    builder.with_root_certificates(roots)
}

/// An instance that shakes hands; `serve` gets each connection.
pub async fn instance<F>(
    authority: &Authority,
    name: &str,
    serve: impl Fn(Instance) -> F + Send + 'static,
) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let directory = tempfile::tempdir().unwrap();
    let files = authority.issue(directory.path(), "server", &[name]);
    let chain = CertificateDer::pem_file_iter(files.cert).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(files.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = TlsAcceptor::from(config.clone()).accept(stream).await {
                tokio::spawn(serve(Client { stream, buffer: Vec::new() }));
            }
        }
    });
    address
}

/// Connects and asks for `name`; the error is the handshake's.
pub async fn connect(config: &Arc<ClientConfig>, address: SocketAddr, name: &str) -> std::io::Result<Secure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(config.clone()).connect(name, stream).await?;
    Ok(Client { stream, buffer: Vec::new() })
}

impl Secure {
    /// DNS names of the certificate that was shown.
    pub fn shown(&self) -> Vec<String> {
        use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
        let chain = self.stream.get_ref().1.peer_certificates().unwrap();
        let (_, parsed) = X509Certificate::from_der(&chain[0]).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        let dns = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
        dns.collect()
    }

    pub fn version(&self) -> ProtocolVersion {
        self.stream.get_ref().1.protocol_version().unwrap()
    }

    pub fn was_resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }
}
