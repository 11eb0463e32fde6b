//! The keys of a service (Compose Specification, "Services", "Build" and "Deploy").

use super::{
    Identity, Key, Kind, Names, Object, Short, TEXTS, Unvalued, box_only, container, inert, key, object,
    refused,
};

/// A service.
pub static SERVICE: Object = object(SERVICE_KEYS);

const LABELS: Kind = Kind::Dict(Unvalued::Empty);
const ENVIRONMENT: Kind = Kind::Dict(Unvalued::Inherited);
const ONE_OR_TEXTS: Kind = Kind::OneOrList(&Kind::Text, Identity::Distinct);
const ONE_OR_KEYED: Kind = Kind::OneOrList(&Kind::Text, Identity::BeforeEquals);
const KEYED: Kind = Kind::List(&Kind::Text, Identity::BeforeEquals);
const OPTIONS: Kind = Kind::Map(&Kind::Loose, Names::Any);

/// Why a limit of the kernel that is not passed on is refused.
const NO_LIMIT: &str = "remove it, or use `cpus`, `mem_limit` and `pids_limit`";
/// What to do about a key that Mainstay does not pass to the Engine.
const NOT_PASSED: &str = "remove it, or run this service with `docker compose` for now";

static SERVICE_KEYS: &[Key] = &[
    inert("annotations", LABELS, "annotations are for other runtimes; use `labels`"),
    inert("attach", Kind::Choice, "`mainstay logs SERVICE` chooses what is shown"),
    refused("blkio_config", Kind::Object(&BLKIO), NO_LIMIT),
    key("build", Kind::Short(Short::BuildContext, &Kind::Object(&BUILD))),
    container("cap_add", KEYED),
    container("cap_drop", KEYED),
    refused("cgroup", Kind::Word(&["host", "private"]), NOT_PASSED),
    refused("cgroup_parent", Kind::Text, NOT_PASSED),
    key("command", Kind::Command),
    container("configs", Kind::List(&GRANT, Identity::GrantTarget(""))),
    box_only("container_name", Kind::Text),
    refused("cpu_count", Kind::Whole, "it is for Windows; use `cpus`"),
    refused("cpu_percent", Kind::Real, "it is for Windows; use `cpus`"),
    refused("cpu_period", Kind::Whole, "use `cpus`, which means quota divided by period"),
    refused("cpu_quota", Kind::Whole, "use `cpus`, which means quota divided by period"),
    refused("cpu_rt_period", Kind::Whole, NO_LIMIT),
    refused("cpu_rt_runtime", Kind::Whole, NO_LIMIT),
    key("cpu_shares", Kind::Whole),
    key("cpus", Kind::Real),
    refused("cpuset", Kind::Text, NO_LIMIT),
    refused("credential_spec", Kind::Object(&CREDENTIAL_SPEC), "it is for Windows; remove it"),
    key(
        "depends_on",
        Kind::Short(Short::Dependencies, &Kind::Map(&Kind::Object(&DEPENDENCY), Names::Resource)),
    ),
    key("deploy", Kind::Object(&DEPLOY)),
    inert("develop", Kind::Object(&DEVELOP), "it is for `docker compose watch`"),
    refused("device_cgroup_rules", TEXTS, NOT_PASSED),
    container("devices", Kind::List(&Kind::Short(Short::Device, &Kind::Object(&DEVICE)), Identity::Target)),
    box_only("dns", ONE_OR_KEYED),
    box_only("dns_opt", KEYED),
    box_only("dns_search", ONE_OR_KEYED),
    box_only("domainname", Kind::Text),
    key("entrypoint", Kind::Command),
    key("env_file", Kind::OneOrList(&Kind::Short(Short::EnvFile, &Kind::Object(&ENV_FILE)), Identity::Path)),
    key("environment", ENVIRONMENT),
    key("expose", Kind::List(&Kind::Loose, Identity::Whole)),
    key("extends", Kind::Short(Short::Extends, &Kind::Object(&EXTENDS))),
    refused("external_links", TEXTS, "put both services on one external network"),
    container("extra_hosts", Kind::Hosts),
    refused("gpus", Kind::Short(Short::Gpus, &Kind::List(&Kind::Object(&GPU), Identity::None)), NOT_PASSED),
    key("group_add", Kind::List(&Kind::Loose, Identity::Distinct)),
    key("healthcheck", Kind::Object(&HEALTHCHECK)),
    box_only("hostname", Kind::Text),
    key("image", Kind::Text),
    box_only("init", Kind::Choice),
    container("ipc", Kind::Text),
    refused("isolation", Kind::Text, "it is for Windows; remove it"),
    key("label_file", ONE_OR_TEXTS),
    key("labels", LABELS),
    inert("links", KEYED, "services of a stack reach each other by name"),
    key("logging", Kind::Variant("driver", &LOGGING)),
    refused("mac_address", Kind::Text, NOT_PASSED),
    key("mem_limit", Kind::Bytes),
    key("mem_reservation", Kind::Bytes),
    refused("mem_swappiness", Kind::Bytes, NO_LIMIT),
    key("memswap_limit", Kind::Bytes),
    refused(
        "models",
        Kind::Short(Short::Names, &Kind::Map(&Kind::Object(&SERVICE_MODEL), Names::Any)),
        NOT_PASSED,
    ),
    container("network_mode", Kind::Text),
    box_only("networks", Kind::Short(Short::Names, &Kind::Map(&Kind::Object(&ATTACHMENT), Names::Resource))),
    refused("oom_kill_disable", Kind::Flag, "a service without memory limit is not killed for its limit"),
    refused("oom_score_adj", Kind::Whole, NOT_PASSED),
    container("pid", Kind::Text),
    key("pids_limit", Kind::Whole),
    box_only("platform", Kind::Text),
    key("ports", Kind::List(&Kind::Short(Short::Port, &Kind::Object(&PORT)), Identity::Port)),
    refused("post_start", Kind::List(&Kind::Object(&HOOK), Identity::None), "run it as part of the command"),
    refused(
        "pre_start",
        Kind::List(&Kind::Object(&PRE_START), Identity::None),
        "use `x-mainstay: release:` or a service that others depend on",
    ),
    refused(
        "pre_stop",
        Kind::List(&Kind::Object(&HOOK), Identity::None),
        "handle the stop signal in the service",
    ),
    container("privileged", Kind::Flag),
    key("profiles", KEYED),
    refused("provider", Kind::Object(&PROVIDER), "providers are plug-ins of `docker compose`"),
    box_only("pull_policy", Kind::Text),
    inert("pull_refresh_after", Kind::Text, "images are pulled when a release is made"),
    container("read_only", Kind::Flag),
    key("restart", Kind::Text),
    refused("runtime", Kind::Text, NOT_PASSED),
    key("scale", Kind::Count),
    container("secrets", Kind::List(&GRANT, Identity::GrantTarget("/run/secrets"))),
    container("security_opt", TEXTS),
    box_only("shm_size", Kind::Bytes),
    box_only("stdin_open", Kind::Flag),
    key("stop_grace_period", Kind::Duration),
    key("stop_signal", Kind::Text),
    refused("storage_opt", OPTIONS, NOT_PASSED),
    container("sysctls", LABELS),
    container("tmpfs", ONE_OR_KEYED),
    box_only("tty", Kind::Flag),
    container("ulimits", Kind::Map(&Kind::Short(Short::Ulimit, &Kind::Object(&ULIMIT)), Names::Any)),
    refused("use_api_socket", Kind::Flag, "mount the socket as a volume"),
    key("user", Kind::Text),
    refused("userns_mode", Kind::Text, NOT_PASSED),
    refused("uts", Kind::Text, NOT_PASSED),
    container("volumes", Kind::List(&Kind::Short(Short::Mount, &Kind::Object(&MOUNT)), Identity::Target)),
    refused("volumes_from", TEXTS, "name the volume and mount it in both services"),
    key("working_dir", Kind::Text),
];

static BUILD: Object = object(&[
    refused("additional_contexts", Kind::Dict(Unvalued::Refused), "copy what is needed into the context"),
    key("args", ENVIRONMENT),
    inert("cache_from", TEXTS, "BuildKit's own cache on this host is used"),
    inert("cache_to", TEXTS, "BuildKit's own cache on this host is used"),
    key("context", Kind::Text),
    key("dockerfile", Kind::Text),
    key("dockerfile_inline", Kind::Text),
    refused("entitlements", TEXTS, "build the image elsewhere and use `image`"),
    refused("extra_hosts", Kind::Hosts, "build the image elsewhere and use `image`"),
    refused("isolation", Kind::Text, "it is for Windows; remove it"),
    refused("labels", LABELS, "use LABEL in the Dockerfile"),
    refused("network", Kind::Text, "build the image elsewhere and use `image`"),
    inert("no_cache", Kind::Flag, "use `mainstay build --no-cache`"),
    inert("no_cache_filter", ONE_OR_TEXTS, "use `mainstay build --no-cache`"),
    refused("platforms", TEXTS, "images are built for this host"),
    refused("privileged", Kind::Flag, "build the image elsewhere and use `image`"),
    inert("provenance", Kind::Loose, "attestations stay in registries"),
    inert("pull", Kind::Flag, "use `mainstay build --pull`"),
    inert("sbom", Kind::Loose, "attestations stay in registries"),
    refused("secrets", Kind::List(&GRANT, Identity::None), "build the image elsewhere and use `image`"),
    refused("shm_size", Kind::Bytes, "build the image elsewhere and use `image`"),
    refused("ssh", Kind::Ssh, "build the image elsewhere and use `image`"),
    inert("tags", KEYED, "the image gets the name under `image`"),
    key("target", Kind::Text),
    refused(
        "ulimits",
        Kind::Map(&Kind::Short(Short::Ulimit, &Kind::Object(&ULIMIT)), Names::Any),
        "build the image elsewhere and use `image`",
    ),
]);

static BLKIO: Object = Object {
    keys: &[
        key("device_read_bps", BLKIO_LIMITS),
        key("device_read_iops", BLKIO_LIMITS),
        key("device_write_bps", BLKIO_LIMITS),
        key("device_write_iops", BLKIO_LIMITS),
        key("weight", Kind::Whole),
        key("weight_device", Kind::List(&Kind::Capital(&BLKIO_WEIGHT), Identity::None)),
    ],
    required: &[],
    extensible: false,
    nullable: false,
};
const BLKIO_LIMITS: Kind = Kind::List(&Kind::Capital(&BLKIO_LIMIT), Identity::None);
static BLKIO_LIMIT: Object = Object {
    keys: &[key("path", Kind::Text), key("rate", Kind::Bytes)],
    required: &[],
    extensible: false,
    nullable: false,
};
static BLKIO_WEIGHT: Object = Object {
    keys: &[key("path", Kind::Text), key("weight", Kind::Whole)],
    required: &[],
    extensible: false,
    nullable: false,
};

static CREDENTIAL_SPEC: Object =
    object(&[key("config", Kind::Text), key("file", Kind::Text), key("registry", Kind::Text)]);

static DEPENDENCY: Object = Object {
    keys: &[
        key(
            "condition",
            Kind::Word(&["service_started", "service_healthy", "service_completed_successfully"]),
        ),
        key("required", Kind::Choice),
        key("restart", Kind::Flag),
    ],
    required: &["condition"],
    extensible: true,
    nullable: false,
};

const SWARM: &str = "it is for Swarm; how releases roll is Mainstay's own";

static DEPLOY: Object = Object {
    keys: &[
        inert("endpoint_mode", Kind::Text, SWARM),
        inert("labels", LABELS, "they belong to Swarm's services; use `labels`"),
        key("mode", Kind::Text),
        inert("placement", Kind::Embedded(&PLACEMENT), "there is one server"),
        key("replicas", Kind::Count),
        key("resources", Kind::Embedded(&RESOURCES)),
        key("restart_policy", Kind::Object(&RESTART_POLICY)),
        inert("rollback_config", Kind::Object(&UPDATE_CONFIG), SWARM),
        inert("update_config", Kind::Object(&UPDATE_CONFIG), SWARM),
    ],
    required: &[],
    extensible: true,
    nullable: true,
};

static PLACEMENT: Object = object(&[
    key("constraints", Kind::List(&Kind::Text, Identity::None)),
    key("max_replicas_per_node", Kind::Whole),
    key("preferences", Kind::List(&Kind::Object(&PREFERENCE), Identity::None)),
]);
static PREFERENCE: Object = object(&[key("spread", Kind::Text)]);

static UPDATE_CONFIG: Object = object(&[
    key("delay", Kind::Duration),
    key("failure_action", Kind::Text),
    key("max_failure_ratio", Kind::Real),
    key("monitor", Kind::Duration),
    key("order", Kind::Word(&["start-first", "stop-first"])),
    key("parallelism", Kind::Count),
]);

static RESTART_POLICY: Object = object(&[
    key("condition", Kind::Text),
    inert("delay", Kind::Duration, "restarts back off by themselves"),
    key("max_attempts", Kind::Count),
    inert("window", Kind::Duration, "restarts back off by themselves"),
]);

static RESOURCES: Object =
    object(&[key("limits", Kind::Object(&LIMITS)), key("reservations", Kind::Object(&RESERVATIONS))]);
static LIMITS: Object =
    object(&[key("cpus", Kind::Real), key("memory", Kind::Size), key("pids", Kind::Whole)]);
static RESERVATIONS: Object = object(&[
    key("cpus", Kind::Real),
    refused("devices", Kind::List(&Kind::Object(&DEVICE_REQUEST), Identity::None), NOT_PASSED),
    inert("generic_resources", Kind::List(&Kind::Object(&GENERIC), Identity::None), SWARM),
    key("memory", Kind::Size),
]);
static GENERIC: Object = object(&[key("discrete_resource_spec", Kind::Object(&DISCRETE))]);
static DISCRETE: Object = object(&[key("kind", Kind::Text), key("value", Kind::Count)]);
const DEVICE_REQUEST_KEYS: &[Key] = &[
    key("capabilities", TEXTS),
    key("count", Kind::Devices),
    key("device_ids", TEXTS),
    key("driver", Kind::Text),
    key("options", LABELS),
];
static DEVICE_REQUEST: Object =
    Object { keys: DEVICE_REQUEST_KEYS, required: &["capabilities"], extensible: true, nullable: false };
static GPU: Object = object(DEVICE_REQUEST_KEYS);

static DEVELOP: Object = Object {
    keys: &[key("watch", Kind::List(&Kind::Object(&WATCH), Identity::None))],
    required: &[],
    extensible: true,
    nullable: true,
};
static WATCH: Object = Object {
    keys: &[
        key("action", Kind::Word(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
        key("exec", Kind::Embedded(&HOOK)),
        key("ignore", ONE_OR_TEXTS),
        key("include", ONE_OR_TEXTS),
        key("initial_sync", Kind::Flag),
        key("path", Kind::Text),
        key("target", Kind::Text),
    ],
    required: &["path", "action"],
    extensible: true,
    nullable: false,
};

static DEVICE: Object = Object {
    keys: &[key("permissions", Kind::Text), key("source", Kind::Text), key("target", Kind::Text)],
    required: &["source"],
    extensible: true,
    nullable: false,
};

static ENV_FILE: Object = Object {
    keys: &[key("format", Kind::Text), key("path", Kind::Text), key("required", Kind::Choice)],
    required: &["path"],
    extensible: false,
    nullable: false,
};

static EXTENDS: Object = Object {
    keys: &[key("file", Kind::Text), key("service", Kind::Text)],
    required: &["service"],
    extensible: false,
    nullable: false,
};

static HEALTHCHECK: Object = object(&[
    key("disable", Kind::Flag),
    key("interval", Kind::Duration),
    key("retries", Kind::Count),
    key("start_interval", Kind::Duration),
    key("start_period", Kind::Duration),
    key("test", Kind::Test),
    key("timeout", Kind::Duration),
]);

const HOOK_KEYS: &[Key] = &[
    key("command", Kind::Command),
    key("environment", ENVIRONMENT),
    key("privileged", Kind::Flag),
    key("user", Kind::Text),
    key("working_dir", Kind::Text),
];
static HOOK: Object = Object { keys: HOOK_KEYS, required: &["command"], extensible: true, nullable: false };
static PRE_START: Object = object(&[
    key("command", Kind::Command),
    key("environment", ENVIRONMENT),
    key("image", Kind::Text),
    key("per_replica", Kind::Flag),
    key("privileged", Kind::Flag),
    key("user", Kind::Text),
    key("working_dir", Kind::Text),
]);

static LOGGING: Object = object(&[key("driver", Kind::Text), key("options", LOG_OPTIONS)]);
const LOG_OPTIONS: Kind = Kind::Map(&Kind::Loose, Names::Any);

static SERVICE_MODEL: Object = Object {
    keys: &[key("endpoint_var", Kind::Text), key("model_var", Kind::Text)],
    required: &[],
    extensible: true,
    nullable: true,
};

static ATTACHMENT: Object = Object {
    keys: &[
        key("aliases", Kind::List(&Kind::Text, Identity::BeforeEquals)),
        refused("driver_opts", OPTIONS, NOT_PASSED),
        refused("gw_priority", Kind::Whole, "use `priority`"),
        refused("interface_name", Kind::Text, NOT_PASSED),
        key("ipv4_address", Kind::Text),
        key("ipv6_address", Kind::Text),
        refused("link_local_ips", KEYED, NOT_PASSED),
        refused("mac_address", Kind::Text, NOT_PASSED),
        key("priority", Kind::Whole),
    ],
    required: &[],
    extensible: true,
    nullable: true,
};

static PORT: Object = Object {
    keys: &[
        inert("app_protocol", Kind::Text, "the Engine does not know it"),
        key("host_ip", Kind::Text),
        key("mode", Kind::Text),
        key("name", Kind::Text),
        key("protocol", Kind::Text),
        key("published", Kind::Loose),
        key("target", Kind::Whole),
    ],
    required: &["target"],
    extensible: true,
    nullable: false,
};

static PROVIDER: Object = Object {
    keys: &[
        key("options", Kind::Map(&Kind::OneOrList(&Kind::Scalar, Identity::None), Names::Any)),
        key("type", Kind::Text),
    ],
    required: &["type"],
    extensible: true,
    nullable: false,
};

const GRANT: Kind = Kind::Short(Short::Grant, &Kind::Object(&GRANT_KEYS));
static GRANT_KEYS: Object = object(&[
    key("gid", Kind::Text),
    key("mode", Kind::Mode),
    key("source", Kind::Text),
    key("target", Kind::Text),
    key("uid", Kind::Text),
]);

static ULIMIT: Object = Object {
    keys: &[key("hard", Kind::Whole), key("soft", Kind::Whole)],
    required: &["soft", "hard"],
    extensible: true,
    nullable: false,
};

static MOUNT: Object = Object {
    keys: &[
        key("bind", Kind::Object(&MOUNT_BIND)),
        inert("consistency", Kind::Text, "it is for Docker Desktop"),
        refused("image", Kind::Object(&MOUNT_IMAGE), "copy the files into a volume"),
        key("read_only", Kind::Flag),
        key("source", Kind::Text),
        key("target", Kind::Text),
        key("tmpfs", Kind::Object(&MOUNT_TMPFS)),
        key("type", Kind::Word(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])),
        key("volume", Kind::Object(&MOUNT_VOLUME)),
    ],
    required: &["type"],
    extensible: true,
    nullable: false,
};
static MOUNT_BIND: Object = object(&[
    key("create_host_path", Kind::OptOut),
    key("propagation", Kind::Text),
    refused("recursive", Kind::Word(&["enabled", "disabled", "writable", "readonly"]), NOT_PASSED),
    key("selinux", Kind::Word(&["z", "Z"])),
]);
static MOUNT_VOLUME: Object = object(&[
    inert("labels", LABELS, "label the volume under top-level `volumes`"),
    key("nocopy", Kind::Flag),
    key("subpath", Kind::Text),
]);
static MOUNT_TMPFS: Object = object(&[key("mode", Kind::Whole), key("size", Kind::Bytes)]);
static MOUNT_IMAGE: Object = object(&[key("subpath", Kind::Text)]);
