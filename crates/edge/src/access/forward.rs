//! Asking a server about each request, as Traefik's ForwardAuth does, which Authelia, Authentik and oauth2-proxy answer.
//!
//! Its 2xx lets the request through; everything else it says goes to the client as it is, which is how a client gets to a
//! page to sign in.

use super::ask::{Asked, ask};
use super::{Asking, Denied, Granted, Memory, field, write_line};
use crate::h1::field::{Field, classify};
use crate::table::Table;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::{Request, Response};
use mainstay_model::ForwardAuth;
use std::time::Duration;

/// Who is asked, and what is taken from its answer.
#[derive(Debug)]
pub(super) struct Forward {
    server: Asked,
    headers: Box<[Box<str>]>,
    timeout: Duration,
}

impl Forward {
    pub(super) fn new(settings: &ForwardAuth, server: Asked) -> Self {
        let headers = settings.headers.iter().map(|name| name.as_str().into()).collect();
        Self { server, headers, timeout: settings.timeout }
    }

    pub(super) async fn ask(
        &self,
        told: HeaderMap,
        memory: &Memory,
        table: &Table,
        granted: &mut Granted,
    ) -> Result<(), Denied> {
        let down = || Denied::plain(503, "the authentication server does not answer");
        let mut request = Request::get(&*self.server.url).body(Bytes::new()).map_err(|_| down())?;
        *request.headers_mut() = told;
        let answer = ask(memory, table, &self.server, request, self.timeout).await.map_err(|error| {
            tracing::warn!(url = &*self.server.url, %error, "the authentication server does not answer");
            down()
        })?;
        if !answer.status().is_success() {
            return Err(passed_on(answer));
        }
        for name in &self.headers {
            for value in answer.headers().get_all(&**name) {
                write_line(&mut granted.to_service, name, value.as_bytes());
            }
        }
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            write_line(&mut granted.to_client, "Set-Cookie", cookie.as_bytes());
        }
        Ok(())
    }
}

/// What the server is told: the client's fields, and what it asked for.
pub(super) fn told<'f>(asking: &Asking<'_>, fields: impl Iterator<Item = (&'f str, &'f [u8])>) -> HeaderMap {
    let mut told = HeaderMap::new();
    for (name, value) in fields {
        if matches!(classify(name), Field::Other | Field::Accept | Field::Date) {
            // All of them, as the service will see them all.
            if let Some((name, value)) = field(name, value) {
                told.append(name, value);
            }
        }
    }
    // It decides about the request, not about its body or a change of protocol, and its answer is read as it is.
    for name in [header::CONTENT_ENCODING, header::ACCEPT_ENCODING, header::RANGE] {
        told.remove(name);
    }
    let client = asking.client.to_string();
    for (name, value) in [
        ("x-forwarded-method", asking.method.as_bytes()),
        ("x-forwarded-proto", asking.scheme.as_bytes()),
        ("x-forwarded-host", asking.host),
        ("x-forwarded-uri", asking.path_and_query),
        ("x-forwarded-for", client.as_bytes()),
    ] {
        if let Some((name, value)) = field(name, value) {
            told.insert(name, value);
        }
    }
    told
}

/// Its answer, for the client.
fn passed_on(answer: Response<Bytes>) -> Denied {
    let (parts, body) = answer.into_parts();
    let mut fields = Vec::new();
    for (name, value) in &parts.headers {
        if is_passed_on(name) {
            write_line(&mut fields, name.as_str(), value.as_bytes());
        }
    }
    // Whatever is neither a redirect nor a refusal would read as a success of the page that was asked for.
    let status = parts.status.as_u16();
    let status = if status >= 300 { status } else { 503 };
    Denied { status, why: "the authentication server says no", fields, body: Some(body) }
}

/// Whether a field is about the answer, not about the connection it came over.
fn is_passed_on(name: &HeaderName) -> bool {
    let is_ours = matches!(*name, header::DATE | header::SERVER | header::CONTENT_LENGTH | header::ALT_SVC);
    !is_ours && matches!(classify(name.as_str()), Field::Other)
}
