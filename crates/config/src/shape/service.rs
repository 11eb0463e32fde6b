//! The keys of services and jobs beyond those of every container (Compose Specification, "Services").
//!
//! Keys stand in the order in which Compose writes them, which its configuration hash depends on.

use super::build::BUILD;
use super::container::{CONTAINER, ENVIRONMENT, KEYED};
use super::deploy::DEPLOY;
use super::{
    Identity, Key, Kind, Names, ONE_OR_TEXTS, Object, Short, TEXTS, box_only, container, inert, key, object,
    refused,
};

/// A service.
pub static SERVICE: Object = object(&[SERVICE_KEYS, CONTAINER, WORKLOAD]);

static SERVICE_KEYS: &[Key] = &[
    key("profiles", KEYED),
    key("deploy", Kind::Object(&DEPLOY)),
    key("develop", Kind::Object(&DEVELOP)),
    key("restart", Kind::Text),
    key("scale", Kind::Count),
    inert("attach", Kind::Choice, "`mainstay logs SERVICE` chooses what is shown"),
    box_only("container_name", Kind::Text),
    key("provider", Kind::Object(&PROVIDER)),
    key("extends", Kind::Short(Short::Extends, &Kind::Object(&EXTENDS))),
    container("external_links", TEXTS),
    key("links", KEYED),
    container("pre_start", Kind::List(&Kind::Object(&PRE_START), Identity::None)),
    container("post_start", Kind::List(&Kind::Object(&HOOK), Identity::None)),
    container("pre_stop", Kind::List(&Kind::Object(&HOOK), Identity::None)),
];

/// What services and jobs have in common.
static WORKLOAD: &[Key] = &[
    key("build", Kind::Short(Short::BuildContext, &Kind::Object(&BUILD))),
    key(
        "depends_on",
        Kind::Short(Short::Dependencies, &Kind::Map(&Kind::Object(&DEPENDENCY), Names::Resource)),
    ),
    key("expose", Kind::List(&Kind::Loose, Identity::Whole)),
    key("healthcheck", Kind::Object(&HEALTHCHECK)),
    key("ports", Kind::List(&Kind::Short(Short::Port, &Kind::Object(&PORT)), Identity::Port)),
    box_only("stdin_open", Kind::Flag),
    box_only("tty", Kind::Flag),
];

/// A job: a container that is started by hand or by a clock, and runs to its end.
pub static JOB: Object = Object {
    parts: &[JOB_KEYS, CONTAINER, WORKLOAD],
    required: &["triggers"],
    extensible: true,
    nullable: false,
};

static JOB_KEYS: &[Key] = &[key("profiles", KEYED), key("triggers", Kind::Object(&TRIGGERS))];
/// Compose itself only reads them.
const NO_CLOCK: &str = "nothing runs it by the clock, as with Docker Compose: run it with `mainstay run JOB`";
static TRIGGERS: Object = object(&[&[
    key("manual", Kind::Choice),
    inert(
        "schedule",
        Kind::List(&Kind::Short(Short::Schedule, &Kind::Object(&SCHEDULE)), Identity::None),
        NO_CLOCK,
    ),
]]);
static SCHEDULE: Object = Object {
    parts: &[&[
        key("cron", Kind::Text),
        key("timezone", Kind::Text),
        key("concurrency", Kind::Word(&["forbid", "queue"])),
        key("missed_fires", Kind::Word(&["one", "skip"])),
    ]],
    required: &["cron"],
    extensible: true,
    nullable: false,
};

static DEPENDENCY: Object = Object {
    parts: &[&[
        key(
            "condition",
            Kind::Word(&["service_started", "service_healthy", "service_completed_successfully"]),
        ),
        key("restart", Kind::Flag),
        key("required", Kind::Choice),
    ]],
    required: &["condition"],
    extensible: true,
    nullable: false,
};

static DEVELOP: Object = Object {
    parts: &[&[key("watch", Kind::List(&Kind::Object(&WATCH), Identity::None))]],
    required: &[],
    extensible: true,
    nullable: true,
};
static WATCH: Object = Object {
    parts: &[&[
        key("path", Kind::Text),
        key("action", Kind::Word(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
        key("target", Kind::Text),
        key("exec", Kind::Embedded(&HOOK)),
        key("include", ONE_OR_TEXTS),
        key("ignore", ONE_OR_TEXTS),
        key("initial_sync", Kind::Switch),
    ]],
    required: &["path", "action"],
    extensible: true,
    nullable: false,
};

static EXTENDS: Object = Object {
    parts: &[&[key("file", Kind::Text), key("service", Kind::Text)]],
    required: &["service"],
    extensible: false,
    nullable: false,
};

static HEALTHCHECK: Object = object(&[&[
    key("test", Kind::Test),
    key("timeout", Kind::Duration),
    key("interval", Kind::Duration),
    key("retries", Kind::Count),
    key("start_period", Kind::Duration),
    key("start_interval", Kind::Duration),
    key("disable", Kind::Flag),
]]);

static HOOK: Object = Object {
    parts: &[&[
        key("command", Kind::Command),
        key("user", Kind::Text),
        key("privileged", Kind::Flag),
        key("working_dir", Kind::Text),
        key("environment", ENVIRONMENT),
    ]],
    required: &["command"],
    extensible: true,
    nullable: false,
};
/// A `pre_start` hook is a container of its own.
pub static PRE_START: Object = object(&[CONTAINER, &[refused("per_replica", Kind::Flag, ONCE)]]);
const ONCE: &str = "containers of `pre_start` run once for all copies; Docker Compose runs no others either";

static PORT: Object = Object {
    parts: &[&[
        key("name", Kind::Text),
        key("mode", Kind::Text),
        key("host_ip", Kind::Text),
        key("target", Kind::Whole),
        key("published", Kind::Loose),
        key("protocol", Kind::Text),
        inert("app_protocol", Kind::Text, "the Engine does not know it"),
    ]],
    required: &["target"],
    extensible: true,
    nullable: false,
};

static PROVIDER: Object = Object {
    parts: &[&[
        key("type", Kind::Text),
        key("options", Kind::Map(&Kind::OneOrList(&Kind::Scalar, Identity::None), Names::Any)),
    ]],
    required: &["type"],
    extensible: true,
    nullable: false,
};
