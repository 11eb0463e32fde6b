//! What every connection of a client is held to, in the form connections meet it.
//!
//! Knows nothing about connections.

use crate::clock::{self, Millis};
use mainstay_model::ClientRules;

/// How long a head may take from its first byte to its last (nginx's `client_header_timeout` is 60 s between
/// two reads; this is for all of it), and a new connection to its first byte.
const HEAD_PATIENCE: Millis = 30_000;
/// How long a connection may be idle between requests: nginx's `keepalive_timeout`.
const IDLE_PATIENCE: Millis = 75_000;
/// Longest line of a head, the first included: nginx's large header buffer.
const LONGEST_LINE: usize = 8 * 1024;
/// The slowest a client may send a body of known length, in bytes a second, once the first minute is over. Apache asks
/// for as much (`RequestReadTimeout body=20,MinRate=500`); modems did ten times that.
const SLOWEST_BODY: u64 = 500;

/// The rules, with what holds where none was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clients {
    /// Time for a head.
    pub(crate) head: Millis,
    /// Time between two requests.
    pub(crate) idle: Millis,
    pub(crate) head_size: usize,
    pub(crate) head_line: usize,
    pub(crate) head_fields: usize,
    /// Bytes a second.
    pub(crate) body_rate: u64,
    /// Connections in all.
    pub(crate) connections: usize,
    /// Connections of one address; none for any number, which costs no counting.
    pub(crate) per_client: Option<u32>,
}

impl Clients {
    pub(crate) fn new(rules: &ClientRules) -> Self {
        let ClientRules { connections, per_client, head, idle, head_size, head_line, head_fields, body_rate } =
            rules;
        let size = |number: &Option<u32>| {
            number.and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX)
        };
        Self {
            head: head.map_or(HEAD_PATIENCE, clock::millis),
            idle: idle.map_or(IDLE_PATIENCE, clock::millis),
            head_size: size(head_size),
            head_line: head_line.map_or(LONGEST_LINE, |_| size(head_line)),
            head_fields: size(head_fields),
            body_rate: body_rate.map_or(SLOWEST_BODY, u64::from),
            connections: size(connections),
            per_client: *per_client,
        }
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self::new(&ClientRules::default())
    }
}
