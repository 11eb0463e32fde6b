//! Session tickets whose keys outlive the process, so that clients resume with the edge that takes over.
//!
//! A key encrypts for a few hours and decrypts for as long as its tickets live, then it is forgotten: whoever steals
//! the keys later cannot read what was said before. What else clients bring back is signed with keys that are derived from
//! these, and live as long. Knows nothing about connections.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{constant_time, hmac, rand};
use rustls::server::ProducesTickets;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds a key makes tickets.
const ENCRYPTS_FOR: u64 = 6 * 3600;
/// Seconds a ticket is good for. RFC 8446, 4.6.1 allows a week; half a day is what a working day needs.
const LIFETIME: u32 = 12 * 3600;
/// Seconds a key opens tickets: its last one was made when it stopped making them.
const DECRYPTS_FOR: u64 = ENCRYPTS_FOR + LIFETIME as u64;

/// Bytes of a key's name.
pub(crate) const NAME_LEN: usize = 16;
/// Bytes of a signature: half of HMAC-SHA256, which RFC 2104, 5 holds to be enough.
pub(crate) const SIGNATURE_LEN: usize = 16;
/// Keeps keys that sign apart from those that encrypt.
const SIGNS: &[u8] = b"mainstay signs what clients bring back";

const KEY_LEN: usize = 32;
const TIME_LEN: usize = 8;
/// One key on disk.
const RECORD_LEN: usize = NAME_LEN + TIME_LEN + KEY_LEN;

/// Makes and opens tickets.
pub(crate) struct Tickets {
    state: Mutex<State>,
}

struct State {
    /// The newest first.
    keys: Vec<TicketKey>,
    file: Option<PathBuf>,
}

struct TicketKey {
    name: [u8; NAME_LEN],
    /// Unix time.
    made: u64,
    secret: [u8; KEY_LEN],
    key: RandomizedNonceKey,
    signing: hmac::Key,
}

/// A signature that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signed {
    /// By the key that signs now.
    Now,
    /// By one before it, which will be forgotten.
    Before,
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

impl Tickets {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { keys: Vec::new(), file: None }) }
    }

    /// Takes over the keys in `file`, and keeps them there from now on. Whatever stands against it is said and not
    /// fatal: clients then pay full handshakes.
    pub(super) fn keep_in(&self, file: PathBuf) {
        let mut state = self.lock();
        let now = unix_time();
        match fs::read(&file) {
            Ok(bytes) => state.keys.extend(bytes.chunks_exact(RECORD_LEN).filter_map(TicketKey::read)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, file = %file.display(), "cannot read ticket keys"),
        }
        state.keys.sort_by_key(|key| std::cmp::Reverse(key.made));
        state.file = Some(file);
        state.forget(now);
        state.store();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs for somebody who will bring it back, with the newest key; gives its name too.
    pub(crate) fn sign(&self, message: &[&[u8]]) -> Option<([u8; NAME_LEN], [u8; SIGNATURE_LEN])> {
        self.sign_at(message, unix_time())
    }

    /// Whether a signature is right, and how new its key.
    pub(crate) fn verify(&self, key: &[u8], message: &[&[u8]], signature: &[u8]) -> Option<Signed> {
        self.verify_at(key, message, signature, unix_time())
    }

    fn sign_at(&self, message: &[&[u8]], now: u64) -> Option<([u8; NAME_LEN], [u8; SIGNATURE_LEN])> {
        let mut state = self.lock();
        let key = state.current(now)?;
        Some((key.name, key.signature(message)))
    }

    fn verify_at(&self, name: &[u8], message: &[&[u8]], signature: &[u8], now: u64) -> Option<Signed> {
        let mut state = self.lock();
        // The newest may have served its time: then the next signature is another key's.
        let newest = state.current(now)?.name;
        let key = state.keys.iter().find(|key| key.name == name && key.opens(now))?;
        constant_time::verify_slices_are_equal(&key.signature(message), signature).ok()?;
        Some(if key.name == newest { Signed::Now } else { Signed::Before })
    }

    fn encrypt_at(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        let mut state = self.lock();
        let key = state.current(now)?;
        let mut ticket = Vec::with_capacity(NAME_LEN + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        let mut sealed = plain.to_vec();
        let nonce = key.key.seal_in_place_append_tag(Aad::from(key.name), &mut sealed).ok()?;
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(nonce.as_ref());
        ticket.extend_from_slice(&sealed);
        Some(ticket)
    }

    fn decrypt_at(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME_LEN)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let state = self.lock();
        let key = state.keys.iter().find(|key| key.name == name && key.opens(now))?;
        let mut opened = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = key.key.open_in_place(nonce, Aad::from(key.name), &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.encrypt_at(plain, unix_time())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.decrypt_at(cipher, unix_time())
    }
}

impl State {
    /// The key that makes tickets now; a new one when there is none or the last one has served its time, or seems to
    /// come from the future because the clock was set back.
    fn current(&mut self, now: u64) -> Option<&TicketKey> {
        let serves = |key: &TicketKey| key.made <= now && now - key.made < ENCRYPTS_FOR;
        if !self.keys.first().is_some_and(serves) {
            self.keys.insert(0, TicketKey::make(now)?);
            self.forget(now);
            self.store();
        }
        self.keys.first()
    }

    fn forget(&mut self, now: u64) {
        self.keys.retain(|key| key.opens(now));
    }

    fn store(&self) {
        let Some(file) = &self.file else { return };
        if let Err(error) = replace(file, &self.keys) {
            tracing::warn!(%error, file = %file.display(), "cannot keep ticket keys");
        }
    }
}

impl TicketKey {
    fn make(now: u64) -> Option<Self> {
        let mut name = [0; NAME_LEN];
        let mut secret = [0; KEY_LEN];
        rand::fill(&mut name).ok()?;
        rand::fill(&mut secret).ok()?;
        Self::new(name, now, secret)
    }

    fn new(name: [u8; NAME_LEN], made: u64, secret: [u8; KEY_LEN]) -> Option<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &secret).ok()?;
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), SIGNS);
        let signing = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
        Some(Self { name, made, secret, key, signing })
    }

    /// Of the parts and their lengths, so that what stands at the end of one cannot be taken for the next's beginning.
    fn signature(&self, message: &[&[u8]]) -> [u8; SIGNATURE_LEN] {
        let mut context = hmac::Context::with_key(&self.signing);
        for part in message {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut signature = [0; SIGNATURE_LEN];
        signature.copy_from_slice(&context.sign().as_ref()[..SIGNATURE_LEN]);
        signature
    }

    fn read(record: &[u8]) -> Option<Self> {
        let (name, rest) = record.split_first_chunk::<NAME_LEN>()?;
        let (made, secret) = rest.split_first_chunk::<TIME_LEN>()?;
        Self::new(*name, u64::from_be_bytes(*made), secret.try_into().ok()?)
    }

    /// Whether its tickets are still good. One from the future is, for as long as it would be from now on.
    fn opens(&self, now: u64) -> bool {
        now.abs_diff(self.made) < DECRYPTS_FOR
    }
}

/// Replaces the file, readable for nobody else. It is not forced to disk: what a power cut takes are tickets.
fn replace(file: &Path, keys: &[TicketKey]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(keys.len() * RECORD_LEN);
    for TicketKey { name, made, secret, key: _, signing: _ } in keys {
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&made.to_be_bytes());
        bytes.extend_from_slice(secret);
    }
    let fresh = file.with_extension("new");
    let _ = fs::remove_file(&fresh);
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    out.write_all(&bytes)?;
    fs::rename(&fresh, file)
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn tickets_are_opened_by_the_process_that_takes_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tickets");
        let (old, new) = (Tickets::new(), Tickets::new());
        old.keep_in(file.clone());
        let ticket = old.encrypt(b"session").unwrap();
        assert_eq!(new.decrypt(&ticket), None);
        new.keep_in(file.clone());
        assert_eq!(new.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&file).unwrap().len(), RECORD_LEN as u64);
    }

    #[test]
    fn a_key_is_changed_in_time_and_forgotten_after_its_last_ticket() {
        let tickets = Tickets::new();
        let early = tickets.encrypt_at(b"a", NOW).unwrap();
        let late = tickets.encrypt_at(b"b", NOW + ENCRYPTS_FOR - 1).unwrap();
        assert_eq!(early[..NAME_LEN], late[..NAME_LEN]);
        let next = tickets.encrypt_at(b"c", NOW + ENCRYPTS_FOR).unwrap();
        assert_ne!(next[..NAME_LEN], late[..NAME_LEN]);
        assert!(tickets.decrypt_at(&late, NOW + DECRYPTS_FOR - 1).is_some());
        assert!(tickets.decrypt_at(&late, NOW + DECRYPTS_FOR).is_none());
        tickets.encrypt_at(b"d", NOW + DECRYPTS_FOR).unwrap();
        assert_eq!(tickets.lock().keys.len(), 2, "the first key is gone from memory");
    }

    #[test]
    fn a_clock_that_jumps_makes_a_new_key_and_keeps_the_old_tickets() {
        let tickets = Tickets::new();
        let before = tickets.encrypt_at(b"a", NOW).unwrap();
        let after = tickets.encrypt_at(b"b", NOW - 3600).unwrap();
        assert_ne!(before[..NAME_LEN], after[..NAME_LEN]);
        assert!(tickets.decrypt_at(&before, NOW - 3600).is_some());
    }

    #[test]
    fn what_was_signed_is_known_by_the_process_that_takes_over_and_for_as_long_as_tickets() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tickets");
        let (old, new) = (Tickets::new(), Tickets::new());
        old.keep_in(file.clone());
        let message: &[&[u8]] = &[b"s/api", b"s/api.1.0"];
        let (key, signature) = old.sign_at(message, NOW).unwrap();
        let verify = |tickets: &Tickets, now| tickets.verify_at(&key, message, &signature, now);
        assert_eq!(verify(&new, NOW), None, "by keys of its own");
        new.keep_in(file);
        // What is in the file is from the future by then, and forgotten; so it is given by hand.
        new.lock().keys = vec![TicketKey::new(key, NOW, old.lock().keys[0].secret).unwrap()];
        assert_eq!(verify(&new, NOW + ENCRYPTS_FOR - 1), Some(Signed::Now));
        assert_eq!(verify(&new, NOW + ENCRYPTS_FOR), Some(Signed::Before));
        assert_eq!(verify(&new, NOW + DECRYPTS_FOR), None);
        let (key, signature) = old.sign_at(message, NOW).unwrap();
        for (parts, what) in
            [([&b"s/ap"[..], b"is/api.1.0"], "shifted"), ([b"s/web", b"s/api.1.0"], "another's")]
        {
            assert_eq!(old.verify_at(&key, &parts, &signature, NOW), None, "{what}");
        }
        for place in 0..SIGNATURE_LEN {
            let mut forged = signature;
            forged[place] ^= 1;
            assert_eq!(old.verify_at(&key, message, &forged, NOW), None, "byte {place}");
            assert_eq!(old.verify_at(&key, message, &signature[..place], NOW), None, "cut at {place}");
        }
    }

    #[test]
    fn whatever_was_changed_is_not_opened() {
        let tickets = Tickets::new();
        let ticket = tickets.encrypt_at(b"session", NOW).unwrap();
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(tickets.decrypt_at(&changed, NOW), None, "byte {place}");
            assert_eq!(tickets.decrypt_at(&ticket[..place], NOW), None, "cut at {place}");
        }
        assert!(tickets.decrypt_at(&ticket, NOW).is_some());
    }
}
