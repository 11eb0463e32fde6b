//! Mounts in their short form (Compose Specification, "volumes: short syntax").

use crate::diagnostic::Span;
use crate::node::{Entry, Node, Value};
use crate::short::fields;

/// Text that is no mount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No text at all.
    #[error("an empty mount")]
    Empty,
    /// `::` or a colon at an end.
    #[error("`{0}` has an empty part between colons")]
    EmptyPart(String),
    /// More than three parts.
    #[error("`{0}` has too many colons")]
    TooManyParts(String),
}

/// A mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShortMount {
    source: String,
    target: String,
    read_only: bool,
    nocopy: bool,
    propagation: Option<String>,
    selinux: Option<String>,
}

/// Parses `[SOURCE:]TARGET[:OPTIONS]`. A source that begins with `.`, `/` or `~` is a path of the host; any other is
/// the name of a volume.
pub fn parse(text: &str) -> Result<ShortMount, Error> {
    if text.is_empty() {
        return Err(Error::Empty);
    }
    let mut mount = ShortMount::default();
    // One or two characters are a target even when one of them is a colon, as in Compose.
    if text.len() <= 2 {
        mount.target = text.to_owned();
        return Ok(mount);
    }
    let parts = split(text);
    if parts.iter().any(|p| p.is_empty()) {
        return Err(Error::EmptyPart(text.to_owned()));
    }
    match parts.as_slice() {
        [target] => target.clone_into(&mut mount.target),
        [source, target] => {
            source.clone_into(&mut mount.source);
            target.clone_into(&mut mount.target);
        }
        [source, target, options] => {
            source.clone_into(&mut mount.source);
            target.clone_into(&mut mount.target);
            mount.options(options);
        }
        _ => return Err(Error::TooManyParts(text.to_owned())),
    }
    mount.target = clean(&mount.target);
    Ok(mount)
}

/// Parts between colons; the colon of a Windows drive is none of them.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in text.chars() {
        let Some(last) = parts.last_mut() else { break };
        let is_drive = last.len() == 1 && last.starts_with(char::is_alphabetic);
        if c == ':' && !is_drive { parts.push(String::new()) } else { last.push(c) }
    }
    parts
}

impl ShortMount {
    fn options(&mut self, options: &str) {
        for option in options.split(',') {
            match option {
                "ro" => self.read_only = true,
                "rw" => self.read_only = false,
                "nocopy" => self.nocopy = true,
                "z" | "Z" => self.selinux = Some(option.to_owned()),
                "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                    self.propagation = Some(option.to_owned());
                }
                // Compose ignores what it does not know, and files rely on that (`cached`, `delegated`).
                _ => {}
            }
        }
    }

    /// Whether the source is a path of the host.
    fn is_bind(&self) -> bool {
        self.source.starts_with(['.', '/', '~', '\\']) || self.source.as_bytes().get(1) == Some(&b':')
    }

    /// The long form.
    pub fn into_value(self, span: Span) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        let is_bind = self.is_bind();
        let kind = if is_bind { "bind" } else { "volume" };
        let mut value = fields(span, [("type", text(kind)), ("target", text(&self.target))]);
        let Value::Map(map) = &mut value else { return value };
        let mut set = |name: &str, value: Value| {
            map.insert(name.to_owned(), Entry::new(Node::new(value, span)));
        };
        if !self.source.is_empty() {
            set("source", text(&self.source));
        }
        if self.read_only {
            set("read_only", Value::Bool(true));
        }
        if is_bind || self.propagation.is_some() || self.selinux.is_some() {
            let mut bind = fields(span, []);
            if let Value::Map(map) = &mut bind {
                let mut put = |name: &str, value: Value| {
                    map.insert(name.to_owned(), Entry::new(Node::new(value, span)));
                };
                if is_bind {
                    put("create_host_path", Value::Bool(true));
                }
                for (name, given) in [("propagation", &self.propagation), ("selinux", &self.selinux)] {
                    if let Some(given) = given {
                        put(name, text(given));
                    }
                }
            }
            set("bind", bind);
        }
        // A target of one or two characters was not looked at further.
        let is_short = self.source.is_empty() && self.target.len() <= 2;
        if (!is_bind && !is_short) || self.nocopy {
            let nocopy =
                if self.nocopy { fields(span, [("nocopy", Value::Bool(true))]) } else { fields(span, []) };
            set("volume", nocopy);
        }
        value
    }
}

/// The shortest path with the same meaning, as text: no `//`, `.`, `..` or `/` at the end.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = vec![];
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_targets_and_options() {
        let mount = parse("./data:/data:ro,z").unwrap();
        assert_eq!((mount.source.as_str(), mount.target.as_str()), ("./data", "/data"));
        assert!(mount.read_only && mount.is_bind() && mount.selinux.as_deref() == Some("z"));
        assert!(!parse("data:/data").unwrap().is_bind());
        assert_eq!(parse("/data/").unwrap().target, "/data");
    }

    #[test]
    fn what_is_no_mount() {
        assert_eq!(parse(""), Err(Error::Empty));
        assert_eq!(parse("vol::/b"), Err(Error::EmptyPart("vol::/b".into())));
        assert!(parse("/a:/b:ro:x").is_err());
    }

    #[test]
    fn paths_are_cleaned() {
        let cases = [
            ("/a//b/../c/", "/a/c"),
            ("/../a", "/a"),
            ("a/./b", "a/b"),
            ("..", ".."),
            ("a/..", "."),
            ("/", "/"),
        ];
        for (path, cleaned) in cases {
            assert_eq!(clean(path), cleaned);
        }
    }
}
