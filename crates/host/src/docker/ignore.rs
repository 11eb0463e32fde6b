//! `.dockerignore`: which paths of a build context stay at home.
//!
//! Knows nothing about files; it judges paths. The rules are those of docs.docker.com/build/concepts/context,
//! ".dockerignore files": the last pattern that matches a path or a directory above it decides.

/// The patterns of one file, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// Path components; `**` stands for any number of them.
    parts: Vec<String>,
    /// `!`: what it matches is taken after all.
    keeps: bool,
}

impl Ignore {
    /// The patterns in `text`, one a line.
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { patterns: text.lines().filter_map(Pattern::parse).collect() }
    }

    /// Whether `path` (relative to the context, `/` between components) is left out.
    pub fn leaves_out(&self, path: &str) -> bool {
        let path: Vec<_> = path.split('/').collect();
        let last = self.patterns.iter().rfind(|pattern| pattern.matches_or_above(&path));
        last.is_some_and(|pattern| !pattern.keeps)
    }

    /// Whether something under the directory `path`, which itself is left out, may be taken after all.
    pub(super) fn may_keep_under(&self, path: &str) -> bool {
        let path: Vec<_> = path.split('/').collect();
        self.patterns.iter().any(|pattern| pattern.keeps && may_lead_to(&pattern.parts, &path))
    }
}

impl Pattern {
    fn parse(line: &str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let line = line.trim();
        let (keeps, line) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        let mut parts: Vec<String> = Vec::new();
        for part in line.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part.to_owned()),
            }
        }
        (!parts.is_empty()).then_some(Self { parts, keeps })
    }

    fn matches_or_above(&self, path: &[&str]) -> bool {
        (1..=path.len()).any(|length| path.get(..length).is_some_and(|above| parts_match(&self.parts, above)))
    }
}

fn parts_match(pattern: &[String], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((any, rest)), _) if any == "**" => {
            // At the end it matches what is inside a directory, at the start and between also nothing.
            if rest.is_empty() {
                return !path.is_empty();
            }
            (0..=path.len()).any(|skipped| path.get(skipped..).is_some_and(|tail| parts_match(rest, tail)))
        }
        (Some(_), None) => false,
        (Some((part, rest)), Some((name, tail))) => name_matches(part, name) && parts_match(rest, tail),
    }
}

/// Whether something below `directory` could match.
fn may_lead_to(pattern: &[String], directory: &[&str]) -> bool {
    match (pattern.split_first(), directory.split_first()) {
        (None, _) => true,
        (Some((any, _)), _) if any == "**" => true,
        (Some(_), None) => true,
        (Some((part, rest)), Some((name, tail))) => name_matches(part, name) && may_lead_to(rest, tail),
    }
}

/// Go's `filepath.Match` within one component: `*`, `?`, `[a-z]`, `[^a]`, and `\` before a character taken as it is.
fn name_matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    glob(&pattern, &name)
}

fn glob(pattern: &[char], name: &[char]) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return name.is_empty() };
    match first {
        '*' => (0..=name.len()).any(|taken| name.get(taken..).is_some_and(|tail| glob(rest, tail))),
        '?' => name.split_first().is_some_and(|(_, tail)| glob(rest, tail)),
        '[' => {
            let (Some(end), Some((one, tail))) = (class_end(rest), name.split_first()) else { return false };
            let (class, after) = rest.split_at(end);
            in_class(class, *one) && glob(after.get(1..).unwrap_or_default(), tail)
        }
        '\\' => match (rest.split_first(), name.split_first()) {
            (Some((escaped, rest)), Some((one, tail))) => escaped == one && glob(rest, tail),
            _ => false,
        },
        plain => name.split_first().is_some_and(|(one, tail)| one == plain && glob(rest, tail)),
    }
}

/// Where the `]` is that closes a class; one at its very start is a member.
fn class_end(rest: &[char]) -> Option<usize> {
    let start = usize::from(rest.first() == Some(&'^')) + 1;
    rest.iter().skip(start).position(|c| *c == ']').map(|at| at + start)
}

fn in_class(class: &[char], one: char) -> bool {
    let (negated, mut class) = match class.split_first() {
        Some(('^', rest)) => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    while let Some((low, rest)) = class.split_first() {
        let range = if let ['-', high, ..] = rest { Some(*high) } else { None };
        found |= (*low..=range.unwrap_or(*low)).contains(&one);
        class = rest.get(if range.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(text: &str, paths: &[&str]) -> Vec<String> {
        let ignore = Ignore::parse(text);
        paths.iter().filter(|path| ignore.leaves_out(path)).map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn the_examples_of_the_documentation() {
        let paths =
            ["temp1", "a/temp1", "a/b/temp1", "tempa", "x.md", "README.md", "README-secret.md", "a/x.go"];
        assert_eq!(left_out("# comment\n*/temp*", &paths), ["a/temp1"]);
        assert_eq!(left_out("*/*/temp*", &paths), ["a/b/temp1"]);
        assert_eq!(left_out("temp?", &paths), ["temp1", "tempa"]);
        assert_eq!(left_out("**/*.go", &paths), ["a/x.go"]);
        assert_eq!(left_out("*.md\n!README.md", &paths), ["x.md", "README-secret.md"]);
        assert_eq!(left_out("*.md\n!README*.md\nREADME-secret.md", &paths), ["x.md", "README-secret.md"]);
        assert_eq!(left_out("*.md\nREADME-secret.md\n!README*.md", &paths), ["x.md"]);
    }

    #[test]
    fn what_is_inside_a_matched_directory_goes_with_it() {
        let paths = ["node_modules", "node_modules/a/b.js", "src/node_modules/c", "keep"];
        assert_eq!(left_out("/node_modules/", &paths), ["node_modules", "node_modules/a/b.js"]);
        assert_eq!(left_out("**/node_modules", &paths), &paths[..3]);
        assert_eq!(left_out("node_modules/**", &paths), ["node_modules/a/b.js"]);
        assert_eq!(left_out("node_modules\n!node_modules/a", &paths), ["node_modules"]);
    }

    #[test]
    fn a_directory_is_entered_only_where_something_in_it_may_be_kept() {
        let ignore = Ignore::parse("*\n!src/*/keep");
        assert!(ignore.may_keep_under("src") && ignore.may_keep_under("src/a"));
        assert!(!ignore.may_keep_under("target"));
        assert!(Ignore::parse("*\n!**/keep").may_keep_under("anything"));
    }

    #[test]
    fn classes_and_escapes() {
        assert!(name_matches("[a-c]x", "bx") && !name_matches("[a-c]x", "dx"));
        assert!(name_matches("[^a-c]x", "dx") && name_matches(r"\*", "*") && !name_matches(r"\*", "a"));
        assert!(!name_matches("[a", "a"));
    }
}
