//! The top-level keys (Compose Specification, "Version and name", "Networks", "Volumes", "Configs", "Secrets",
//! "Models"), those of resources in the order in which Compose writes them.

use super::{
    Identity, Key, Kind, LABELS, Names, ONE_OR_TEXTS, OPTIONS, Object, SERVICE, Short, inert, key, object,
    refused, service,
};

/// The document.
pub static TOP: Object = object(&[TOP_KEYS]);

static TOP_KEYS: &[Key] = &[
    key("configs", Kind::Map(&Kind::Object(&CONFIG), Names::Resource)),
    key("include", Kind::List(&Kind::Short(Short::Include, &Kind::Object(&INCLUDE)), Identity::None)),
    key("jobs", Kind::Map(&Kind::Object(&service::JOB), Names::Resource)),
    key("models", Kind::Map(&Kind::Object(&MODEL), Names::Any)),
    key("name", Kind::Text),
    key("networks", Kind::Map(&Kind::Object(&NETWORK), Names::Any)),
    key("secrets", Kind::Map(&Kind::Object(&SECRET), Names::Resource)),
    key("services", Kind::Map(&Kind::Object(&SERVICE), Names::Resource)),
    inert("version", Kind::Text, "it is obsolete"),
    key("volumes", Kind::Map(&Kind::Object(&VOLUME), Names::Resource)),
];

const EXTERNAL: Kind = Kind::Short(Short::External, &Kind::Flag);
/// Drivers of secrets and configs exist in Swarm only.
const SWARM_ONLY: &str = "it is for Swarm; use `file`, `environment` or `content`";

static INCLUDE: Object = Object {
    parts: &[&[
        key("path", ONE_OR_TEXTS),
        key("project_directory", Kind::Text),
        key("env_file", ONE_OR_TEXTS),
    ]],
    required: &[],
    extensible: false,
    nullable: false,
};

static MODEL: Object = Object {
    parts: &[&[
        key("name", Kind::Text),
        key("model", Kind::Text),
        key("context_size", Kind::Integer),
        key("runtime_flags", Kind::List(&Kind::Text, Identity::None)),
    ]],
    required: &["model"],
    extensible: true,
    nullable: false,
};

/// A network.
pub static NETWORK: Object = Object {
    parts: &[&[
        key("name", Kind::Text),
        key("driver", Kind::Text),
        key("driver_opts", OPTIONS),
        key("ipam", Kind::Embedded(&IPAM)),
        key("external", EXTERNAL),
        key("internal", Kind::Flag),
        key("attachable", Kind::Flag),
        key("labels", LABELS),
        key("enable_ipv4", Kind::Choice),
        key("enable_ipv6", Kind::Choice),
    ]],
    required: &[],
    extensible: true,
    nullable: true,
};

static IPAM: Object = object(&[&[
    key("driver", Kind::Text),
    key("config", Kind::List(&Kind::Object(&POOL), Identity::Pool)),
    key("options", Kind::Map(&Kind::Text, Names::Any)),
]]);
static POOL: Object = object(&[&[
    key("subnet", Kind::Text),
    key("gateway", Kind::Text),
    key("ip_range", Kind::Text),
    key("aux_addresses", Kind::Map(&Kind::Text, Names::Any)),
]]);

/// A volume.
pub static VOLUME: Object = Object {
    parts: &[&[
        key("name", Kind::Text),
        key("driver", Kind::Text),
        key("driver_opts", OPTIONS),
        key("external", EXTERNAL),
        key("labels", LABELS),
    ]],
    required: &[],
    extensible: true,
    nullable: true,
};

static SECRET: Object = object(&[&[
    key("name", Kind::Text),
    key("file", Kind::Text),
    key("environment", Kind::Text),
    key("external", EXTERNAL),
    inert("labels", LABELS, "the Engine does not know it outside Swarm"),
    refused("driver", Kind::Text, SWARM_ONLY),
    refused("driver_opts", OPTIONS, SWARM_ONLY),
    refused("template_driver", Kind::Text, SWARM_ONLY),
]]);

static CONFIG: Object = object(&[&[
    key("name", Kind::Text),
    key("file", Kind::Text),
    key("environment", Kind::Text),
    key("content", Kind::Text),
    key("external", EXTERNAL),
    inert("labels", LABELS, "the Engine does not know it outside Swarm"),
    refused("template_driver", Kind::Text, SWARM_ONLY),
]]);
