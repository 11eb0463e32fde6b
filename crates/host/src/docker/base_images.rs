//! Base images that need a login.
//!
//! A build without a session cannot ask us for credentials, but it takes base images from the Engine's own store
//! before it asks a registry. So those whose registry we have a login for are pulled first.

use super::Docker;
use super::build::BuildOrder;
use super::credentials;
use super::error::DockerError;
use std::collections::{BTreeMap, BTreeSet};

impl Docker {
    /// Pulls the base images of `dockerfile` that are not there, or may be older than their registry's, and whose
    /// registry there is a login for.
    pub(super) async fn pull_guarded_bases(
        &self,
        dockerfile: &str,
        order: &BuildOrder<'_>,
    ) -> Result<(), DockerError> {
        for image in bases(dockerfile, &order.build.args) {
            if credentials::for_image(self.logins.as_deref(), &image).await?.is_none() {
                continue;
            }
            match self.image_id(&image).await {
                Ok(_) if !order.pull => {}
                Ok(_) | Err(DockerError::ImageMissing { .. }) => {
                    self.pull(&image, order.platform, |_| {}).await?
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What `FROM` names, stages and `scratch` left out; variables filled in from `ARG` and `args`. What cannot be
/// filled in is left to the build, which says so better.
fn bases(dockerfile: &str, args: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut known = BTreeMap::new();
    let mut stages = BTreeSet::new();
    let mut images = BTreeSet::new();
    let mut before_stages = true;
    for line in dockerfile.lines() {
        let mut words = line.split_whitespace().filter(|word| !word.starts_with("--"));
        match words.next().map(str::to_ascii_uppercase).as_deref() {
            // Only those before the first stage count in `FROM`.
            Some("ARG") if before_stages => {
                for (name, default) in words.filter_map(|word| word.split_once('=')) {
                    let value =
                        args.get(name).map_or_else(|| default.trim_matches(['"', '\'']), String::as_str);
                    known.insert(name.to_owned(), value.to_owned());
                }
            }
            Some("FROM") => {
                before_stages = false;
                let Some(image) = words.next().and_then(|text| filled_in(text, &known)) else { continue };
                if image != "scratch" && !stages.contains(&image.to_ascii_lowercase()) {
                    images.insert(image);
                }
                if words.next().is_some_and(|word| word.eq_ignore_ascii_case("AS")) {
                    stages.extend(words.next().map(str::to_ascii_lowercase));
                }
            }
            _ => {}
        }
    }
    images
}

/// Replaces `$NAME`, `${NAME}` and `${NAME:-default}`.
fn filled_in(text: &str, known: &BTreeMap<String, String>) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        let value = if let Some(braced) = after.strip_prefix('{') {
            let (inside, after) = braced.split_once('}')?;
            rest = after;
            let (name, default) =
                inside.split_once(":-").map_or((inside, None), |(name, word)| (name, Some(word)));
            known.get(name).map(String::as_str).filter(|value| !value.is_empty()).or(default)?
        } else {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            rest = after;
            known.get(name)?
        };
        filled.push_str(value);
    }
    filled.push_str(rest);
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_found_with_their_variables() {
        let dockerfile = "# syntax=docker/dockerfile:1\nARG TAG=3.12\nARG BASE=\"python\"\n\
                          FROM --platform=linux/amd64 ${BASE}:$TAG AS Build\nARG TAG=9\nFROM build\nfrom ghcr.io/a/b@sha256:ab\n\
                          FROM scratch\nFROM $UNKNOWN\nFROM ${OTHER:-redis}:7";
        let args = [("TAG".to_owned(), "3.13".to_owned())].into();
        let found: Vec<_> = bases(dockerfile, &args).into_iter().collect();
        assert_eq!(found, ["ghcr.io/a/b@sha256:ab", "python:3.13", "redis:7"]);
    }
}
