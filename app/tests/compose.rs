//! Every command and every flag of Docker Compose, asked of Compose's own binary, is one of ours, or stands in
//! `docs/compose-commands.md` with what to use instead.
#![allow(clippy::unwrap_used, reason = "clippy's own exception for tests does not reach what they call")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

/// The page that lists what is refused.
const PAGE: &str = include_str!("../../docs/compose-commands.md");

/// A flag as Compose's help shows it.
#[derive(Debug)]
struct Flag {
    long: String,
    short: Option<char>,
    /// The kind of its value; none for a switch.
    value: Option<String>,
}

impl Flag {
    /// Such as `  -f, --file stringArray   Compose configuration files`.
    fn read(line: &str) -> Option<Self> {
        // Deeper stand descriptions, which may begin a line with a flag.
        const DEEPEST: usize = 6;
        if line.len() - line.trim_start().len() > DEEPEST {
            return None;
        }
        let (short, rest) = match line.trim_start().strip_prefix('-')? {
            rest if rest.starts_with('-') => (None, rest),
            rest => (rest.chars().next(), rest.split_once(", -")?.1),
        };
        let rest = rest.strip_prefix('-')?;
        let typed = rest.split_once("  ").map_or(rest, |(typed, _)| typed);
        let (long, value) = match typed.split_once(' ') {
            Some((long, value)) => (long, Some(value.to_owned())),
            None => (typed, None),
        };
        Some(Self { long: long.to_owned(), short, value })
    }

    /// Something that may stand for its value.
    fn example(&self) -> Option<&'static str> {
        self.value.as_deref().map(|kind| if kind == "int" { "1" } else { "x" })
    }
}

fn oracle(words: &[&str]) -> String {
    let program = std::env::var("MAINSTAY_TEST_COMPOSE").unwrap_or_else(|_| "docker-compose".into());
    let help = Command::new(program).args(words).arg("--help").output().unwrap();
    assert!(help.status.success(), "{words:?}");
    String::from_utf8(help.stdout).unwrap()
}

fn ours(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mainstay")).args(words).output().unwrap()
}

fn flags(help: &str) -> Vec<Flag> {
    let of_options = help.lines().skip_while(|line| *line != "Options:").skip(1);
    of_options.take_while(|line| !line.ends_with("ommands:")).filter_map(Flag::read).collect()
}

fn commands(help: &str) -> BTreeSet<String> {
    let listed = help.lines().skip_while(|line| !line.ends_with("ommands:"));
    let words =
        listed.filter(|line| line.starts_with("  ")).filter_map(|line| line.split_whitespace().next());
    words.map(str::to_owned).collect()
}

/// Rows of the table under `## Refused`: command and flag; a command that is refused as a whole has no flag.
fn refused() -> BTreeMap<(String, String), String> {
    let rows = PAGE.lines().skip_while(|line| *line != "## Refused").skip(1);
    let rows = rows.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")));
    cells
        .map(|mut cells| {
            let mut next = || cells.next().unwrap();
            ((next(), next()), next())
        })
        .collect()
}

/// What stands against our taking `flag` after `before`, by the words of our own command line: `--help` after a flag is
/// answered only when everything before it was understood.
fn objection(before: &[&str], flag: &Flag, after: &[&str]) -> Option<String> {
    let long = format!("--{}", flag.long);
    let mut ways = vec![flag.example().map_or(long.clone(), |value| format!("{long}={value}"))];
    ways.extend(flag.short.map(|short| format!("-{short}{}", flag.example().unwrap_or_default())));
    ways.into_iter().find_map(|way| {
        let words = [before, &[way.as_str()], after, &["--help"]].concat();
        let output = ours(&words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // A value that is none of those wanted shows that one is wanted.
        let understood = output.status.success() || (flag.value.is_some() && said.contains("invalid value"));
        (!understood)
            .then(|| format!("mainstay {}: {}", words.join(" "), said.lines().next().unwrap_or_default()))
    })
}

#[test]
fn every_command_and_flag_of_compose_is_one_of_ours_or_documented() {
    let refused = refused();
    let mut objections = Vec::new();
    let whole = oracle(&[]);
    for flag in flags(&whole) {
        objections.extend(objection(&[], &flag, &["up"]));
    }
    for command in commands(&whole) {
        if refused.contains_key(&(command.clone(), String::new())) {
            continue;
        }
        for flag in flags(&oracle(&[&command])) {
            objections.extend(objection(&[&command], &flag, &[]));
        }
    }
    assert!(objections.is_empty(), "{} flags:\n{}", objections.len(), objections.join("\n"));
}

#[test]
fn what_is_refused_is_refused_with_what_to_use_instead() {
    let whole = oracle(&[]);
    for ((command, flag), instead) in refused() {
        assert!(!instead.is_empty(), "{command} {flag}: no way is named");
        assert!(commands(&whole).contains(&command), "Compose has no `{command}`: the line is stale");
        let mut words = vec![command.clone()];
        if !flag.is_empty() {
            let of_command = flags(&oracle(&[&command]));
            let there = of_command.iter().find(|f| format!("--{}", f.long) == flag);
            let there =
                there.unwrap_or_else(|| panic!("Compose has no `{command} {flag}`: the line is stale"));
            words.push(there.example().map_or(flag.clone(), |value| format!("{flag}={value}")));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = ours(&words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "mainstay {}: {said}", words.join(" "));
        assert!(said.contains(words[0]) && said.contains('`'), "mainstay {}: {said}", words.join(" "));
    }
}

#[test]
fn help_is_read_as_it_is_written() {
    let flag =
        Flag::read("  -m, --memory bytes            Set memory limit for the build container.").unwrap();
    assert_eq!((flag.long.as_str(), flag.short, flag.value.as_deref()), ("memory", Some('m'), Some("bytes")));
    let flag = Flag::read("      --abort-on-container-failure   Stops all").unwrap();
    assert_eq!((flag.long.as_str(), flag.short, flag.value), ("abort-on-container-failure", None, None));
    assert!(Flag::read("                                 --attach-dependencies.").is_none());
    assert!(flags(&oracle(&["up"])).len() > 25 && commands(&oracle(&[])).len() > 25);
}
