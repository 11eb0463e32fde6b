//! A request before the rules about who may use its route.
//!
//! Knows nothing about what the rules are; see [`crate::access`].

use super::reading::{Request, Routed};
use super::request::Admission;
use crate::access::{self, Access, Denied, Expected, Question};
use std::sync::Arc;

/// A request before the rules of its route.
pub(super) struct Passing<'a, 'b> {
    pub(super) request: &'a Request<'b>,
    pub(super) access: &'a Arc<Access>,
    pub(super) routed: &'a Routed<'b>,
    pub(super) is_secure: bool,
}

/// Why it does not pass.
pub(super) enum NotYet {
    Denied(Denied),
    Asking(Box<Question>),
}

impl Passing<'_, '_> {
    /// Passes, with what its body must be signed with.
    pub(super) fn pass(
        &self,
        admission: &mut Admission,
        response_fields: &mut Vec<u8>,
    ) -> Result<Option<Box<Expected>>, NotYet> {
        let Self { request, access, routed, .. } = self;
        let denied = |status, why| NotYet::Denied(Denied::plain(status, why));
        if let Some(denied) = admission.denied.take() {
            return Err(NotYet::Denied(*denied));
        }
        if !access.admits(routed.client.ip) {
            return Err(denied(403, "not from this network"));
        }
        match admission.granted.as_ref().filter(|granted| granted.is_by(access)) {
            Some(granted) => response_fields.extend_from_slice(&granted.to_client),
            None => {
                admission.granted = None;
                if let Some(question) = self.question().map_err(NotYet::Denied)? {
                    return Err(NotYet::Asking(question));
                }
            }
        }
        let Some(webhook) = &access.webhook else { return Ok(None) };
        let unsigned = || denied(401, "no signature that counts");
        let value = request.values(webhook.field()).next().ok_or_else(unsigned)?;
        let expected = webhook.expect(value).ok_or_else(unsigned)?;
        Ok(Some(Box::new(expected)))
    }

    fn question(&self) -> Result<Option<Box<Question>>, Denied> {
        let Self { request, access, routed, is_secure } = self;
        let fields = request.fields.iter();
        let own = fields.filter(|field| !request.connection.names(field.name));
        let mut authorizations = request.values("authorization");
        let authorization = authorizations.next();
        if authorizations.next().is_some() {
            // The service might take another than we.
            return Err(Denied::plain(400, "several Authorization fields"));
        }
        let asking = access::Asking {
            authorization,
            method: request.method,
            scheme: if *is_secure { "https" } else { "http" },
            host: request.host_value,
            path_and_query: request.target.path_and_query,
            client: routed.client.ip,
        };
        access.question(&asking, own.map(|field| (field.name, field.value)))
    }
}
