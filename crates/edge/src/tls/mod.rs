//! TLS towards clients: 1.2 and 1.3 by rustls with aws-lc-rs, from the first byte to the protocol that was agreed on.
//!
//! Certificates are found by the name the client asks for and may change at any time; tickets survive the process.
//! Knows nothing about routes.

mod certificates;
mod files;
mod tickets;

use crate::client::{Scheme, Secure};
use crate::clock::{Deadline, Millis};
use crate::h1::{self, Peer};
use crate::h2;
use crate::worker::Worker;
use certificates::{Certificate, Certificates};
use files::Files;
use mainstay_model::table::{CertificateFiles, ServedCertificate};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tickets::Tickets;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take from the connection's start: slow mobile clients need some seconds, and whoever says
/// nothing should not hold a descriptor for long.
const HANDSHAKE_PATIENCE: Millis = 15_000;

/// The name of HTTP/2 in ALPN (RFC 9113, 3.2).
const HTTP2: &[u8] = b"h2";

/// What every TLS connection shares.
#[derive(Debug)]
pub(crate) struct Tls {
    certificates: Arc<Certificates>,
    files: Mutex<Files>,
    tickets: Arc<Tickets>,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Without certificates and with ticket keys nobody else has.
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        let provider = provider();
        let certificates = Arc::new(Certificates::default());
        let tickets = Arc::new(Tickets::new());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth();
        let mut config = builder.with_cert_resolver(certificates.clone());
        config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        config.ticketer = tickets.clone();
        // Tickets carry the session; a store of this process would not survive it.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { certificates, files: Mutex::default(), tickets, config: Arc::new(config) })
    }

    /// Serves the certificates in these files, and none in others.
    pub(crate) fn want(&self, files: &[CertificateFiles]) {
        let mut known = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if known.want(files) {
            self.certificates.replace(known.certificates());
        }
    }

    /// What is served, for the report.
    pub(crate) fn served(&self) -> Vec<ServedCertificate> {
        let known = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        known.certificates().map(Certificate::report).collect()
    }

    /// Serves what has changed in the files, looking again and again. Somebody who has just replaced a certificate
    /// waits that long.
    pub(crate) async fn watch(&self) {
        const LOOK_EVERY: Duration = Duration::from_secs(2);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let mut known = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            if known.look_again() {
                self.certificates.replace(known.certificates());
            }
        }
    }

    /// From here on ticket keys are kept in `directory`; those of the process before are taken over.
    pub(crate) fn keep_tickets_in(&self, directory: &Path) {
        self.tickets.keep_in(directory.join("tickets"));
    }
}

/// The one cryptographic library, set as the process's own so that nothing else is chosen by accident.
fn provider() -> Arc<CryptoProvider> {
    // An error says that it has been set before, which is as good.
    let _ = aws_lc_rs::default_provider().install_default();
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()))
}

/// Serves one TLS connection until it ends.
pub(crate) async fn serve(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    let from = Peer::new(peer, Scheme::Https);
    // A handshake's state is large and short-lived; idle connections should not keep room for it.
    match Box::pin(shake_hands(worker, stream)).await {
        Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(HTTP2) => {
            Box::pin(h2::serve(worker, Secure::new(stream), None, from)).await;
        }
        Ok(stream) => h1::serve(worker, Secure::new(stream), from).await,
        Err(error) => tracing::debug!(%error, %peer, "no TLS connection"),
    }
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("the handshake took too long")]
    TimedOut,
    #[error(transparent)]
    Failed(#[from] std::io::Error),
}

async fn shake_hands(worker: &Worker, stream: TcpStream) -> Result<TlsStream<TcpStream>, HandshakeError> {
    let deadline = Deadline::new();
    deadline.arm(HANDSHAKE_PATIENCE);
    let mut handshake = TlsAcceptor::from(worker.shared.tls.config.clone()).accept(stream);
    poll_fn(|cx| match Pin::new(&mut handshake).poll(cx) {
        Poll::Ready(done) => Poll::Ready(done.map_err(HandshakeError::Failed)),
        Poll::Pending if deadline.passed(cx) => Poll::Ready(Err(HandshakeError::TimedOut)),
        Poll::Pending => Poll::Pending,
    })
    .await
}
