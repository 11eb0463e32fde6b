//! A small client for the few requests the edge makes for itself: to authorities, to a DNS provider, to whoever is asked
//! about a host or a request. One connection a request.
//!
//! Knows nothing about what is asked.

use bytes::Bytes;
use http::header::{HOST, RETRY_AFTER};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// For a whole request and its answer. Authorities take some seconds under load.
const PATIENCE: Duration = Duration::from_secs(30);
/// Answers are small: a certificate chain has some 5 KiB.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("`{0}` is not an address of the form https://host/path")]
    BadUrl(String),
    #[error("cannot read the roots in {}", path.display())]
    Roots { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    #[error("cannot reach {host}")]
    Connect { host: String, source: std::io::Error },
    #[error("{host} broke off")]
    Exchange { host: String, source: hyper::Error },
    #[error("the answer of {host} cannot be read")]
    Answer { host: String, source: Box<dyn StdError + Send + Sync> },
    #[error("{0} takes too long")]
    TimedOut(String),
}

/// The client. Copies share what was learned.
#[derive(Debug, Clone)]
pub(crate) struct Https {
    config: Arc<ClientConfig>,
    /// Seconds the last refusal asked to wait, plus one; 0 for none.
    retry_after: Arc<AtomicU64>,
}

impl Https {
    /// Trusts the roots in `trust`, or the system's.
    pub(crate) fn new(trust: Option<&Path>) -> Result<Self, HttpError> {
        let mut roots = RootCertStore::empty();
        match trust {
            Some(path) => {
                let fail = |source| HttpError::Roots { path: path.to_owned(), source };
                for root in CertificateDer::pem_file_iter(path).map_err(fail)? {
                    roots.add(root.map_err(fail)?).map_err(HttpError::Tls)?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        let builder = ClientConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(HttpError::Tls)?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { config: Arc::new(config), retry_after: Arc::default() })
    }

    /// Sends a request to an absolute URL and reads the whole answer.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let bad = || HttpError::BadUrl(request.uri().to_string());
        let host = request.uri().host().ok_or_else(bad)?.to_owned();
        let is_secure = match request.uri().scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad()),
        };
        let exchange = self.exchange(request, &host, is_secure);
        let answer = tokio::time::timeout(PATIENCE, exchange).await;
        let answer = answer.unwrap_or(Err(HttpError::TimedOut(host)))?;
        self.note_retry_after(&answer);
        Ok(answer)
    }

    /// How long the last refusal asked to wait, in seconds. Asking takes it.
    pub(crate) fn take_retry_after(&self) -> Option<u64> {
        self.retry_after.swap(0, Ordering::Relaxed).checked_sub(1)
    }

    fn note_retry_after(&self, answer: &Response<Bytes>) {
        if answer.status().is_success() {
            return;
        }
        let given = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        if let Some(seconds) = given.and_then(|text| text.trim().parse::<u64>().ok()) {
            self.retry_after.store(seconds.saturating_add(1), Ordering::Relaxed);
        }
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        host: &str,
        is_secure: bool,
    ) -> Result<Response<Bytes>, HttpError> {
        let bad = || HttpError::BadUrl(request.uri().to_string());
        let port = request.uri().port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let fail = |source| HttpError::Connect { host: host.to_owned(), source };
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name =
            if is_secure { Some(ServerName::try_from(bare.clone()).map_err(|_| bad())?) } else { None };
        let stream = TcpStream::connect((bare.as_str(), port)).await.map_err(fail)?;
        let Some(name) = name else { return over(stream, request).await };
        let stream = TlsConnector::from(self.config.clone()).connect(name, stream).await.map_err(fail)?;
        over(stream, request).await
    }
}

/// Sends a request to an absolute URL over a connection to its host, and reads the whole answer.
pub(crate) async fn over<S>(stream: S, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let bad = |request: &Request<Bytes>| HttpError::BadUrl(request.uri().to_string());
    let authority = request.uri().authority().ok_or_else(|| bad(&request))?.clone();
    let named = HeaderValue::from_str(authority.as_str()).map_err(|_| bad(&request))?;
    request.headers_mut().insert(HOST, named);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| bad(&request))?;
    speak(stream, request, authority.host()).await
}

async fn speak<S>(stream: S, request: Request<Bytes>, host: &str) -> Result<Response<Bytes>, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let fail = |source| HttpError::Exchange { host: host.to_owned(), source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(fail)?;
    // It ends with the sender; what it could say, the answer says too.
    tokio::spawn(async move { drop(connection.await) });
    let answer = sender.send_request(request.map(Full::new)).await.map_err(fail)?;
    let (parts, body) = answer.into_parts();
    let whole = Limited::new(body, LARGEST_ANSWER).collect().await;
    let whole = whole.map_err(|source| HttpError::Answer { host: host.to_owned(), source })?;
    Ok(Response::from_parts(parts, whole.to_bytes()))
}

impl instant_acme::HttpClient for Https {
    fn request(
        &self,
        request: Request<instant_acme::BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<instant_acme::BytesResponse, instant_acme::Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_or_else(|never| match never {}, |body| body.to_bytes());
            let answer = client.send(Request::from_parts(parts, body)).await;
            let answer = answer.map_err(|error| instant_acme::Error::Other(Box::new(error)))?;
            Ok(instant_acme::BytesResponse::from(answer.map(Full::new)))
        })
    }
}
