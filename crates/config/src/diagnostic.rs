//! What is wrong with a file, where, and what to do about it.
//!
//! Knows nothing about rendering: the program draws these with the source text kept in [`Texts`].

use crate::advice;
use crate::node::Node;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The stack cannot be used.
    Error,
    /// The stack can be used; something in it has no effect or is a likely mistake.
    Warning,
}

/// Which file of a load; an index into [`Texts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FileId(pub u32);

/// A stretch of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// Byte offset of the first byte.
    pub start: usize,
    /// Length in bytes; 0 points between two bytes.
    pub len: usize,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
}

/// An additional remark, with a place of its own where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The remark.
    pub message: String,
    /// Its place.
    pub span: Option<Span>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What kind of finding; opens `docs/errors/<CODE>.md`.
    pub code: Code,
    /// One sentence without a full stop.
    pub message: String,
    /// The place to underline.
    pub span: Option<Span>,
    /// Where in the document: `services.api.ports[0]`; empty when the finding is about no key.
    pub path: String,
    /// Other paths that these words stand at, by an anchor or an `extends`.
    pub also: Vec<String>,
    /// Remarks: other places involved, where an overridden value came from.
    pub notes: Vec<Note>,
    /// A way out.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            severity: Severity::Error,
            code,
            message,
            span: None,
            path: String::new(),
            also: vec![],
            notes: vec![],
            help: None,
        }
    }

    /// A warning.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Sets the place.
    #[must_use]
    pub fn at(mut self, span: impl Into<Option<Span>>) -> Self {
        self.span = span.into();
        self
    }

    /// Sets the place to that of a value, and tells which value it replaced.
    #[must_use]
    pub fn about(mut self, node: &Node) -> Self {
        self.span = Some(node.span);
        match node.replaced {
            Some(replaced) => self.note("it replaces what an earlier file says here", replaced),
            None => self,
        }
    }

    /// Sets the path in the document.
    #[must_use]
    pub fn path(mut self, path: impl ToString) -> Self {
        self.path = path.to_string();
        self
    }

    /// Adds a remark.
    #[must_use]
    pub fn note(mut self, message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        self.notes.push(Note { message: message.into(), span: span.into() });
        self
    }

    /// Whether the other one is about the same words, wherever these stand.
    fn says_the_same_as(&self, other: &Self) -> bool {
        let alike = |d: &Self| (d.severity, d.code, d.span, d.path.is_empty());
        alike(self) == alike(other)
            && (self.span.is_some() || self.path == other.path)
            && (&self.message, &self.notes, &self.help) == (&other.message, &other.notes, &other.help)
    }

    /// Sets the way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Collects findings. A load goes on after an error, so that one run shows all of them.
#[derive(Debug, Default)]
pub struct Sink {
    found: Vec<Diagnostic>,
    errors: usize,
    has_gap: bool,
}

impl Sink {
    /// Most findings kept. A generated file with a mistake in each of its thousands of services is no reason to
    /// print thousands of errors.
    pub const MOST: usize = 200;

    /// Adds a finding. One about words that another path was already found to share is that one once more.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let is_error = diagnostic.severity == Severity::Error;
        self.errors += usize::from(is_error);
        self.has_gap |= is_error && diagnostic.code.leaves_gap();
        let count = self.found.len();
        match self.found.iter_mut().find(|known| known.says_the_same_as(&diagnostic)) {
            Some(known) if known.path == diagnostic.path || known.also.contains(&diagnostic.path) => {}
            Some(known) => known.also.push(diagnostic.path),
            None if count < Self::MOST => self.found.push(diagnostic),
            None => {}
        }
    }

    /// Errors so far, those that were dropped included.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Whether part of the files is not there to be looked at, so that what refers to it must not be judged.
    pub fn has_gap(&self) -> bool {
        self.has_gap
    }

    /// All findings, in the order of the files and the places in them; those without a place first.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|d| d.span);
        for finding in self.found.iter_mut().filter(|f| f.severity == Severity::Error && f.help.is_none()) {
            finding.help = Some(advice::on(finding.code).to_owned());
        }
        self.found
    }
}

/// The text of one file that was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// Its absolute path.
    pub path: PathBuf,
    /// What it held.
    pub text: String,
    /// The place in another file that had it read: an `include`, `extends` or `env_file`.
    pub asked_at: Option<Span>,
}

impl fmt::Debug for Text {
    /// Without the text: stack files and environment files may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").field("path", &self.path).field("bytes", &self.text.len()).finish()
    }
}

/// The texts of all files of a load, for showing source lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts(Vec<Text>);

impl Texts {
    /// Keeps a text and gives it an id. `asked_at` is the place that had it read.
    pub fn add(&mut self, path: &Path, text: String, asked_at: Option<Span>) -> FileId {
        let id = FileId(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        self.0.push(Text { path: path.to_path_buf(), text, asked_at });
        id
    }

    /// Adds to findings in files that others had read by whom that was.
    pub fn tell_origins(&self, findings: &mut [Diagnostic]) {
        for finding in findings {
            let mut place = finding.span;
            // A file cannot be asked for by itself, but a chain of them may be long.
            for _ in 0..8 {
                let asked_at = place.and_then(|span| self.get(span.file)).and_then(|text| text.asked_at);
                let Some(span) = asked_at else { break };
                finding
                    .notes
                    .push(Note { message: "that file is read because of this".to_owned(), span: asked_at });
                place = Some(span);
            }
        }
    }

    /// The text of a file.
    pub fn get(&self, file: FileId) -> Option<&Text> {
        self.0.get(file.0 as usize)
    }

    /// All of them, in order of reading.
    pub fn iter(&self) -> impl Iterator<Item = &Text> {
        self.0.iter()
    }

    /// What a span covers.
    pub fn slice(&self, span: Span) -> Option<&str> {
        self.get(span.file)?.text.get(span.start..span.start.checked_add(span.len)?)
    }

    /// The span of `len` bytes at byte `start` of a file.
    pub fn span(&self, file: FileId, start: usize, len: usize) -> Option<Span> {
        let before = self.get(file)?.text.get(..start)?;
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Some(Span { file, start, len, line: narrow(line), column: narrow(column) })
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $id:literal,)*) => {
        /// Kinds of findings, each with a code that stays the same from version to version.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[allow(missing_docs)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $id)] $name,)* }

        impl Code {
            /// Every code, for the documentation and its test.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// Whether an error of this kind leaves part of the files out: unreadable text, missing files and bases.
            fn leaves_gap(self) -> bool {
                ["C00", "C01", "C03"].iter().any(|group| self.id().starts_with(group))
            }

            /// The code as printed: `C0401`.
            pub fn id(self) -> &'static str {
                match self { $(Code::$name => $id,)* }
            }
        }
    };
}

codes! {
    /// No stack file was given or found.
    NoFile = "C0001",
    /// A file cannot be read.
    Unreadable = "C0002",
    /// Several files of default names lie side by side; one was chosen.
    SeveralFiles = "C0003",
    /// An environment file is not there.
    NoEnvFile = "C0004",
    /// An environment file cannot be parsed.
    EnvFileSyntax = "C0005",
    /// The name of the stack is missing or breaks its rule.
    StackName = "C0006",
    /// Not YAML.
    Syntax = "C0101",
    /// A key stands twice in one mapping.
    DuplicateKey = "C0102",
    /// An alias without an anchor before it.
    UnknownAlias = "C0103",
    /// The document is larger or deeper than any real stack, often by aliases of aliases.
    TooLarge = "C0104",
    /// A key that is no text.
    KeyNotText = "C0105",
    /// `<<` with something that is not a mapping.
    BadMerge = "C0106",
    /// A tag or value that YAML has and Compose does not.
    BadValue = "C0107",
    /// `${…}` that cannot be understood.
    BadTemplate = "C0201",
    /// `${VAR:?…}` without a value.
    RequiredVariable = "C0202",
    /// A variable that is not set.
    UnsetVariable = "C0203",
    /// Two files give one key shapes that cannot be merged.
    CannotMerge = "C0301",
    /// `extends` leads nowhere or in a circle.
    Extends = "C0302",
    /// `include` leads nowhere or in a circle.
    Include = "C0303",
    /// A key that nobody knows.
    UnknownKey = "C0401",
    /// A value of the wrong type.
    WrongType = "C0402",
    /// A value of the right type that cannot be.
    InvalidValue = "C0403",
    /// A key that has to be there.
    MissingKey = "C0404",
    /// A key that has no effect here.
    NoEffect = "C0405",
    /// A key whose effect Mainstay cannot give.
    NotSupported = "C0406",
    /// A key of Mainstay that a later version will put in force.
    NotYet = "C0407",
    /// An obsolete way to write something.
    Obsolete = "C0408",
    /// A key that only containers can have, on a native service.
    ContainerOnly = "C0409",
    /// A connection to something whose certificate nobody checks.
    Unverified = "C0410",
    /// A port or port mapping that cannot be parsed.
    BadPort = "C0501",
    /// A mount that cannot be parsed.
    BadMount = "C0502",
    /// A command line whose quotes do not match.
    BadCommand = "C0503",
    /// A dependency that is no service.
    UnknownDependency = "C0601",
    /// Services that wait for each other.
    Cycle = "C0602",
    /// A network that is not declared.
    UnknownNetwork = "C0603",
    /// A volume that is not declared.
    UnknownVolume = "C0604",
    /// A secret or config that is not declared.
    UnknownFile = "C0605",
    /// Two services with one container name, or one name for several copies.
    ContainerName = "C0606",
    /// Two services that publish one port.
    PortTwice = "C0607",
    /// Two services with one route.
    RouteTwice = "C0608",
    /// A route to a service without a port.
    RouteWithoutPort = "C0609",
    /// Two mounts on one path.
    MountTwice = "C0610",
    /// Two settings that exclude each other.
    Conflict = "C0611",
    /// A service with nothing to run.
    NothingToRun = "C0612",
    /// A service named by the user that is not there.
    NoService = "C0613",
    /// A route names a limit that is not declared.
    UnknownLimit = "C0614",
    /// A model that is not declared.
    UnknownModel = "C0615",
}
