//! Who may use a route. What is known at once is decided at once (networks); what takes a while is a [`Question`] that is
//! answered beside the request path: passwords, a server to be asked, keys to be fetched.
//!
//! Whatever goes wrong on the way ends in a refusal. Knows nothing about connections and how requests are read.

mod ask;
mod basic;
mod forward;
mod jwt;
mod memory;
mod networks;
mod webhook;

pub(crate) use ask::Asked;
pub(crate) use memory::Memory;
pub(crate) use webhook::{Expected, Webhook};

use crate::table::Table;
use basic::Basic;
use bytes::Bytes;
use forward::Forward;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use jwt::Jwt;
use networks::Networks;
use std::net::IpAddr;
use std::sync::Arc;

/// The rules of a route, or of all of a site that has none of its own.
#[derive(Debug)]
pub(crate) struct Access {
    networks: Networks,
    basic: Option<Basic>,
    forward: Option<Forward>,
    jwt: Option<Jwt>,
    pub(crate) webhook: Option<Webhook>,
}

/// What a request may be let through by, once it was asked about.
#[derive(Debug)]
pub(crate) struct Granted {
    /// By these rules and no others.
    by: Arc<Access>,
    /// Lines that the service gets with the request.
    pub(crate) to_service: Vec<u8>,
    /// Lines that the client gets with the answer.
    pub(crate) to_client: Vec<u8>,
}

/// Why a request is not let through, and what its client is told.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(crate) status: u16,
    /// For the log.
    pub(crate) why: &'static str,
    /// Lines of the answer's head.
    pub(crate) fields: Vec<u8>,
    /// The answer's body, where another server gave it.
    pub(crate) body: Option<Bytes>,
}

/// What a request says of itself that may matter, none of it trusted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'b> {
    pub(crate) authorization: Option<&'b [u8]>,
    pub(crate) method: &'b str,
    pub(crate) scheme: &'static str,
    pub(crate) host: &'b [u8],
    pub(crate) path_and_query: &'b [u8],
    pub(crate) client: IpAddr,
}

/// What has to be found out about a request.
#[derive(Debug)]
pub(crate) struct Question {
    access: Arc<Access>,
    authorization: Option<Vec<u8>>,
    forward: Option<HeaderMap>,
}

impl Access {
    /// Rules that name upstreams as `find` finds them.
    pub(crate) fn new<E>(
        settings: &mainstay_model::Access,
        mut find: impl FnMut(&str) -> Result<usize, E>,
    ) -> Result<Self, E> {
        let mainstay_model::Access { networks, basic, forward, jwt, webhook } = settings;
        let mut asked = |server: &mainstay_model::Asked| -> Result<Asked, E> {
            let upstream = server.upstream.as_deref().map(&mut find).transpose()?;
            Ok(Asked { url: server.url.as_str().into(), upstream })
        };
        let forward = match forward {
            Some(settings) => Some(Forward::new(settings, asked(&settings.server)?)),
            None => None,
        };
        let jwt = match jwt {
            Some(settings) => Some(Jwt::new(settings, &mut asked)?),
            None => None,
        };
        Ok(Self {
            networks: Networks::new(networks),
            basic: basic.as_ref().map(Basic::new),
            forward,
            jwt,
            webhook: webhook.as_ref().map(Webhook::new),
        })
    }

    /// Names of fields that only the edge may give the service.
    pub(crate) fn own_fields(settings: &mainstay_model::Access) -> impl Iterator<Item = &String> {
        let by_server = settings.forward.iter().flat_map(|forward| &forward.headers);
        by_server.chain(settings.jwt.iter().flat_map(|jwt| jwt.claims.keys()))
    }

    /// Whether a client at this address may pass as far as its address goes.
    pub(crate) fn admits(&self, client: IpAddr) -> bool {
        self.networks.admit(client)
    }

    /// What has to be asked about a request before it may pass; none where its address was all.
    pub(crate) fn question<'f>(
        self: &Arc<Self>,
        asking: &Asking<'_>,
        fields: impl Iterator<Item = (&'f str, &'f [u8])>,
    ) -> Result<Option<Box<Question>>, Denied> {
        if self.basic.is_none() && self.jwt.is_none() && self.forward.is_none() {
            return Ok(None);
        }
        if let (Some(basic), None) = (&self.basic, asking.authorization) {
            return Err(basic.challenge());
        }
        if let (Some(_), None) = (&self.jwt, asking.authorization) {
            return Err(jwt::challenge(None));
        }
        Ok(Some(Box::new(Question {
            access: self.clone(),
            authorization: asking.authorization.map(<[u8]>::to_vec),
            forward: self.forward.as_ref().map(|_| forward::told(asking, fields)),
        })))
    }
}

impl Granted {
    /// Whether it still counts: rules that came since ask for themselves.
    pub(crate) fn is_by(&self, access: &Arc<Access>) -> bool {
        Arc::ptr_eq(&self.by, access)
    }
}

impl Question {
    /// Finds it out.
    pub(crate) async fn answer(self, memory: &Memory, table: &Table) -> Result<Granted, Denied> {
        let Self { access, authorization, forward } = self;
        let authorization = authorization.as_deref().unwrap_or_default();
        let mut granted = Granted { by: access.clone(), to_service: Vec::new(), to_client: Vec::new() };
        if let Some(jwt) = &access.jwt {
            jwt.verify(authorization, memory, table, &mut granted.to_service).await?;
        }
        if let Some(basic) = &access.basic {
            basic.verify(authorization, memory).await?;
        }
        if let (Some(server), Some(told)) = (&access.forward, forward) {
            server.ask(told, memory, table, &mut granted).await?;
        }
        Ok(granted)
    }
}

impl Denied {
    pub(crate) fn plain(status: u16, why: &'static str) -> Self {
        Self { status, why, fields: Vec::new(), body: None }
    }
}

/// Appends a line, unless its value could be more than one.
fn write_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        return;
    }
    for piece in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(piece);
    }
}

/// A field of a request that the edge makes; none when it cannot be one.
fn field(name: &str, value: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))
}
