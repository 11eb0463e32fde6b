//! The keys of whatever runs a container: services, jobs and `pre_start` hooks (Compose Specification, "Services").
//!
//! Keys stand in the order in which Compose writes them, which its configuration hash depends on.

use super::{
    GRANT, Identity, Key, Kind, LABELS, Names, ONE_OR_TEXTS, OPTIONS, Object, Short, TEXTS, ULIMITS,
    Unvalued, box_only, container, inert, key, object,
};

pub(super) const ENVIRONMENT: Kind = Kind::Dict(Unvalued::Inherited);
const ONE_OR_KEYED: Kind = Kind::OneOrList(&Kind::Text, Identity::BeforeEquals);
pub(super) const KEYED: Kind = Kind::List(&Kind::Text, Identity::BeforeEquals);

/// A key of containers that is carried and not in force yet.
/// As Docker Compose has it, which warns and goes on.
const WINDOWS_SWARM: &str = "it is for Windows containers under Swarm; Docker Compose does not use it either";

pub(super) static CONTAINER: &[Key] = &[
    container("annotations", LABELS),
    container("blkio_config", Kind::Object(&BLKIO)),
    container("cap_add", KEYED),
    container("cap_drop", KEYED),
    container("cgroup_parent", Kind::Text),
    container("cgroup", Kind::Word(&["host", "private"])),
    container("cpu_count", Kind::Between(0, i64::MAX)),
    container("cpu_percent", Kind::Between(0, 100)),
    container("cpu_period", Kind::WholeOrFraction),
    container("cpu_quota", Kind::WholeOrFraction),
    container("cpu_rt_period", Kind::WholeOrFraction),
    container("cpu_rt_runtime", Kind::WholeOrFraction),
    key("cpus", Kind::Real),
    container("cpuset", Kind::Text),
    key("cpu_shares", Kind::WholeOrFraction),
    key("command", Kind::Command),
    container("configs", Kind::List(&GRANT, Identity::GrantTarget(""))),
    inert("credential_spec", Kind::Object(&CREDENTIAL_SPEC), WINDOWS_SWARM),
    container("device_cgroup_rules", TEXTS),
    container("devices", Kind::List(&Kind::Short(Short::Device, &Kind::Object(&DEVICE)), Identity::Target)),
    box_only("dns", ONE_OR_KEYED),
    box_only("dns_opt", KEYED),
    box_only("dns_search", ONE_OR_KEYED),
    box_only("domainname", Kind::Text),
    key("entrypoint", Kind::Command),
    key("environment", ENVIRONMENT),
    key("env_file", Kind::OneOrList(&Kind::Short(Short::EnvFile, &Kind::Object(&ENV_FILE)), Identity::Path)),
    container("extra_hosts", Kind::Hosts),
    key("group_add", Kind::List(&Kind::Loose, Identity::Distinct)),
    container("gpus", Kind::Short(Short::Gpus, &Kind::List(&Kind::Object(&GPU), Identity::None))),
    box_only("hostname", Kind::Text),
    key("image", Kind::Text),
    box_only("init", Kind::Choice),
    container("ipc", Kind::Text),
    container("isolation", Kind::Text),
    key("labels", LABELS),
    key("label_file", ONE_OR_TEXTS),
    key("logging", Kind::Variant("driver", &LOGGING)),
    key("mem_limit", Kind::BytesOrFraction),
    key("mem_reservation", Kind::Bytes),
    key("memswap_limit", Kind::BytesOrFraction),
    container("mem_swappiness", Kind::Bytes),
    container("mac_address", Kind::Text),
    container("models", Kind::Short(Short::Names, &Kind::Map(&Kind::Object(&SERVICE_MODEL), Names::Any))),
    container("network_mode", Kind::Text),
    box_only("networks", Kind::Short(Short::Names, &Kind::Map(&Kind::Object(&ATTACHMENT), Names::Resource))),
    container("oom_kill_disable", Kind::Flag),
    container("oom_score_adj", Kind::Between(-1000, 1000)),
    container("pid", Kind::Text),
    key("pids_limit", Kind::WholeOrFraction),
    box_only("platform", Kind::Text),
    container("privileged", Kind::Flag),
    box_only("pull_policy", Kind::Text),
    inert("pull_refresh_after", Kind::Text, "images are pulled when a release is made"),
    container("read_only", Kind::Flag),
    container("runtime", Kind::Text),
    container("secrets", Kind::List(&GRANT, Identity::GrantTarget("/run/secrets"))),
    container("security_opt", TEXTS),
    box_only("shm_size", Kind::BytesOrFraction),
    key("stop_grace_period", Kind::Duration),
    key("stop_signal", Kind::Text),
    container("storage_opt", Kind::Map(&Kind::LooseOrNull, Names::Any)),
    container("sysctls", LABELS),
    container("tmpfs", ONE_OR_KEYED),
    container("ulimits", ULIMITS),
    container("use_api_socket", Kind::Switch),
    key("user", Kind::Text),
    container("userns_mode", Kind::Text),
    container("uts", Kind::Text),
    container("volumes", Kind::List(&Kind::Short(Short::Mount, &Kind::Object(&MOUNT)), Identity::Target)),
    container("volumes_from", TEXTS),
    key("working_dir", Kind::Text),
];

static BLKIO: Object = Object {
    parts: &[&[
        key("weight", Kind::Whole),
        key("weight_device", Kind::List(&Kind::Capital(&BLKIO_WEIGHT), Identity::None)),
        key("device_read_bps", BLKIO_LIMITS),
        key("device_read_iops", BLKIO_LIMITS),
        key("device_write_bps", BLKIO_LIMITS),
        key("device_write_iops", BLKIO_LIMITS),
    ]],
    required: &[],
    extensible: false,
    nullable: false,
};
const BLKIO_LIMITS: Kind = Kind::List(&Kind::Capital(&BLKIO_LIMIT), Identity::None);
static BLKIO_LIMIT: Object = Object {
    parts: &[&[key("path", Kind::Text), key("rate", Kind::Bytes)]],
    required: &[],
    extensible: false,
    nullable: false,
};
static BLKIO_WEIGHT: Object = Object {
    parts: &[&[key("path", Kind::Text), key("weight", Kind::Whole)]],
    required: &[],
    extensible: false,
    nullable: false,
};

static CREDENTIAL_SPEC: Object =
    object(&[&[key("config", Kind::Text), key("file", Kind::Text), key("registry", Kind::Text)]]);

static DEVICE: Object = Object {
    parts: &[&[key("source", Kind::Text), key("target", Kind::Text), key("permissions", Kind::Text)]],
    required: &["source", "target"],
    extensible: true,
    nullable: false,
};

pub(super) const DEVICE_REQUEST_KEYS: &[Key] = &[
    key("capabilities", TEXTS),
    key("driver", Kind::Text),
    key("count", Kind::Devices),
    key("device_ids", TEXTS),
    key("options", LABELS),
];
static GPU: Object = object(&[DEVICE_REQUEST_KEYS]);

static ENV_FILE: Object = Object {
    parts: &[&[key("path", Kind::Text), key("required", Kind::OptOut), key("format", Kind::Text)]],
    required: &["path"],
    extensible: false,
    nullable: false,
};

static LOGGING: Object = object(&[&[key("driver", Kind::Text), key("options", OPTIONS)]]);

static SERVICE_MODEL: Object = Object {
    parts: &[&[key("endpoint_var", Kind::Text), key("model_var", Kind::Text)]],
    required: &[],
    extensible: true,
    nullable: true,
};

static ATTACHMENT: Object = Object {
    parts: &[&[
        key("aliases", KEYED),
        container("driver_opts", OPTIONS),
        container("gw_priority", Kind::Number),
        container("interface_name", Kind::Text),
        key("ipv4_address", Kind::Text),
        key("ipv6_address", Kind::Text),
        container("link_local_ips", KEYED),
        container("mac_address", Kind::Text),
        key("priority", Kind::Number),
    ]],
    required: &[],
    extensible: true,
    nullable: true,
};

static MOUNT: Object = Object {
    parts: &[&[
        key("type", Kind::Word(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])),
        key("source", Kind::Text),
        key("target", Kind::Text),
        key("read_only", Kind::Flag),
        inert("consistency", Kind::Text, "it is for Docker Desktop"),
        key("bind", Kind::Object(&MOUNT_BIND)),
        key("volume", Kind::Object(&MOUNT_VOLUME)),
        key("tmpfs", Kind::Object(&MOUNT_TMPFS)),
        key("image", Kind::Object(&MOUNT_IMAGE)),
    ]],
    required: &["type", "target"],
    extensible: true,
    nullable: false,
};
static MOUNT_BIND: Object = object(&[&[
    key("selinux", Kind::Word(&["z", "Z"])),
    key("propagation", Kind::Text),
    key("create_host_path", Kind::OptOut),
    container("recursive", Kind::Word(&["enabled", "disabled", "writable", "readonly"])),
]]);
static MOUNT_VOLUME: Object =
    object(&[&[container("labels", LABELS), key("nocopy", Kind::Flag), key("subpath", Kind::Text)]]);
static MOUNT_TMPFS: Object = object(&[&[key("size", Kind::Bytes), key("mode", Kind::WholeOrFraction)]]);
static MOUNT_IMAGE: Object = object(&[&[key("subpath", Kind::Text)]]);
