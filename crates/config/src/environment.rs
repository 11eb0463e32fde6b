//! The variables that files are interpolated with: the environment of the program, then `.env` files.

use crate::diagnostic::{Code, Diagnostic, Sink, Span, Texts};
use crate::dotenv::{self, Variables};
use crate::source::{ReadError, Source};
use mainstay_model::Secret;
use std::collections::BTreeMap;
use std::path::Path;

/// Variables of a load. Those the program was started with come before those of files.
pub struct Environment<'a> {
    source: &'a dyn Source,
    files: Variables,
    /// Set by the load itself: `COMPOSE_PROJECT_NAME`.
    own: Variables,
}

impl<'a> Environment<'a> {
    /// The environment of the program alone.
    pub fn new(source: &'a dyn Source) -> Self {
        Self { source, files: Variables::new(), own: Variables::new() }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<String> {
        self.own
            .get(name)
            .cloned()
            .or_else(|| self.source.variable(name))
            .or_else(|| self.files.get(name).cloned())
    }

    /// All variables.
    pub fn all(&self) -> BTreeMap<String, Secret> {
        let mut all = self.files.clone();
        all.extend(self.source.variables());
        all.extend(self.own.clone());
        all.into_iter().map(|(name, value)| (name, Secret::new(value))).collect()
    }

    /// Sets a variable above all others.
    pub fn set(&mut self, name: &str, value: &str) {
        self.own.insert(name.to_owned(), value.to_owned());
    }

    /// An environment in which `variables` come after those of this one.
    #[must_use]
    pub fn with(&self, variables: Variables) -> Self {
        let mut files = self.files.clone();
        for (name, value) in variables {
            files.entry(name).or_insert(value);
        }
        Self { source: self.source, files, own: self.own.clone() }
    }

    /// Reads environment files, later ones over earlier ones, and adds what is not known yet.
    pub fn add_files(&mut self, paths: &[std::path::PathBuf], texts: &mut Texts, sink: &mut Sink) {
        let mut variables = Variables::new();
        for path in paths {
            let lookup = |name: &str| self.get(name);
            let file = EnvFile { path, format: "", asked_at: None };
            read_file(&file, &mut variables, &lookup, self.source, texts, sink);
        }
        for (name, value) in variables {
            self.files.entry(name).or_insert(value);
        }
    }

    /// The world behind it.
    pub fn source(&self) -> &'a dyn Source {
        self.source
    }
}

/// An environment file to read.
pub struct EnvFile<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// `raw`, or the usual format.
    pub format: &'a str,
    /// The place that asks for it.
    pub asked_at: Option<Span>,
}

/// Reads one environment file. What is wrong with it is reported.
pub fn read_file(
    file: &EnvFile<'_>,
    variables: &mut Variables,
    lookup: &dyn Fn(&str) -> Option<String>,
    source: &dyn Source,
    texts: &mut Texts,
    sink: &mut Sink,
) {
    let EnvFile { path, format, asked_at } = *file;
    let text = match read_text(path, source) {
        Ok(text) => text,
        Err(ReadError::NotFound) => {
            let message = format!("the environment file {} does not exist", path.display());
            sink.push(Diagnostic::error(Code::NoEnvFile, message).at(asked_at));
            return;
        }
        Err(error) => {
            let message = format!("the environment file {} cannot be read: {error}", path.display());
            sink.push(Diagnostic::error(Code::Unreadable, message).at(asked_at));
            return;
        }
    };
    if format == "raw" {
        dotenv::parse_raw(&text, variables, lookup);
    } else if let Err(error) = dotenv::parse(&text, variables, lookup) {
        let start: usize = text.split_inclusive('\n').take(error.line() - 1).map(str::len).sum();
        let len = text[start..].lines().next().map_or(0, |l| l.trim_end().len());
        let file = texts.add(path, text, asked_at);
        let span = texts.span(file, start, len);
        sink.push(Diagnostic::error(Code::EnvFileSyntax, error.to_string()).at(span));
    }
}

/// The text of a file.
pub fn read_text(path: &Path, source: &dyn Source) -> Result<String, ReadError> {
    let bytes = source.read(path)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        ReadError::Other(format!("the byte at offset {at} is not UTF-8"))
    })
}
