//! TLS towards clients: 1.2 and 1.3 by rustls with aws-lc-rs, from the first byte to the protocol that was agreed on.
//!
//! Certificates are found by the name the client asks for and may change at any time; tickets survive the process.
//! Knows nothing about routes.

mod certificates;
mod challenge;
mod client_auth;
mod files;
mod hello;
mod managed;
mod store;
mod tickets;

pub(crate) use certificates::{Certificate, CertificateError};
pub(crate) use challenge::{Answering, Challenges};
pub(crate) use client_auth::{ClientCa, Shown};
pub(crate) use hello::Hello;
pub(crate) use managed::{Done, Job, Managed, Task};
pub(crate) use store::{Store, StoreError};
pub(crate) use tickets::{NAME_LEN, SIGNATURE_LEN, Signed, Tickets};

use crate::client::{Scheme, Secure};
use crate::clock::{Deadline, Millis};
use crate::h1::{self, Peer};
use crate::h2;
use crate::issue::on_demand::{self, Refusals};
use crate::issue::unix_time;
use crate::table::Table;
use crate::tunnel;
use crate::worker::Worker;
use certificates::{ACME_TLS, Certificates};
use client_auth::Proven;
use files::Files;
use mainstay_model::table::CertificateStatus;
use mainstay_model::{Issuer, ManagedCertificate, OnDemand, TableTls};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{Acceptor, NoServerSessionStorage};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, TlsAcceptor};

/// How long a handshake may take from the connection's start: slow mobile clients need some seconds, and whoever says
/// nothing should not hold a descriptor for long.
const HANDSHAKE_PATIENCE: Millis = 15_000;

/// The same where the first handshake of a host waits for its certificate to be issued.
const ON_DEMAND_PATIENCE: Millis = 60_000;

/// The name of HTTP/2 in ALPN (RFC 9113, 3.2).
const HTTP2: &[u8] = b"h2";
/// The same of HTTP/3 (RFC 9114, 3.1).
const HTTP3: &[u8] = b"h3";

/// What every TLS connection shares.
#[derive(Debug)]
pub(crate) struct Tls {
    certificates: Arc<Certificates>,
    files: Mutex<Files>,
    pub(crate) managed: Managed,
    pub(crate) challenges: Arc<Challenges>,
    on_demand: Mutex<Option<(OnDemand, Issuer)>>,
    pub(crate) refusals: Refusals,
    /// Tells that other certificates are served, or that one will not be.
    published: watch::Sender<()>,
    pub(crate) handshakes: Handshakes,
    pub(crate) tickets: Arc<Tickets>,
    config: Arc<ServerConfig>,
    /// The same, where some site asks clients for certificates. Its sessions are not resumed: one from before would
    /// have none.
    asking: Arc<ServerConfig>,
    /// For HTTP/3. Nobody is asked for a certificate there.
    pub(crate) quic: Arc<ServerConfig>,
}

/// How handshakes ended.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    pub(crate) full: AtomicU64,
    pub(crate) resumed: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Handshakes {
    fn count(&self, outcome: &Result<TlsStream<TcpStream>, HandshakeError>) {
        let kind = outcome.as_ref().map(|stream| stream.get_ref().1.handshake_kind());
        let counter = match kind {
            Ok(Some(HandshakeKind::Resumed)) => &self.resumed,
            Ok(_) => &self.full,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Tls {
    /// Without certificates and with ticket keys nobody else has.
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        let provider = provider();
        let certificates = Arc::new(Certificates::default());
        let challenges = certificates.challenges.clone();
        let tickets = Arc::new(Tickets::new());
        let builder = || {
            ServerConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        };
        let alpn = || vec![HTTP2.to_vec(), b"http/1.1".to_vec(), ACME_TLS.to_vec()];
        let mut config = builder()?.with_no_client_auth().with_cert_resolver(certificates.clone());
        config.alpn_protocols = alpn();
        let proven = Proven::new(&provider);
        let mut asking =
            builder()?.with_client_cert_verifier(proven).with_cert_resolver(certificates.clone());
        asking.alpn_protocols = alpn();
        asking.session_storage = Arc::new(NoServerSessionStorage {});
        asking.send_tls13_tickets = 0;
        config.ticketer = tickets.clone();
        let mut quic = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(certificates.clone());
        quic.alpn_protocols = vec![HTTP3.to_vec()];
        quic.ticketer = tickets.clone();
        quic.session_storage = Arc::new(NoServerSessionStorage {});
        // Tickets carry the session; a store of this process would not survive it.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self {
            certificates,
            files: Mutex::default(),
            managed: Managed::default(),
            challenges,
            on_demand: Mutex::default(),
            refusals: Refusals::default(),
            published: watch::Sender::default(),
            handshakes: Handshakes::default(),
            tickets,
            config: Arc::new(config),
            asking: Arc::new(asking),
            quic: Arc::new(quic),
        })
    }

    /// Serves these certificates as far as they are to be had, and no others.
    pub(crate) fn want(&self, wanted: &TableTls) {
        let missing = {
            let mut files = self.lock_files();
            files.want(&wanted.files);
            // What one has is not ordered.
            let covers = |name: &String| files.certificates().any(|certificate| certificate.covers(name));
            let is_in_files = |managed: &&ManagedCertificate| managed.names.iter().all(covers);
            wanted.managed.iter().filter(|managed| !is_in_files(managed)).cloned().collect::<Vec<_>>()
        };
        let on_demand = wanted.on_demand.as_deref().cloned();
        self.managed.want(&missing, on_demand.as_ref().map(|(_, issuer)| issuer.clone()));
        *self.on_demand.lock().unwrap_or_else(PoisonError::into_inner) = on_demand;
        self.publish();
    }

    /// What is served or wanted, for the report.
    pub(crate) fn report(&self) -> Vec<CertificateStatus> {
        let mut all: Vec<_> = self.lock_files().certificates().map(Certificate::report).collect();
        all.extend(self.managed.report());
        all
    }

    /// Serves what has changed in the files, looking again and again. Somebody who has just replaced a certificate
    /// waits that long.
    pub(crate) async fn watch(&self) {
        const LOOK_EVERY: Duration = Duration::from_secs(2);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let has_changed = self.lock_files().look_again();
            if has_changed {
                self.publish();
            }
        }
    }

    /// Takes in what became of a job.
    pub(crate) fn finish(&self, job: &Job, done: Done) {
        if self.managed.finish(job, done, unix_time()) {
            self.publish();
        }
        self.published.send_replace(());
    }

    /// From here on, what must outlive the process is kept in `directory`; what is there is taken over. Whatever stands
    /// against it is said and not fatal.
    pub(crate) fn keep_in(&self, directory: &Path) {
        match Store::open(directory) {
            Ok(store) => {
                self.tickets.keep_in(directory.join("tickets"));
                self.managed.keep_in(store);
                self.publish();
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    "certificates and tickets would not outlive the edge, so none are made"
                );
            }
        }
    }

    /// What is done about hosts that are not known.
    pub(crate) fn on_demand(&self) -> Option<(OnDemand, Issuer)> {
        self.on_demand.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is a certificate for `host`.
    pub(crate) fn covers(&self, host: &str) -> bool {
        self.certificates.has(host)
    }

    /// Tells when [`Tls::covers`] may answer otherwise.
    pub(crate) fn published(&self) -> watch::Receiver<()> {
        self.published.subscribe()
    }

    fn publish(&self) {
        let managed = self.managed.certificates();
        self.certificates.replace(self.lock_files().certificates().chain(&managed));
    }

    fn lock_files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one cryptographic library, set as the process's own so that nothing else is chosen by accident.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    // An error says that it has been set before, which is as good.
    let _ = aws_lc_rs::default_provider().install_default();
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()))
}

/// Serves one TLS connection until it ends.
pub(crate) async fn serve(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    match worker.table().passes_tls_on() {
        false => answer(worker, Opening::Unread(stream), peer).await,
        true => Box::pin(serve_or_pass_on(worker, stream, peer)).await,
    }
}

/// The same where some names are not ours to answer for.
async fn serve_or_pass_on(worker: &Rc<Worker>, mut stream: TcpStream, peer: SocketAddr) {
    let deadline = Deadline::new();
    deadline.arm(HANDSHAKE_PATIENCE);
    let hello = match Hello::read(&mut stream, &deadline).await {
        Ok(hello) => hello,
        Err(error) => {
            worker.shared.tls.handshakes.failed.fetch_add(1, Ordering::Relaxed);
            return tracing::debug!(%error, %peer, "no TLS connection");
        }
    };
    let name = hello.name();
    let find = |table: &Table| table.upstream_named(None, name.as_deref());
    if find(&worker.table()).is_some() {
        return tunnel::pass_on(worker, stream, Some(hello.bytes), peer, find).await;
    }
    let start = StartHandshake::from_parts(hello.accepted, stream);
    answer(worker, Opening::Read(Box::new(start)), peer).await;
}

/// A connection at its beginning.
enum Opening {
    Unread(TcpStream),
    /// Its hello has been read.
    Read(Box<StartHandshake<TcpStream>>),
}

async fn answer(worker: &Rc<Worker>, opening: Opening, peer: SocketAddr) {
    let from = Peer::new(peer, Scheme::Https);
    // A handshake's state is large and short-lived; idle connections should not keep room for it.
    let Some((stream, agreed, from)) = Box::pin(agree(worker, opening, from)).await else { return };
    match agreed {
        Agreed::Http1 => h1::serve(worker, stream, from).await,
        Agreed::Http2 => Box::pin(h2::serve(worker, stream, None, from)).await,
        // An authority has seen what it wanted to see.
        Agreed::Proof => {}
    }
}

/// What is spoken on a connection.
enum Agreed {
    Http1,
    Http2,
    /// Nothing: its certificate was all that was asked for (RFC 8737).
    Proof,
}

/// Shakes hands, and notes what is known of the client after that.
async fn agree(
    worker: &Worker,
    opening: Opening,
    mut from: Peer,
) -> Option<(Secure<TlsStream<TcpStream>>, Agreed, Peer)> {
    let shaken = shake_hands(worker, opening).await;
    worker.shared.tls.handshakes.count(&shaken);
    let stream = match shaken {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, peer = %from.ip, "no TLS connection");
            return None;
        }
    };
    let session = stream.get_ref().1;
    from.shown = session.peer_certificates().map(Shown::new);
    from.tls = version(session);
    let agreed = match session.alpn_protocol() {
        Some(ACME_TLS) => Agreed::Proof,
        Some(HTTP2) => Agreed::Http2,
        _ => Agreed::Http1,
    };
    Some((Secure::new(stream), agreed, from))
}

/// The version that was agreed on, as the access log has it.
fn version(connection: &ServerConnection) -> Option<&'static str> {
    match connection.protocol_version()? {
        ProtocolVersion::TLSv1_3 => Some("1.3"),
        ProtocolVersion::TLSv1_2 => Some("1.2"),
        _ => None,
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

async fn shake_hands(worker: &Worker, opening: Opening) -> Result<TlsStream<TcpStream>, HandshakeError> {
    let deadline = Deadline::new();
    let tls = &worker.shared.tls;
    let config = if worker.table().asks_clients { &tls.asking } else { &tls.config };
    let is_asking = tls.on_demand().is_some();
    deadline.arm(if is_asking { ON_DEMAND_PATIENCE } else { HANDSHAKE_PATIENCE });
    let mut handshake = pin!(async {
        let start = match opening {
            Opening::Unread(stream) if !is_asking => {
                return TlsAcceptor::from(config.clone()).accept(stream).await;
            }
            Opening::Unread(stream) => LazyConfigAcceptor::new(Acceptor::default(), stream).await?,
            Opening::Read(start) => *start,
        };
        let hello = start.client_hello();
        let is_question = hello.alpn().is_some_and(|mut names| names.any(|name| name == ACME_TLS));
        let host = hello.server_name().filter(|_| !is_question).map(str::to_ascii_lowercase);
        if let Some(host) = host.filter(|_| is_asking) {
            on_demand::provide(tls, &host).await;
        }
        start.into_stream(config.clone()).await
    });
    poll_fn(|cx| match handshake.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done.map_err(HandshakeError::Failed)),
        Poll::Pending if deadline.passed(cx) => Poll::Ready(Err(HandshakeError::TimedOut)),
        Poll::Pending => Poll::Pending,
    })
    .await
}
