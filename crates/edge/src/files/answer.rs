//! From a request to the file, page or refusal that answers it.
//!
//! Knows nothing about connections.

use super::condition::{Conditions, Outcome, Version, weigh};
use super::{Files, Found, INDEX, Root, entry, kind, relative};
use crate::compress::{self, Compression, Encoder, Judged, Step};
use mainstay_model::ContentCoding;
use std::fs::{File, Metadata};
use std::io::Read;
use std::ops::Range;
use std::time::SystemTime;

/// Files up to this size are compressed as they are served; larger ones are served as they are, or from a compressed file
/// beside them. A bundle is smaller; compressing this takes a few milliseconds of the thread.
const COMPRESS_AT_MOST: u64 = 1024 * 1024;
/// Pages with variables are read whole.
const PAGE_AT_MOST: u64 = 4 * 1024 * 1024;

/// What a request asks of files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'b> {
    pub(crate) method: &'b str,
    /// Of the request, from the route's prefix on, with a slash before it.
    pub(crate) path: &'b [u8],
    /// The whole path, for redirects.
    pub(crate) full_path: &'b [u8],
    pub(crate) conditions: Conditions<'b>,
    /// A browser's user goes there, rather than a page fetching something.
    pub(crate) is_navigation: bool,
    /// How the answer may be compressed.
    pub(crate) coding: Option<ContentCoding>,
}

/// The answer: a status, lines of its head, and what follows it.
#[derive(Debug)]
pub(crate) struct FileAnswer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<u8>,
    /// None of the site's: the edge's own page for the status.
    pub(crate) content: Option<Content>,
}

/// What follows a head.
#[derive(Debug)]
pub(crate) enum Content {
    /// Nothing at all.
    None,
    Bytes(Vec<u8>),
    /// Part of a file.
    File(File, Range<u64>),
}

impl Files {
    /// Answers a request. `compression` is the route's, if it has one.
    pub(crate) fn answer(&self, asked: &Asked<'_>, compression: Option<&Compression>) -> FileAnswer {
        if !matches!(asked.method, "GET" | "HEAD") {
            return FileAnswer { status: 405, fields: Vec::new(), content: None };
        }
        let Some(path) = relative(asked.path) else { return not_found() };
        match self.root.open(&path) {
            Ok(Found::File(file, facts)) => {
                self.file(asked, (&self.root, &path), (file, &facts), compression)
            }
            Ok(Found::Directory) if !path.is_empty() && !path.ends_with('/') => redirect(asked.full_path),
            Ok(Found::Directory) => {
                let index = format!("{path}{INDEX}");
                match self.root.open(&index) {
                    Ok(Found::File(file, facts)) => {
                        self.file(asked, (&self.root, &index), (file, &facts), compression)
                    }
                    _ => self.missing(asked, &path, compression),
                }
            }
            Err(_) => self.missing(asked, &path, compression),
        }
    }

    fn missing(&self, asked: &Asked<'_>, path: &str, compression: Option<&Compression>) -> FileAnswer {
        match path {
            "health" => return bytes(asked, "health.txt", b"healthy\n".to_vec(), None),
            "config.js" if !self.env.is_empty() => {
                return bytes(asked, path, entry::config(&self.env).into_bytes(), compression);
            }
            _ => {}
        }
        if let Some((root, file, facts)) = self.of_other_releases(path) {
            return self.file(asked, (&root, path), (file, &facts), compression);
        }
        // What has an extension is a file that is missing: a page in its place would only hide that.
        if self.spa
            && asked.is_navigation
            && kind::extension(path).is_empty()
            && let Ok(Found::File(file, facts)) = self.root.open(INDEX)
        {
            return self.file(asked, (&self.root, INDEX), (file, &facts), compression);
        }
        not_found()
    }

    fn file(
        &self,
        asked: &Asked<'_>,
        (root, path): (&Root, &str),
        (mut file, facts): (File, &Metadata),
        compression: Option<&Compression>,
    ) -> FileAnswer {
        let length = facts.len();
        let takes_variables = path == INDEX || path == "config.js";
        if takes_variables && !self.env.is_empty() && length <= PAGE_AT_MOST {
            let mut page = String::new();
            return match file.read_to_string(&mut page) {
                Ok(_) => bytes(asked, path, entry::substitute(&page, &self.env).into_bytes(), compression),
                Err(_) => not_found(),
            };
        }
        let modified = facts.modified().ok();
        let seconds = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        // nginx's, so that caches filled from it stay valid.
        let tag = format!("\"{:x}-{length:x}\"", seconds.map_or(0, |since| since.as_secs()));
        let chosen = choose(asked, (root, path), length, compression);
        let (tag, coding) = match &chosen {
            Some((coding, _)) => (format!("W/{tag}"), Some(*coding)),
            None => (tag, None),
        };
        let content = match chosen {
            Some((_, Some((beside, length)))) => Content::File(beside, 0..length),
            Some((coding, None)) => {
                let mut plain = Vec::new();
                match file.read_to_end(&mut plain).and_then(|_| encode(&plain, coding)) {
                    Ok(coded) => Content::Bytes(coded),
                    Err(_) => return not_found(),
                }
            }
            None => Content::File(file, 0..length),
        };
        let varies = compression.is_some_and(|c| suits(c, path, length));
        finish(asked, path, Version { tag: &tag, modified }, content, coding, varies)
    }
}

/// Which coding the file is served in, and the file beside it that has it already.
fn choose(
    asked: &Asked<'_>,
    (root, path): (&Root, &str),
    length: u64,
    compression: Option<&Compression>,
) -> Option<(ContentCoding, Option<(File, u64)>)> {
    let (compression, coding) = (compression?, asked.coding?);
    // A part of a compressed body is of no use to whoever wants a part of the file.
    if !suits(compression, path, length) || asked.conditions.range.is_some() {
        return None;
    }
    let suffix = match coding {
        ContentCoding::Zstd => "zst",
        ContentCoding::Brotli => "br",
        ContentCoding::Gzip => "gz",
    };
    match root.open(&format!("{path}.{suffix}")) {
        Ok(Found::File(beside, facts)) => Some((coding, Some((beside, facts.len())))),
        _ => (length <= COMPRESS_AT_MOST).then_some((coding, None)),
    }
}

fn suits(compression: &Compression, path: &str, length: u64) -> bool {
    let content_type = Some(kind::media_type(path).as_bytes());
    compression.suits(200, Some(length), &Judged { content_type, ..Judged::default() })
}

fn encode(plain: &[u8], coding: ContentCoding) -> std::io::Result<Vec<u8>> {
    let mut coded = Vec::with_capacity(plain.len() / 2);
    Encoder::new(coding)?.encode(plain, Step::Finish, &mut coded)?;
    Ok(coded)
}

/// What is made here instead of read.
fn bytes(asked: &Asked<'_>, path: &str, plain: Vec<u8>, compression: Option<&Compression>) -> FileAnswer {
    let length = plain.len() as u64;
    let varies = compression.is_some_and(|c| suits(c, path, length));
    let coding = asked.coding.filter(|_| varies && asked.conditions.range.is_none());
    let tag = tag_of(&plain);
    let coded = coding.and_then(|coding| encode(&plain, coding).ok());
    let tag = if coded.is_some() { format!("W/{tag}") } else { tag };
    let coding = coding.filter(|_| coded.is_some());
    let content = Content::Bytes(coded.unwrap_or(plain));
    finish(asked, path, Version { tag: &tag, modified: None }, content, coding, varies)
}

fn finish(
    asked: &Asked<'_>,
    path: &str,
    version: Version<'_>,
    content: Content,
    coding: Option<ContentCoding>,
    varies: bool,
) -> FileAnswer {
    let length = match &content {
        Content::File(_, range) => range.end,
        Content::Bytes(bytes) => bytes.len() as u64,
        Content::None => 0,
    };
    // Ranges are for GET alone (RFC 9110, 14.2).
    let range = asked.conditions.range.filter(|_| asked.method == "GET" && coding.is_none());
    let outcome = weigh(&Conditions { range, ..asked.conditions }, &version, length);
    let mut head = format!("ETag: {}\r\n", version.tag);
    if let Some(modified) = version.modified {
        head += &format!("Last-Modified: {}\r\n", httpdate::fmt_http_date(modified));
    }
    head += match kind::is_hashed(path) {
        true => "Cache-Control: public, max-age=31536000, immutable\r\n",
        false if is_entry(path) => "Cache-Control: no-cache\r\n",
        false => "",
    };
    if varies {
        head += "Vary: Accept-Encoding\r\n";
    }
    let (status, content) = match (outcome, content) {
        (Outcome::NotModified, _) => (304, Some(Content::None)),
        (Outcome::PreconditionFailed, _) => (412, None),
        (Outcome::Unsatisfiable, _) => {
            head = format!("Content-Range: bytes */{length}\r\n");
            (416, None)
        }
        (Outcome::Part(range), content) => {
            head += &format!("Content-Range: bytes {}-{}/{length}\r\n", range.start, range.end - 1);
            (206, Some(part(content, range)))
        }
        (Outcome::Whole, content) => (200, Some(content)),
    };
    if matches!(status, 200 | 206) {
        head += &format!("Content-Type: {}\r\n", kind::media_type(path));
        match coding {
            Some(coding) => head += &format!("Content-Encoding: {}\r\n", compress::name(coding)),
            None => head += "Accept-Ranges: bytes\r\n",
        }
    }
    FileAnswer { status, fields: head.into_bytes(), content }
}

fn part(content: Content, range: Range<u64>) -> Content {
    match content {
        Content::File(file, _) => Content::File(file, range),
        Content::Bytes(bytes) => {
            let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
            Content::Bytes(bytes[at(range.start)..at(range.end)].to_vec())
        }
        other => other,
    }
}

/// What tells a browser which version it has, and so must be asked for each time.
fn is_entry(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".html")
        || matches!(name, "config.js" | "sw.js" | "service-worker.js" | "ngsw-worker.js" | "ngsw.json")
}

fn not_found() -> FileAnswer {
    FileAnswer { status: 404, fields: Vec::new(), content: None }
}

/// A tag for what has no date: a hash of its bytes, the same in every thread and after a restart.
fn tag_of(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let hex: String = digest.as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// A directory's address ends with a slash, lest its page's links lead elsewhere.
fn redirect(path: &[u8]) -> FileAnswer {
    let slashes = path.iter().take_while(|b| **b == b'/').count();
    let mut fields = b"Location: /".to_vec();
    fields.extend_from_slice(&path[slashes..]);
    fields.extend_from_slice(b"/\r\n");
    FileAnswer { status: 301, fields, content: None }
}
