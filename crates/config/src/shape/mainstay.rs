//! The keys of `x-mainstay`: on a service, and at the top level.

use super::{Identity, Key, Kind, Names, Object, key, later};

/// `x-mainstay` of a service.
pub static MAINSTAY_SERVICE: Object = closed(&[&[
    later("celery", Kind::Object(&CELERY)),
    key("ready", Kind::Text),
    key("release", Kind::Command),
    key("routes", Kind::List(&Kind::Object(&ROUTE), Identity::None)),
    later("static", Kind::Object(&STATIC)),
]]);

/// `x-mainstay` of the document.
pub static MAINSTAY_TOP: Object = closed(&[&[
    later("backup", Kind::Object(&BACKUP)),
    key("edge", Kind::Object(&EDGE)),
    later("env", Kind::Map(&Kind::Object(&ENV), Names::Any)),
]]);

/// `x-mainstay: edge:`.
pub static EDGE: Object = closed(&[&[
    later("headers", Kind::Any),
    later("limits", Kind::Map(&Kind::Object(&LIMIT), Names::Any)),
    key("listen", Kind::Object(&LISTEN)),
    key("routes", Kind::List(&Kind::Object(&EXTERNAL_ROUTE), Identity::None)),
    later("tls", Kind::Any),
    later("trusted_proxies", Kind::Any),
]]);

const fn closed(parts: &'static [&'static [Key]]) -> Object {
    Object { parts, required: &[], extensible: false, nullable: false }
}

static LISTEN: Object = closed(&[&[key("http", Kind::Loose), later("https", Kind::Loose)]]);

static ROUTE: Object = closed(&[&[
    key("host", Kind::Text),
    later("limit", Kind::Any),
    key("path", Kind::Text),
    key("port", Kind::Whole),
    key("strip_prefix", Kind::Flag),
    key("timeouts", Kind::Object(&TIMEOUTS)),
]]);

static EXTERNAL_ROUTE: Object = Object {
    parts: &[&[
        key("host", Kind::Text),
        later("limit", Kind::Any),
        key("path", Kind::Text),
        key("strip_prefix", Kind::Flag),
        key("timeouts", Kind::Object(&TIMEOUTS)),
        key("to", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
    ]],
    required: &["to"],
    extensible: false,
    nullable: false,
};

static TIMEOUTS: Object =
    closed(&[&[key("connect", Kind::Duration), key("read", Kind::Duration), key("write", Kind::Duration)]]);

static CELERY: Object = closed(&[&[key("broker", Kind::Text), key("queues", Kind::Any)]]);

static STATIC: Object = closed(&[&[
    key("env", Kind::List(&Kind::Text, Identity::Distinct)),
    key("root", Kind::Text),
    key("spa", Kind::Flag),
]]);

static LIMIT: Object = closed(&[&[
    key("burst", Kind::Whole),
    key("delay", Kind::Whole),
    key("nodelay", Kind::Flag),
    key("rate", Kind::Text),
]]);

static ENV: Object = closed(&[&[
    key("min_length", Kind::Whole),
    key("pattern", Kind::Text),
    key("required", Kind::Flag),
    key("secret", Kind::Flag),
]]);

static BACKUP: Object = closed(&[&[
    key("at", Kind::Text),
    key("drill", Kind::Text),
    key("keep", Kind::Map(&Kind::Whole, Names::Any)),
    key("to", Kind::Text),
]]);
