//! `access:` of routes and of the edge.

use super::proxies::network;
use super::response::usable;
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use crate::resolve::{Reader, resources};
use crate::suggest;
use mainstay_model::{
    Access, Asked, BasicAuth, Choice, ForwardAuth, Jwt, JwtKeys, NetworkRule, Secret, Webhook, WebhookSender,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// What browsers show where nothing else is said.
const REALM: &str = "Restricted";
/// How long an authentication server may take: as long as somebody waits for a page.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(10);
/// How far clocks may differ, unless said: servers without a working NTP drift by seconds.
const LEEWAY: Duration = Duration::from_secs(60);
/// How old a signature may be: Stripe's libraries take five minutes too.
const TOLERANCE: Duration = Duration::from_secs(300);
/// Largest signed body: GitHub caps its at 25 MB, but all of what teams subscribe to is far below one.
const MAX_SIGNED: u64 = 1024 * 1024;

/// Reads `access:`.
pub(super) fn access(
    node: &Node,
    reader: Reader<'_>,
    path: &KeyPath,
    sink: &mut Sink,
) -> Option<Choice<Access>> {
    let given = node.get("access")?;
    let path = &path.key("access");
    if given.get("for").is_some() {
        return Some(Choice::Off);
    }
    let before = sink.errors();
    let mut reading = Reading { reader, sink };
    let access = Access {
        networks: reading.networks(given, path),
        basic: given.get("basic").and_then(|given| reading.basic(given, &path.key("basic"))),
        forward: given.get("forward").and_then(|given| reading.forward(given, &path.key("forward"))),
        jwt: given.get("jwt").and_then(|given| reading.jwt(given, &path.key("jwt"))),
        webhook: given.get("webhook").and_then(|given| reading.webhook(given, &path.key("webhook"))),
    };
    if let (Some(_), Some(jwt)) = (given.get("basic"), given.get("jwt")) {
        let message = "a request carries either a password or a token: `basic` and `jwt` exclude each other";
        sink.push(Diagnostic::error(Code::Conflict, message).about(jwt).path(path.key("jwt")));
    }
    if access == Access::default() && sink.errors() == before {
        let finding = Diagnostic::error(Code::InvalidValue, "`access` says nothing about who may pass");
        let help = "write `networks`, `basic`, `forward`, `jwt` or `webhook`, or `access: everybody`";
        sink.push(finding.about(given).path(path).help(help));
    }
    Some(Choice::On(access))
}

struct Reading<'r> {
    reader: Reader<'r>,
    sink: &'r mut Sink,
}

impl Reading<'_> {
    fn wrong(&mut self, message: impl Into<String>, node: &Node, path: KeyPath, help: &str) {
        let finding = Diagnostic::error(Code::InvalidValue, message).about(node).path(path);
        self.sink.push(if help.is_empty() { finding } else { finding.help(help) });
    }

    fn networks(&mut self, given: &Node, path: &KeyPath) -> Vec<NetworkRule> {
        let path = path.key("networks");
        let mut rules = Vec::new();
        for (index, item) in given.items("networks").iter().enumerate() {
            rules.extend(self.network(item, path.index(index)));
        }
        if let (false, true, Some(node)) =
            (rules.is_empty(), rules.iter().all(|rule| rule.allow), given.get("networks"))
        {
            // As with nginx, whom no rule fits may pass; so this would shut nobody out.
            let message = "nobody is denied here, so everybody may pass";
            self.wrong(message, node, path, "end the list with `deny all`");
        }
        rules
    }

    fn network(&mut self, item: &Node, path: KeyPath) -> Option<NetworkRule> {
        let text = item.as_text().unwrap_or_default().trim();
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let allow = match word {
            "allow" => true,
            "deny" => false,
            _ => {
                let meant = suggest::closest(word, ["allow", "deny"]);
                let help = meant.map_or_else(
                    || "write `allow 10.0.0.0/8` or `deny all`".to_owned(),
                    |meant| format!("did you mean `{meant}`?"),
                );
                self.wrong(format!("`{word}` is neither `allow` nor `deny`"), item, path, &help);
                return None;
            }
        };
        match (rest.trim(), network(rest.trim())) {
            ("all", _) => Some(NetworkRule { allow, network: None }),
            (_, Some(network)) => Some(NetworkRule { allow, network: Some(network) }),
            (rest, None) => {
                let message = format!("`{rest}` is no network");
                self.wrong(message, item, path, "write an address, a network such as 10.0.0.0/8, or `all`");
                None
            }
        }
    }

    fn basic(&mut self, given: &Node, path: &KeyPath) -> Option<BasicAuth> {
        let mut users = BTreeMap::new();
        let before = self.sink.errors();
        for (name, entry) in given.entries("users") {
            let hash = entry.node.as_text().unwrap_or_default();
            self.user(name, hash, &entry.node, path.key("users").key(name), &mut users);
        }
        if let Some(file) = given.get("file") {
            let text = self.reader.text(file, &path.key("file"), self.sink).unwrap_or_default();
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            for line in lines {
                let (name, hash) = line.split_once(':').unwrap_or((line, ""));
                self.user(name, hash, file, path.key("file"), &mut users);
            }
        }
        if users.is_empty() && self.sink.errors() == before {
            let message = "there is no user here, so nobody could pass";
            self.wrong(message, given, path.clone(), "write `users: { NAME: HASH }`, or `file:`");
        }
        let realm = given.get_text("realm").unwrap_or(REALM).to_owned();
        Some(BasicAuth { realm, users })
    }

    fn user(
        &mut self,
        name: &str,
        hash: &str,
        node: &Node,
        path: KeyPath,
        users: &mut BTreeMap<String, Secret>,
    ) {
        if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
            self.wrong("this is no name of a user", node, path, "");
        } else if !is_argon2(hash) && !is_bcrypt(hash) {
            // Never the text itself: somebody may have written a password.
            let message = format!("the password of `{name}` is not a hash of Argon2 or bcrypt");
            let help = "make one with `htpasswd -nB NAME`, and write each `$` of it as `$$` in a stack file";
            self.wrong(message, node, path, help);
        } else {
            users.insert(name.to_owned(), Secret::new(hash));
        }
    }

    fn asked(&mut self, given: &Node, path: KeyPath) -> Option<Asked> {
        let text = given.as_text()?;
        let host = text.strip_prefix("http://").or(text.strip_prefix("https://"));
        let host = host.and_then(|rest| rest.split(['/', '?']).next());
        let is_host = |host: &str| !host.is_empty() && !host.contains('@');
        if host.is_some_and(is_host) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            return Some(Asked { url: text.to_owned(), upstream: None });
        }
        let help = "write http://SERVICE:PORT/path, or the address of a server outside the stack";
        self.wrong("this is not the address of an HTTP server", given, path, help);
        None
    }

    fn forward(&mut self, given: &Node, path: &KeyPath) -> Option<ForwardAuth> {
        let server = self.asked(given.get("to")?, path.key("to"))?;
        let mut headers = Vec::new();
        for (index, item) in given.items("headers").iter().enumerate() {
            let name = item.as_text().unwrap_or_default();
            if usable(name, item.span, &path.key("headers").index(index), self.sink) {
                headers.push(name.to_owned());
            }
        }
        let timeout = resources::duration(given, "timeout").unwrap_or(FORWARD_TIMEOUT);
        Some(ForwardAuth { server, headers, timeout })
    }

    fn jwt(&mut self, given: &Node, path: &KeyPath) -> Option<Jwt> {
        let keys = match (given.get("key"), given.get("jwks")) {
            (Some(key), None) => self.key(given, key, path),
            (None, Some(set)) => self.key_set(set, path.key("jwks")),
            _ => {
                self.wrong("tokens are verified either with `key` or with `jwks`", given, path.clone(), "");
                None
            }
        }?;
        let mut claims = BTreeMap::new();
        for (header, entry) in given.entries("claims") {
            let claim = entry.node.as_text().unwrap_or_default();
            if usable(header, entry.key_span, &path.key("claims").key(header), self.sink) {
                claims.insert(header.clone(), claim.to_owned());
            }
        }
        Some(Jwt {
            keys,
            issuer: given.get_text("issuer").map(str::to_owned),
            audience: given.items("audience").iter().filter_map(Node::as_text).map(str::to_owned).collect(),
            leeway: resources::duration(given, "leeway").unwrap_or(LEEWAY),
            claims,
        })
    }

    fn key(&mut self, given: &Node, key: &Node, path: &KeyPath) -> Option<JwtKeys> {
        let material = self.secret(key, &path.key("key"))?;
        let is_pem = material.contains("-----BEGIN");
        let algorithm = match given.get_text("algorithm") {
            Some(algorithm) => algorithm,
            None => {
                let message = "`algorithm` is missing here: a key is for one, and no token may choose it";
                let finding = Diagnostic::error(Code::MissingKey, message).at(given.span).path(path);
                self.sink.push(finding.help("write HS256 for a shared secret, or what signs, such as RS256"));
                return None;
            }
        };
        let least = match algorithm {
            "HS256" => 32,
            "HS384" => 48,
            "HS512" => 64,
            _ => 0,
        };
        if is_pem != (least == 0) {
            let message = match is_pem {
                true => format!("{algorithm} takes a shared secret, and this is a public key"),
                false => format!("{algorithm} takes a public key as PEM, and this is none"),
            };
            self.wrong(message, key, path.key("key"), "");
            return None;
        }
        if material.contains("PRIVATE KEY") {
            let message = "this is a private key: whoever verifies needs the public one only";
            self.wrong(message, key, path.key("key"), "openssl pkey -in KEY -pubout");
            return None;
        }
        if material.len() < least {
            let message = format!("a secret for {algorithm} has at least {least} bytes (RFC 7518, 3.2)");
            self.wrong(message, key, path.key("key"), "openssl rand -base64 48");
            return None;
        }
        Some(JwtKeys::Key { material: Secret::new(material), algorithm: algorithm.to_owned() })
    }

    fn key_set(&mut self, set: &Node, path: KeyPath) -> Option<JwtKeys> {
        if set.as_text().is_some_and(|text| text.contains("://")) {
            return self.asked(set, path).map(JwtKeys::Url);
        }
        let text = self.reader.text(set, &path, self.sink)?;
        if !text.trim_start().starts_with('{') || !text.contains("\"keys\"") {
            self.wrong("this file is no JSON Web Key Set", set, path, "");
            return None;
        }
        Some(JwtKeys::Set(Secret::new(text)))
    }

    /// A value, or the file that holds it.
    fn secret(&mut self, given: &Node, path: &KeyPath) -> Option<String> {
        let text = match given.get("file") {
            Some(file) => self.reader.text(file, &path.key("file"), self.sink)?.trim_end().to_owned(),
            None => given.get_text("value").unwrap_or_default().to_owned(),
        };
        if text.is_empty() {
            self.wrong("this secret is empty", given, path.clone(), "set the variable it comes from");
            return None;
        }
        Some(text)
    }

    fn webhook(&mut self, given: &Node, path: &KeyPath) -> Option<Webhook> {
        let (sender, key) = match (given.get("stripe"), given.get("github")) {
            (Some(_), None) => (WebhookSender::Stripe, "stripe"),
            (None, Some(_)) => (WebhookSender::GitHub, "github"),
            _ => {
                self.wrong("a webhook is signed either by `stripe` or by `github`", given, path.clone(), "");
                return None;
            }
        };
        let mut secrets = Vec::new();
        for (index, item) in given.items(key).iter().enumerate() {
            secrets.extend(self.secret(item, &path.key(key).index(index)).map(Secret::new));
        }
        let max_body = given.get_int("max_body").and_then(|n| u64::try_from(n).ok()).unwrap_or(MAX_SIGNED);
        let tolerance = resources::duration(given, "tolerance").unwrap_or(TOLERANCE);
        Some(Webhook { sender, secrets, tolerance, max_body })
    }
}

/// `$argon2id$v=19$m=65536,t=3,p=4$SALT$HASH`.
fn is_argon2(hash: &str) -> bool {
    let parts: Vec<&str> = hash.split('$').collect();
    let base64 = |text: &str| {
        text.len() >= 8 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
    };
    match parts.as_slice() {
        ["", "argon2id" | "argon2i" | "argon2d", version, settings, salt, hash] => {
            let has = |name: &str| settings.split(',').any(|s| s.starts_with(name));
            *version == "v=19" && has("m=") && has("t=") && has("p=") && base64(salt) && base64(hash)
        }
        _ => false,
    }
}

/// `$2y$10$` and 53 letters of salt and hash.
fn is_bcrypt(hash: &str) -> bool {
    let parts: Vec<&str> = hash.split('$').collect();
    match parts.as_slice() {
        ["", "2a" | "2b" | "2x" | "2y", cost, rest] => {
            let is_cost = cost.len() == 2 && cost.parse::<u8>().is_ok_and(|cost| (4..=31).contains(&cost));
            let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/');
            is_cost && rest.len() == 53 && rest.bytes().all(is_letter)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_told_from_passwords() {
        assert!(is_bcrypt("$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe"));
        assert!(is_argon2("$argon2id$v=19$m=16,t=2,p=1$c29tZXNhbHRzb21l$BwggzpwvKn35TEmh+UkvWA"));
        for bad in ["secret", "", "$2y$05$short", "$apr1$x$y", "{SHA}x", "$argon2id$v=19$m=1$a$b"] {
            assert!(!is_bcrypt(bad) && !is_argon2(bad), "{bad}");
        }
    }
}
