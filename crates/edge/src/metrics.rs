//! What is counted about routes, and all counts as Prometheus text.
//!
//! Routes are the file's own, so there are no more series than it asks for, and one that never got a request has none.
//! Knows nothing about who asks.

use crate::clock::Millis;
use crate::shared::Shared;
use crate::tally::{Fault, Tally};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the latency classes in milliseconds; what is slower is in the last. Prometheus' own, without the
/// finest, which a clock of milliseconds cannot tell apart.
const BOUNDS: [Millis; 11] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];
const CLASSES: usize = 5;

/// The counts of one route by one thread, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts {
    classes: [AtomicU64; CLASSES],
    slower: [AtomicU64; BOUNDS.len() + 1],
    millis: AtomicU64,
    sent: AtomicU64,
    limited: AtomicU64,
    faults: [AtomicU64; Fault::ALL.len()],
}

/// The counts of one route.
#[derive(Debug)]
pub(crate) struct RouteStats {
    /// `stack="…",host="…",path="…"`.
    labels: Box<str>,
    threads: Box<[Counts]>,
}

impl RouteStats {
    pub(crate) fn new(stack: &str, host: &str, path: &str, workers: usize) -> Self {
        let mut labels = String::new();
        for (name, value) in [("stack", stack), ("host", host), ("path", path)] {
            let comma = if labels.is_empty() { "" } else { "," };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            // Writing to a string does not fail.
            let _ = write!(labels, "{comma}{name}=\"{value}\"");
        }
        let threads = (0..workers.max(1)).map(|_| Counts::default()).collect();
        Self { labels: labels.into(), threads }
    }

    /// Counts an answered request; `worker` is the calling thread's number, and the only one that counts there.
    pub(crate) fn count(&self, worker: usize, tally: &Tally, took: Millis) {
        let Some(counts) = self.threads.get(worker) else { return };
        let status = tally.status.get();
        add(&counts.classes[usize::from(status / 100).clamp(1, CLASSES) - 1], 1);
        let bound = BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len());
        add(&counts.slower[bound], 1);
        add(&counts.millis, took);
        add(&counts.sent, tally.sent.get());
        if status == 429 && tally.answered.get() == 0 {
            add(&counts.limited, 1);
        }
        if let Some(fault) = tally.fault.get()
            && let Some(place) = Fault::ALL.iter().position(|known| *known == fault)
        {
            add(&counts.faults[place], 1);
        }
    }

    fn sum(&self, of: impl Fn(&Counts) -> &AtomicU64) -> u64 {
        self.threads.iter().map(|counts| of(counts).load(Ordering::Relaxed)).sum()
    }
}

/// Only one thread writes this counter, so no read-modify-write cycle has to be atomic.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

/// All counts, in Prometheus' text format 0.0.4.
pub(crate) fn text(shared: &Shared) -> String {
    let mut families: [Family; 9] = [
        Family::new(
            "mainstay_edge_requests_total",
            "counter",
            "Answered requests by route and status class.",
        ),
        Family::new(
            "mainstay_edge_request_duration_seconds",
            "histogram",
            "From a request's head to its answer's end.",
        ),
        Family::new("mainstay_edge_response_bytes_total", "counter", "Bytes of response bodies."),
        Family::new("mainstay_edge_limited_requests_total", "counter", "Requests refused by a limit."),
        Family::new(
            "mainstay_edge_upstream_errors_total",
            "counter",
            "Requests an instance failed, by kind.",
        ),
        Family::new(
            "mainstay_edge_in_flight",
            "gauge",
            "Requests, tunnels and TCP connections now open, by instance.",
        ),
        Family::new("mainstay_edge_ejections_total", "counter", "Instances left alone because they failed."),
        Family::new("mainstay_edge_queued", "gauge", "Requests now waiting for an instance to have room."),
        Family::new("mainstay_edge_shed_requests_total", "counter", "Requests no instance had room for."),
    ];
    let [requests, duration, bytes, limited, faults, in_flight, ejections, queued, shed] = &mut families;
    shared.registry.visit_routes(|route| {
        let labels = &route.labels;
        for class in 0..CLASSES {
            let count = route.sum(|c| &c.classes[class]);
            requests.line(&format!("{labels},code=\"{}xx\"", class + 1), count, true);
        }
        write_histogram(duration, route);
        bytes.line(labels, route.sum(|c| &c.sent), true);
        limited.line(labels, route.sum(|c| &c.limited), true);
        for (place, kind) in Fault::ALL.map(Fault::name).into_iter().enumerate() {
            faults.line(&format!("{labels},kind=\"{kind}\""), route.sum(|c| &c.faults[place]), true);
        }
    });
    // One instance may be reached at several ports, in several ways; a series must not stand here twice.
    let mut instances = BTreeMap::<String, (u64, u64)>::new();
    shared.registry.visit(
        |target| {
            let (open, ejected) = instances.entry(target.instance.clone()).or_default();
            *open += target.in_flight();
            *ejected += target.ejections.load(Ordering::Relaxed);
        },
        |upstream| {
            let labels = format!("upstream=\"{}\"", upstream.key);
            queued.line(&labels, upstream.queued.load(Ordering::Relaxed) as u64, true);
            shed.line(&labels, upstream.shed.load(Ordering::Relaxed), true);
        },
    );
    for (instance, (open, ejected)) in instances {
        in_flight.line(&format!("instance=\"{instance}\""), open, false);
        ejections.line(&format!("instance=\"{instance}\""), ejected, true);
    }
    let own = of_process(shared);
    families.iter().chain(&own).map(|family| family.text.as_str()).collect()
}

/// What is about no route.
fn of_process(shared: &Shared) -> [Family; 5] {
    let mut families = [
        Family::new(
            "mainstay_edge_log_lines_dropped_total",
            "counter",
            "Access log lines the disk was too slow for.",
        ),
        Family::new("mainstay_edge_connections", "gauge", "Connections of clients now open."),
        Family::new("mainstay_edge_refused_connections_total", "counter", "Connections that were too many."),
        Family::new("mainstay_edge_tls_handshakes_total", "counter", "TLS handshakes by how they ended."),
        Family::new(
            "mainstay_edge_certificate_expiry_timestamp_seconds",
            "gauge",
            "When a certificate ends, by its names.",
        ),
    ];
    let [log, connections, refused, handshakes, certificates] = &mut families;
    let _ = writeln!(log.text, "{} {}", log.name, shared.log.dropped());
    let _ = writeln!(connections.text, "{} {}", connections.name, shared.connections.count());
    let _ = writeln!(refused.text, "{} {}", refused.name, shared.connections.refused.load(Ordering::Relaxed));
    let counts = &shared.tls.handshakes;
    for (result, count) in [("full", &counts.full), ("resumed", &counts.resumed), ("failed", &counts.failed)]
    {
        handshakes.line(&format!("result=\"{result}\""), count.load(Ordering::Relaxed), false);
    }
    for certificate in shared.tls.report() {
        if let Some(end) = certificate.not_after {
            certificates.line(&format!("names=\"{}\"", certificate.names.join(",")), end.0 / 1000, false);
        }
    }
    families
}

fn write_histogram(family: &mut Family, route: &RouteStats) {
    let labels = &route.labels;
    let counts: Vec<u64> = (0..=BOUNDS.len()).map(|place| route.sum(|c| &c.slower[place])).collect();
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return;
    }
    let mut below = 0;
    for (bound, count) in BOUNDS.iter().zip(&counts) {
        below += count;
        let seconds = *bound as f64 / 1000.0;
        family.suffixed("_bucket", &format!("{labels},le=\"{seconds}\""), below);
    }
    family.suffixed("_bucket", &format!("{labels},le=\"+Inf\""), total);
    let _ =
        writeln!(family.text, "{}_sum{{{labels}}} {}", family.name, route.sum(|c| &c.millis) as f64 / 1000.0);
    family.suffixed("_count", labels, total);
}

/// Series of one name.
struct Family {
    name: &'static str,
    text: String,
}

impl Family {
    fn new(name: &'static str, kind: &str, help: &str) -> Self {
        Self { name, text: format!("# HELP {name} {help}\n# TYPE {name} {kind}\n") }
    }

    fn line(&mut self, labels: &str, value: u64, unless_zero: bool) {
        if value > 0 || !unless_zero {
            self.suffixed("", labels, value);
        }
    }

    fn suffixed(&mut self, suffix: &str, labels: &str, value: u64) {
        let _ = writeln!(self.text, "{}{suffix}{{{labels}}} {value}", self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_in_one_class_of_each_kind() {
        let stats = RouteStats::new("s", "a.example", "/\"x", 2);
        let tally = Tally::default();
        tally.begin();
        tally.status.set(200);
        tally.add_sent(10);
        stats.count(0, &tally, 5);
        stats.count(1, &tally, 6);
        tally.status.set(429);
        stats.count(1, &tally, 60_000);
        tally.fault.set(Some(Fault::Timeout));
        tally.status.set(504);
        stats.count(9, &tally, 1);
        assert_eq!(stats.sum(|c| &c.classes[1]), 2);
        assert_eq!((stats.sum(|c| &c.limited), stats.sum(|c| &c.sent)), (1, 30));
        let mut family = Family::new("d", "histogram", "h");
        write_histogram(&mut family, &stats);
        let labels = "stack=\"s\",host=\"a.example\",path=\"/\\\"x\"";
        assert!(family.text.contains(&format!("d_bucket{{{labels},le=\"0.005\"}} 1\n")), "{}", family.text);
        assert!(family.text.contains(&format!("d_bucket{{{labels},le=\"10\"}} 2\n")));
        assert!(family.text.contains(&format!("d_bucket{{{labels},le=\"+Inf\"}} 3\n")));
        assert!(family.text.contains(&format!("d_sum{{{labels}}} 60.011\n")));
    }
}
