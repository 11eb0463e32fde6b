//! The keys of `build` (Compose Specification, "Build"), in the order in which Compose writes them.

use super::container::{ENVIRONMENT, KEYED};
use super::{GRANT, Identity, Kind, LABELS, Object, TEXTS, ULIMITS, Unvalued, inert, key, object};

pub(super) static BUILD: Object = object(&[&[
    key("context", Kind::Text),
    key("dockerfile", Kind::Text),
    key("dockerfile_inline", Kind::Text),
    key("entitlements", TEXTS),
    key("args", ENVIRONMENT),
    inert("provenance", Kind::TextOrFlag, "attestations stay in registries"),
    inert("sbom", Kind::TextOrFlag, "attestations stay in registries"),
    key("ssh", Kind::Ssh),
    key("labels", LABELS),
    key("cache_from", TEXTS),
    key("cache_to", TEXTS),
    key("no_cache", Kind::Flag),
    key("no_cache_filter", Kind::TextOrList),
    key("additional_contexts", Kind::Dict(Unvalued::Refused)),
    key("pull", Kind::Flag),
    key("extra_hosts", Kind::Hosts),
    inert("isolation", Kind::Text, "it is for Windows"),
    key("network", Kind::Text),
    key("target", Kind::Text),
    key("secrets", Kind::List(&GRANT, Identity::None)),
    key("shm_size", Kind::Bytes),
    key("tags", KEYED),
    key("ulimits", ULIMITS),
    key("platforms", TEXTS),
    key("privileged", Kind::Flag),
]]);
