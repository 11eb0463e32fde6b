//! The top-level keys (Compose Specification, "Version and name", "Networks", "Volumes", "Configs", "Secrets").

use super::{Identity, Key, Kind, Names, Object, SERVICE, Short, Unvalued, inert, key, object, refused};

/// The document.
pub static TOP: Object = object(TOP_KEYS);

static TOP_KEYS: &[Key] = &[
    key("configs", Kind::Map(&Kind::Object(&CONFIG), Names::Resource)),
    key("include", Kind::List(&Kind::Short(Short::Include, &Kind::Object(&INCLUDE)), Identity::None)),
    refused("models", Kind::Map(&Kind::Object(&MODEL), Names::Any), "run the model server as a service"),
    key("name", Kind::Text),
    key("networks", Kind::Map(&Kind::Object(&NETWORK), Names::Any)),
    key("secrets", Kind::Map(&Kind::Object(&SECRET), Names::Resource)),
    key("services", Kind::Map(&Kind::Object(&SERVICE), Names::Resource)),
    inert("version", Kind::Text, "it is obsolete"),
    key("volumes", Kind::Map(&Kind::Object(&VOLUME), Names::Resource)),
];

const OPTIONS: Kind = Kind::Map(&Kind::Loose, Names::Any);
const LABELS: Kind = Kind::Dict(Unvalued::Empty);
const EXTERNAL: Kind = Kind::Short(Short::External, &Kind::Flag);
const ONE_OR_TEXTS: Kind = Kind::OneOrList(&Kind::Text, Identity::Distinct);
/// Drivers of secrets and configs exist in Swarm only.
const SWARM_ONLY: &str = "it is for Swarm; use `file`, `environment` or `content`";

static INCLUDE: Object = Object {
    keys: &[key("env_file", ONE_OR_TEXTS), key("path", ONE_OR_TEXTS), key("project_directory", Kind::Text)],
    required: &[],
    extensible: false,
    nullable: false,
};

static MODEL: Object = Object {
    keys: &[
        key("context_size", Kind::Whole),
        key("model", Kind::Text),
        key("name", Kind::Text),
        key("runtime_flags", Kind::List(&Kind::Text, Identity::None)),
    ],
    required: &["model"],
    extensible: true,
    nullable: false,
};

static NETWORK: Object = Object {
    keys: &[
        key("attachable", Kind::Flag),
        key("driver", Kind::Text),
        key("driver_opts", OPTIONS),
        refused("enable_ipv4", Kind::Choice, "networks have IPv4; remove it"),
        key("enable_ipv6", Kind::Choice),
        key("external", EXTERNAL),
        key("internal", Kind::Flag),
        key("ipam", Kind::Embedded(&IPAM)),
        key("labels", LABELS),
        key("name", Kind::Text),
    ],
    required: &[],
    extensible: true,
    nullable: true,
};

static IPAM: Object = object(&[
    key("config", Kind::List(&Kind::Object(&POOL), Identity::Replaced)),
    key("driver", Kind::Text),
    refused(
        "options",
        Kind::Map(&Kind::Text, Names::Any),
        "create the network with Docker and use `external`",
    ),
]);
static POOL: Object = object(&[
    refused(
        "aux_addresses",
        Kind::Map(&Kind::Text, Names::Any),
        "create the network with Docker and use `external`",
    ),
    key("gateway", Kind::Text),
    refused("ip_range", Kind::Text, "create the network with Docker and use `external`"),
    key("subnet", Kind::Text),
]);

static VOLUME: Object = Object {
    keys: &[
        key("driver", Kind::Text),
        key("driver_opts", OPTIONS),
        key("external", EXTERNAL),
        key("labels", LABELS),
        key("name", Kind::Text),
    ],
    required: &[],
    extensible: true,
    nullable: true,
};

static SECRET: Object = object(&[
    refused("driver", Kind::Text, SWARM_ONLY),
    refused("driver_opts", OPTIONS, SWARM_ONLY),
    key("environment", Kind::Text),
    key("external", EXTERNAL),
    key("file", Kind::Text),
    inert("labels", LABELS, "the Engine does not know it outside Swarm"),
    key("name", Kind::Text),
    refused("template_driver", Kind::Text, SWARM_ONLY),
]);

static CONFIG: Object = object(&[
    key("content", Kind::Text),
    key("environment", Kind::Text),
    key("external", EXTERNAL),
    key("file", Kind::Text),
    inert("labels", LABELS, "the Engine does not know it outside Swarm"),
    key("name", Kind::Text),
    refused("template_driver", Kind::Text, SWARM_ONLY),
]);
