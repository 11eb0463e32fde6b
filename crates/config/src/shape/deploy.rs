//! The keys of `deploy` (Compose Specification, "Deploy"), in the order in which Compose writes them.

use super::container::DEVICE_REQUEST_KEYS;
use super::{Identity, Kind, LABELS, Object, container, inert, key, object};

const SWARM: &str = "it is for Swarm; how releases roll is Mainstay's own";

pub(super) static DEPLOY: Object = Object {
    parts: &[&[
        key("mode", Kind::Text),
        key("replicas", Kind::Count),
        inert("labels", LABELS, "they belong to Swarm's services; use `labels`"),
        inert("update_config", Kind::Object(&UPDATE_CONFIG), SWARM),
        inert("rollback_config", Kind::Object(&UPDATE_CONFIG), SWARM),
        key("resources", Kind::Embedded(&RESOURCES)),
        key("restart_policy", Kind::Object(&RESTART_POLICY)),
        inert("placement", Kind::Embedded(&PLACEMENT), "there is one server"),
        inert("endpoint_mode", Kind::Text, SWARM),
    ]],
    required: &[],
    extensible: true,
    nullable: true,
};

static PLACEMENT: Object = object(&[&[
    key("constraints", Kind::List(&Kind::Text, Identity::None)),
    key("preferences", Kind::List(&Kind::Object(&PREFERENCE), Identity::None)),
    key("max_replicas_per_node", Kind::Whole),
]]);
static PREFERENCE: Object = object(&[&[key("spread", Kind::Text)]]);

static UPDATE_CONFIG: Object = object(&[&[
    key("parallelism", Kind::Count),
    key("delay", Kind::Pause),
    key("failure_action", Kind::Text),
    key("monitor", Kind::Pause),
    key("max_failure_ratio", Kind::Real),
    key("order", Kind::Word(&["start-first", "stop-first"])),
]]);

static RESTART_POLICY: Object = object(&[&[
    key("condition", Kind::Text),
    inert("delay", Kind::Duration, "restarts back off by themselves"),
    key("max_attempts", Kind::Count),
    inert("window", Kind::Duration, "restarts back off by themselves"),
]]);

static RESOURCES: Object =
    object(&[&[key("limits", Kind::Object(&LIMITS)), key("reservations", Kind::Object(&RESERVATIONS))]]);
static LIMITS: Object =
    object(&[&[key("cpus", Kind::Real), key("memory", Kind::Size), key("pids", Kind::Whole)]]);
static RESERVATIONS: Object = object(&[&[
    key("cpus", Kind::Real),
    key("memory", Kind::Size),
    container("devices", Kind::List(&Kind::Object(&DEVICE_REQUEST), Identity::None)),
    inert("generic_resources", Kind::List(&Kind::Object(&GENERIC), Identity::None), SWARM),
]]);
static GENERIC: Object = object(&[&[key("discrete_resource_spec", Kind::Object(&DISCRETE))]]);
static DISCRETE: Object = object(&[&[key("kind", Kind::Text), key("value", Kind::Count)]]);
static DEVICE_REQUEST: Object =
    Object { parts: &[DEVICE_REQUEST_KEYS], required: &["capabilities"], extensible: true, nullable: false };
