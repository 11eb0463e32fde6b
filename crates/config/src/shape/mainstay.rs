//! The keys of `x-mainstay`: on a service, and at the top level.

use super::{Identity, Key, Kind, Names, Object, Short, key, later};

/// `x-mainstay` of a service.
pub static MAINSTAY_SERVICE: Object = closed(&[&[
    later("celery", Kind::Object(&CELERY)),
    key("ready", Kind::Text),
    key("release", Kind::Command),
    key("routes", Kind::List(&Kind::Object(&ROUTE), Identity::None)),
    key("static", Kind::Object(&STATIC)),
]]);

/// `x-mainstay` of the document.
pub static MAINSTAY_TOP: Object = closed(&[&[
    later("backup", Kind::Object(&BACKUP)),
    key("edge", Kind::Object(&EDGE)),
    later("env", Kind::Map(&Kind::Object(&ENV), Names::Any)),
]]);

/// `x-mainstay: edge:`.
pub static EDGE: Object = closed(&[&[
    key("access", ACCESS),
    key("access_log", Kind::Short(Short::Under("format"), &Kind::Object(&ACCESS_LOG))),
    key("clients", Kind::Object(&CLIENTS)),
    key("cloudflare_ranges", Kind::Text),
    key("compress", COMPRESS),
    key("error_pages", Kind::Map(&Kind::Text, Names::Any)),
    key("headers", HEADERS),
    key("intercept_errors", Kind::Flag),
    key("limits", Kind::Map(&Kind::Object(&LIMIT), Names::Any)),
    key("listen", Kind::Object(&LISTEN)),
    key("maintenance", MAINTENANCE),
    key("origin_lock", Kind::Flag),
    key("routes", Kind::List(&Kind::Object(&EXTERNAL_ROUTE), Identity::None)),
    key("tcp", Kind::List(&Kind::Object(&TCP), Identity::None)),
    key("tls", Kind::Short(Short::Tls, &Kind::Object(&TLS))),
    key("trusted_proxies", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
]]);

const fn closed(parts: &'static [&'static [Key]]) -> Object {
    Object { parts, required: &[], extensible: false, nullable: false }
}

static TCP: Object = Object {
    parts: &[&[
        key("listen", Kind::Loose),
        key("send_proxy", PROXY_VERSION),
        key("sni", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
        key("to", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
    ]],
    required: &["listen", "to"],
    extensible: false,
    nullable: false,
};

const PROXY_VERSION: Kind = Kind::Word(&["v1", "v2"]);

static CLIENTS: Object = closed(&[&[
    key("body_rate", Kind::Bytes),
    key("connections", Kind::Count),
    key("head", Kind::Duration),
    key("head_fields", Kind::Count),
    key("head_line", Kind::Bytes),
    key("head_size", Kind::Bytes),
    key("idle", Kind::Duration),
    key("per_client", Kind::Count),
]]);

const MAINTENANCE: Kind = Kind::Short(Short::Switch, &Kind::Object(&MAINTENANCE_RULES));

static MAINTENANCE_RULES: Object = closed(&[&[
    key("allow", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
    key("off", Kind::Flag),
    key("page", Kind::Text),
    key("retry_after", Kind::Duration),
]]);

static LISTEN: Object = closed(&[&[
    key("http", Kind::Loose),
    key("https", Kind::Loose),
    key("proxy_protocol", Kind::Flag),
    key("http3", Kind::Flag),
]]);

static TLS: Object = closed(&[
    CERTIFICATE,
    &[
        key("acme", Kind::Object(&ACME)),
        key("client_ca", Kind::Text),
        key("files", Kind::List(&Kind::Object(&CERTIFICATE_FILES), Identity::None)),
        key("internal", Kind::Flag),
        key("on_demand", Kind::Object(&ON_DEMAND)),
        key("redirect", Kind::OptOut),
    ],
]);

const CERTIFICATE: &[Key] = &[key("cert", Kind::Text), key("key", Kind::Text)];

static CERTIFICATE_FILES: Object = closed(&[CERTIFICATE]);

static ACME: Object = closed(&[&[
    key("ca", Kind::Text),
    key("dns", Kind::Object(&DNS)),
    key("eab", Kind::Object(&EAB)),
    key("email", Kind::Text),
    key("staging", Kind::Flag),
    key("trust", Kind::Text),
]]);

static DNS: Object = closed(&[&[key("cloudflare", Kind::Text), key("exec", Kind::Command)]]);

static EAB: Object = Object {
    parts: &[&[key("id", Kind::Text), key("key", Kind::Text)]],
    required: &["id", "key"],
    extensible: false,
    nullable: false,
};

static ON_DEMAND: Object =
    Object { parts: &[&[key("ask", Kind::Text)]], required: &["ask"], extensible: false, nullable: false };

static ROUTE: Object = closed(&[
    ANY_ROUTE,
    &[
        key("port", Kind::Whole),
        key("scheme", Kind::Word(&["http", "https", "h2c", "h2"])),
        key("www", Kind::Word(&["redirect"])),
    ],
]);

static EXTERNAL_ROUTE: Object =
    closed(&[ANY_ROUTE, &[key("health", HEALTH), key("to", Kind::OneOrList(&UPSTREAM, Identity::Distinct))]]);

const UPSTREAM: Kind = Kind::Short(Short::Under("url"), &Kind::Object(&UPSTREAM_WITH_SHARE));

static UPSTREAM_WITH_SHARE: Object = Object {
    parts: &[&[key("backup", Kind::Flag), key("url", Kind::Text), key("weight", Kind::Count)]],
    required: &["url"],
    extensible: false,
    nullable: false,
};

const HEALTH: Kind = Kind::Short(Short::Under("path"), &Kind::Object(&HEALTH_CHECK));

static HEALTH_CHECK: Object = Object {
    parts: &[&[key("interval", Kind::Duration), key("path", Kind::Text), key("timeout", Kind::Duration)]],
    required: &["path"],
    extensible: false,
    nullable: false,
};

/// What routes have, wherever they lead.
const ANY_ROUTE: &[Key] = &[
    key("access", ACCESS),
    key("add_prefix", Kind::Text),
    key("balance", Kind::Text),
    key("compress", COMPRESS),
    key("cookies", Kind::Word(&["harden"])),
    key("cors", Kind::Object(&CORS)),
    key("eject", EJECT),
    key("exact", Kind::Flag),
    key("headers", HEADERS),
    key("host", Kind::Text),
    key("keepalive", Kind::Object(&KEEPALIVE)),
    key("limit", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
    key("max_body", Kind::Bytes),
    key("max_in_flight", Kind::Count),
    key("path", Kind::Text),
    key("queue", Kind::Count),
    key("redirect", Kind::Text),
    key("request_headers", Kind::Object(&REQUEST_HEADERS)),
    key("rewrite", Kind::Text),
    key("send_proxy", PROXY_VERSION),
    key("slow_start", Kind::Duration),
    key("strip_prefix", Kind::Flag),
    key("timeouts", Kind::Object(&TIMEOUTS)),
    key("tls", Kind::Word(&["passthrough"])),
    key("upstream_tls", Kind::Object(&UPSTREAM_TLS)),
    key("weight", Kind::Count),
    key("when", Kind::Object(&CONDITIONS)),
];

static UPSTREAM_TLS: Object = closed(&[
    CERTIFICATE,
    &[key("ca", Kind::Text), key("server_name", Kind::Text), key("verify", Kind::OptOut)],
]);

const ACCESS: Kind = Kind::Short(Short::Under("for"), &Kind::Object(&ACCESS_RULES));

static ACCESS_RULES: Object = closed(&[&[
    key("basic", Kind::Object(&BASIC)),
    key("for", Kind::Word(&["everybody"])),
    key("forward", Kind::Short(Short::Under("to"), &Kind::Object(&FORWARD))),
    key("jwt", Kind::Object(&JWT)),
    key("networks", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
    key("webhook", Kind::Object(&WEBHOOK)),
]]);

static BASIC: Object = closed(&[&[
    key("file", Kind::Text),
    key("realm", Kind::Text),
    key("users", Kind::Map(&Kind::Text, Names::Any)),
]]);

static FORWARD: Object = Object {
    parts: &[&[
        key("headers", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
        key("timeout", Kind::Duration),
        key("to", Kind::Text),
    ]],
    required: &["to"],
    extensible: false,
    nullable: false,
};

static JWT: Object = closed(&[&[
    key(
        "algorithm",
        Kind::Word(&[
            "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
            "ES384", "EdDSA",
        ]),
    ),
    key("audience", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
    key("claims", Kind::Map(&Kind::Text, Names::Any)),
    key("issuer", Kind::Text),
    key("jwks", Kind::Text),
    key("key", SECRET),
    key("leeway", Kind::Duration),
]]);

static WEBHOOK: Object = closed(&[&[
    key("github", Kind::OneOrList(&SECRET, Identity::None)),
    key("max_body", Kind::Bytes),
    key("stripe", Kind::OneOrList(&SECRET, Identity::None)),
    key("tolerance", Kind::Duration),
]]);

/// A secret, or the file that holds it.
const SECRET: Kind = Kind::Short(Short::Under("value"), &Kind::Object(&SECRET_OR_FILE));

static SECRET_OR_FILE: Object = closed(&[&[key("file", Kind::Text), key("value", Kind::Text)]]);

static KEEPALIVE: Object =
    closed(&[&[key("connections", Kind::Whole), key("idle", Kind::Duration), key("requests", Kind::Count)]]);

const EJECT: Kind = Kind::Short(Short::Switch, &Kind::Object(&EJECTION));

static EJECTION: Object =
    closed(&[&[key("after", Kind::Count), key("for", Kind::Duration), key("off", Kind::Flag)]]);

static ACCESS_LOG: Object = closed(&[&[
    key("format", Kind::Word(&["json", "combined"])),
    key("one_in", Kind::Count),
    key("redact", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
]]);

const COMPRESS: Kind = Kind::Short(Short::Switch, &Kind::Object(&COMPRESSION));

static COMPRESSION: Object = closed(&[&[
    key("codings", Kind::OneOrList(&Kind::Word(&["zstd", "br", "gzip"]), Identity::Distinct)),
    key("min_length", Kind::Bytes),
    key("off", Kind::Flag),
    key("types", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
]]);

const HEADERS: Kind = Kind::Short(Short::Under("preset"), &Kind::Object(&HEADER_RULES));

static HEADER_RULES: Object = closed(&[&[
    key("add", Kind::Map(&Kind::Scalar, Names::Any)),
    key("csp", Kind::Text),
    key("preset", Kind::Word(&["strict", "compatible"])),
    key("remove", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
    key("set", Kind::Map(&Kind::Scalar, Names::Any)),
]]);

static REQUEST_HEADERS: Object = closed(&[&[
    key("remove", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
    key("set", Kind::Map(&Kind::Scalar, Names::Any)),
]]);

static CORS: Object = Object {
    parts: &[&[
        key("credentials", Kind::Flag),
        key("expose", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
        key("headers", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
        key("max_age", Kind::Duration),
        key("methods", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
        key("origins", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
    ]],
    required: &["origins"],
    extensible: false,
    nullable: false,
};

static CONDITIONS: Object = closed(&[&[
    key("headers", Kind::Map(&Kind::Scalar, Names::Any)),
    key("methods", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
]]);

static TIMEOUTS: Object = closed(&[&[
    key("body", Kind::Duration),
    key("connect", Kind::Duration),
    key("first_byte", Kind::Duration),
    key("queue", Kind::Duration),
    key("read", Kind::Duration),
    key("request", Kind::Duration),
    key("write", Kind::Duration),
]]);

static CELERY: Object = closed(&[&[key("broker", Kind::Text), key("queues", Kind::Any)]]);

static STATIC: Object = Object {
    parts: &[&[
        key("env", Kind::OneOrList(&Kind::Text, Identity::Distinct)),
        key("keep", Kind::Whole),
        key("root", Kind::Text),
        key("spa", Kind::Flag),
    ]],
    required: &["root"],
    extensible: false,
    nullable: false,
};

static LIMIT: Object = closed(&[&[
    key("burst", Kind::Whole),
    key("connections", Kind::Count),
    key("delay", Kind::Count),
    key("key", Kind::Text),
    key("keys", Kind::Count),
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
