//! What keys a stack file has, what each may hold, how two files' values merge, and what Mainstay does with it.
//!
//! One table drives checking (`check`), merging (`merge`) and printing (`print`). It says nothing about what
//! values mean together; that is `resolve` and `cross`.

mod build;
mod container;
mod deploy;
mod mainstay;
mod service;
mod top;

pub use mainstay::{MAINSTAY_SERVICE, MAINSTAY_TOP};
pub use service::{JOB, PRE_START, SERVICE};
pub use top::{NETWORK, TOP, VOLUME};

/// What a value may be.
#[derive(Debug)]
pub enum Kind {
    /// Text; a number is refused.
    Text,
    /// Text, one of these.
    Word(&'static [&'static str]),
    /// Text or a number, kept as text.
    Loose,
    /// Any scalar, kept as text.
    Scalar,
    /// `true` or `false`, also as text. `false` is what an absent key means.
    Flag,
    /// `true` or `false`, also as text, where an absent key means something else than `false`.
    Choice,
    /// Like `Choice`, where an absent key means `true`.
    OptOut,
    /// A whole number, also as text. 0 is what an absent key means.
    Whole,
    /// A whole number, also as text, where an absent key means something else than 0.
    Count,
    /// A number, also as text.
    Real,
    /// A whole number within these bounds, also as text. 0 is what an absent key means.
    Between(i64, i64),
    /// A number, not as text, whose fraction does not count.
    Number,
    /// A number, also as text, whose fraction does not count. 0 is what an absent key means.
    WholeOrFraction,
    /// Like `Loose`, where nothing is empty text.
    LooseOrNull,
    /// A whole number, not as text.
    Integer,
    /// `true` or `false`, not as text.
    Switch,
    /// Text, or `true` or `false`, kept as text.
    TextOrFlag,
    /// Text, or a list of texts; kept as it is written until it is printed.
    TextOrList,
    /// A duration, where an absent key means none.
    Pause,
    /// Like `Bytes`, where a number with a fraction is possible and means nothing.
    BytesOrFraction,
    /// A number of devices, or `all`.
    Devices,
    /// A size in bytes, as text such as `512m`.
    Size,
    /// A size in bytes, as text or as a number.
    Bytes,
    /// A duration, as text such as `1m30s`.
    Duration,
    /// Permission bits: text holds octal digits.
    Mode,
    /// A command line or argv; merged by replacement.
    Command,
    /// `healthcheck.test`; merged by replacement.
    Test,
    /// `list_or_dict`: a mapping of scalars, or a list of `key=value`.
    Dict(Unvalued),
    /// `extra_hosts`: host names to addresses.
    Hosts,
    /// A list of items, those with equal identities merged to the last.
    List(&'static Kind, Identity),
    /// A list, or one item of it.
    OneOrList(&'static Kind, Identity),
    /// A mapping from names the file chooses.
    Map(&'static Kind, Names),
    /// A mapping with known keys.
    Object(&'static Object),
    /// A mapping that Compose prints with capital letters.
    Capital(&'static Object),
    /// `build.ssh`: agent sockets by name.
    Ssh,
    /// A mapping that Compose prints even when it is absent.
    Embedded(&'static Object),
    /// A mapping whose value under this key tells variants apart: another variant replaces instead of merging.
    Variant(&'static str, &'static Object),
    /// A short form, turned into the long one.
    Short(Short, &'static Kind),
    /// Anything.
    Any,
}

/// What a key of a `list_or_dict` without a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unvalued {
    /// Taken from the environment, else absent in the instance.
    Inherited,
    /// Empty text.
    Empty,
    /// An error: `key=value` is required in lists.
    Refused,
}

/// When two items of a list are one (Compose Specification, "Merge": unique resources).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// Every item counts.
    None,
    /// Equal items are one.
    Whole,
    /// Items that agree up to `=` are one.
    BeforeEquals,
    /// Equal items are a mistake (JSON Schema's `uniqueItems`).
    Distinct,
    /// Mounts and devices: by `target`.
    Target,
    /// Secrets and configs: by `target`, else by `source` below this directory.
    GrantTarget(&'static str),
    /// Ports: by address, published and target port, and protocol.
    Port,
    /// `env_file`: by `path`.
    Path,
    /// Address pools: by subnet, in Compose's own way.
    Pool,
}

/// What names a mapping may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Any.
    Any,
    /// `[a-zA-Z0-9._-]+`.
    Resource,
}

/// Short forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// `build: ./dir`.
    BuildContext,
    /// `"8080:80/tcp"`; one text may stand for several ports.
    Port,
    /// `"./data:/data:ro"`.
    Mount,
    /// `env_file: file`.
    EnvFile,
    /// `networks: [a, b]`.
    Names,
    /// `depends_on: [a, b]`.
    Dependencies,
    /// `secrets: [a]`.
    Grant,
    /// `"/dev/a:/dev/b:rwm"`.
    Device,
    /// `gpus: all`.
    Gpus,
    /// `extends: other`.
    Extends,
    /// `include: [file]`.
    Include,
    /// `external: true`, or the old `external: { name: … }`.
    External,
    /// `nofile: 1024`.
    Ulimit,
    /// Text for a mapping with this one key.
    Under(&'static str),
    /// `true` and `false` for a mapping: the empty one, or one with `off`.
    Switch,
    /// `schedule: ["0 * * * *"]`.
    Schedule,
    /// `tls: internal`.
    Tls,
}

/// A mapping with known keys.
#[derive(Debug)]
pub struct Object {
    /// Its keys, in parts that other mappings have too.
    pub parts: &'static [&'static [Key]],
    /// Those that have to be there.
    pub required: &'static [&'static str],
    /// Whether `x-` keys may be added.
    pub extensible: bool,
    /// Whether null stands for the empty mapping.
    pub nullable: bool,
}

/// One known key.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// What Mainstay does with it.
    pub standing: Standing,
    /// What it means on a native service.
    pub native: Native,
}

/// What Mainstay does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does what the Compose Specification says.
    Works,
    /// Nothing, and no service behaves differently for it; the text says why.
    Inert(&'static str),
    /// It is refused, because services would behave differently without it; the text says what to do.
    Refused(&'static str),
    /// A key of Mainstay's own that is checked but not in force yet.
    Later,
}

/// What a key means on a native service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Native {
    /// The same as on a container.
    Same,
    /// Nothing.
    Ignored,
    /// Something a process of the host cannot have, and that its author relies on.
    Refused,
}

impl Object {
    /// Its keys, in the order in which Compose writes them.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> + Clone + use<> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|k| k.name == name)
    }
}

impl Kind {
    /// The object behind a kind, through its short form.
    pub fn object(&self) -> Option<&'static Object> {
        match self {
            Kind::Object(object)
            | Kind::Embedded(object)
            | Kind::Capital(object)
            | Kind::Variant(_, object) => Some(object),
            Kind::Short(_, kind) => kind.object(),
            _ => None,
        }
    }

    /// Whether null is a value of its own here.
    pub fn nullable(&self) -> bool {
        match self {
            Kind::Any | Kind::Command | Kind::LooseOrNull => true,
            Kind::Object(object) => object.nullable,
            Kind::Short(_, kind) => kind.nullable(),
            _ => false,
        }
    }
}

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, standing: Standing::Works, native: Native::Same }
}

const fn inert(name: &'static str, kind: Kind, why: &'static str) -> Key {
    Key { name, kind, standing: Standing::Inert(why), native: Native::Ignored }
}

const fn refused(name: &'static str, kind: Kind, instead: &'static str) -> Key {
    Key { name, kind, standing: Standing::Refused(instead), native: Native::Refused }
}

const fn later(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, standing: Standing::Later, native: Native::Same }
}

/// A key that a native service may carry without any effect.
const fn box_only(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, standing: Standing::Works, native: Native::Ignored }
}

/// A key that a native service must not carry.
const fn container(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, standing: Standing::Works, native: Native::Refused }
}

const fn object(parts: &'static [&'static [Key]]) -> Object {
    Object { parts, required: &[], extensible: true, nullable: false }
}

const TEXTS: Kind = Kind::List(&Kind::Text, Identity::Distinct);
const ONE_OR_TEXTS: Kind = Kind::OneOrList(&Kind::Text, Identity::Distinct);
const LABELS: Kind = Kind::Dict(Unvalued::Empty);
const OPTIONS: Kind = Kind::Map(&Kind::Loose, Names::Any);
const ULIMITS: Kind = Kind::Map(&Kind::Short(Short::Ulimit, &Kind::Object(&ULIMIT)), Names::Any);
static ULIMIT: Object = Object {
    parts: &[&[key("soft", Kind::Whole), key("hard", Kind::Whole)]],
    required: &["soft", "hard"],
    extensible: true,
    nullable: false,
};
/// A secret or config given to a service or a build.
const GRANT: Kind = Kind::Short(Short::Grant, &Kind::Object(&GRANT_KEYS));
static GRANT_KEYS: Object = object(&[&[
    key("source", Kind::Text),
    key("target", Kind::Text),
    key("uid", Kind::Text),
    key("gid", Kind::Text),
    key("mode", Kind::Mode),
]]);
