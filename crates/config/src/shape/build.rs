//! The keys of `build` (Compose Specification, "Build"), in the order in which Compose writes them.

use super::container::{ENVIRONMENT, KEYED, not_yet};
use super::{GRANT, Identity, Kind, LABELS, Object, TEXTS, ULIMITS, Unvalued, inert, key, object};

pub(super) static BUILD: Object = object(&[&[
    key("context", Kind::Text),
    key("dockerfile", Kind::Text),
    key("dockerfile_inline", Kind::Text),
    not_yet("entitlements", TEXTS),
    key("args", ENVIRONMENT),
    inert("provenance", Kind::TextOrFlag, "attestations stay in registries"),
    inert("sbom", Kind::TextOrFlag, "attestations stay in registries"),
    not_yet("ssh", Kind::Ssh),
    not_yet("labels", LABELS),
    inert("cache_from", TEXTS, "BuildKit's own cache on this host is used"),
    inert("cache_to", TEXTS, "BuildKit's own cache on this host is used"),
    inert("no_cache", Kind::Flag, "use `mainstay build --no-cache`"),
    inert("no_cache_filter", Kind::TextOrList, "use `mainstay build --no-cache`"),
    not_yet("additional_contexts", Kind::Dict(Unvalued::Refused)),
    inert("pull", Kind::Flag, "use `mainstay build --pull`"),
    not_yet("extra_hosts", Kind::Hosts),
    not_yet("isolation", Kind::Text),
    not_yet("network", Kind::Text),
    key("target", Kind::Text),
    not_yet("secrets", Kind::List(&GRANT, Identity::None)),
    not_yet("shm_size", Kind::Bytes),
    inert("tags", KEYED, "the image gets the name under `image`"),
    not_yet("ulimits", ULIMITS),
    not_yet("platforms", TEXTS),
    not_yet("privileged", Kind::Flag),
]]);
