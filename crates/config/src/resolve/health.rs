//! `healthcheck` (Compose Specification, "healthcheck"; times by default are Docker's).

use super::{Cx, resources};
use crate::diagnostic::Code;
use mainstay_model::{Healthcheck, Readiness, WrittenCheck};
use std::time::Duration;

/// Docker's defaults: `--health-interval`, `--health-timeout`, `--health-retries`.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const RETRIES: u32 = 3;

/// The healthcheck as the file has it.
pub fn written(cx: &Cx<'_>) -> Option<WrittenCheck> {
    let node = cx.child("healthcheck")?;
    if node.get_flag("disable") {
        return Some(WrittenCheck { test: vec!["NONE".to_owned()], ..WrittenCheck::default() });
    }
    Some(WrittenCheck {
        test: super::texts(node.items("test")),
        interval: resources::duration(node, "interval"),
        timeout: resources::duration(node, "timeout"),
        retries: node.get_int("retries").and_then(|n| u32::try_from(n).ok()),
        start_period: resources::duration(node, "start_period"),
        start_interval: resources::duration(node, "start_interval"),
    })
}

/// How a service is known to be ready, where `x-mainstay: ready:` says nothing.
pub fn readiness(cx: &mut Cx<'_>, is_native: bool) -> Readiness {
    let unchecked = if is_native { Readiness::Running } else { Readiness::Image };
    let Some(node) = cx.child("healthcheck") else { return unchecked };
    let test = super::texts(node.items("test"));
    if node.get_flag("disable") || test.first().is_some_and(|t| t == "NONE") {
        return Readiness::Running;
    }
    let Some((form, words)) = test.split_first() else {
        let message =
            "a healthcheck without `test` changes nothing: the image's own check keeps its own times";
        cx.warn(Code::NoEffect, message, node, "healthcheck");
        return unchecked;
    };
    let shell = form == "CMD-SHELL";
    let test = match words {
        [] => {
            cx.error(Code::InvalidValue, "a healthcheck needs a command", node, "healthcheck.test");
            return unchecked;
        }
        words if shell => vec!["/bin/sh".to_owned(), "-c".to_owned(), words.join(" ")],
        words => words.to_vec(),
    };
    // Docker takes 0 as "not given".
    let time = |key: &str| resources::duration(node, key).filter(|t| !t.is_zero());
    let retries = node.get_int("retries").and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    let check = Healthcheck {
        test,
        shell,
        interval: time("interval").unwrap_or(INTERVAL),
        timeout: time("timeout").unwrap_or(TIMEOUT),
        retries: retries.unwrap_or(RETRIES),
        start_period: time("start_period").unwrap_or_default(),
        start_interval: time("start_interval"),
    };
    Readiness::Healthcheck { check }
}
