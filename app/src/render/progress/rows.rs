//! The rows of the live region: one for each instance, image or build that something happens to.

use crate::render::live::{bar, fit, spinner};
use crate::render::style::{self, paint};
use crate::render::words::{self, tame};
use crate::terminal::Terminal;
use mainstay_api::{Progress, StepState};
use std::collections::BTreeMap;
use std::time::Instant;

/// Characters of a bar.
const BAR: usize = 24;

/// What the live region shows.
#[derive(Debug, Default)]
pub struct Rows {
    rows: BTreeMap<Key, Row>,
    waiting: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Pull(String),
    Build(String),
    Subject(String),
}

#[derive(Debug)]
struct Row {
    name: String,
    text: String,
    state: StepState,
    begun: Instant,
    ended: Option<Instant>,
    /// What it shows came from the instance itself, after the step that the end of a step is about.
    of_instance: bool,
    /// Bytes of each layer, done and whole.
    layers: BTreeMap<String, (u64, u64)>,
}

impl Row {
    fn new(name: String) -> Self {
        let (text, layers) = (String::new(), BTreeMap::new());
        let (state, begun) = (StepState::Running, Instant::now());
        Self { name, text, state, begun, ended: None, of_instance: false, layers }
    }

    fn set(&mut self, state: StepState, text: String) {
        self.state = state;
        self.text = text;
        self.ended = (state != StepState::Running).then(Instant::now);
    }
}

impl Rows {
    /// Takes one line of progress in.
    pub fn take(&mut self, line: &Progress) {
        match line {
            Progress::Pull { image, layer, status, current, total, .. } => {
                let row = self.row(Key::Pull(image.clone()), format!("pull {image}"));
                if !layer.is_empty() && *total > 0 {
                    row.layers.insert(layer.clone(), (*current, *total));
                }
                let complete =
                    layer.is_empty() && (status.contains("omplete") || status.contains("up to date"));
                row.set(if complete { StepState::Done } else { StepState::Running }, tame(status));
            }
            Progress::Build { service, step, state, line } => {
                let row = self.row(Key::Build(service.to_string()), format!("build {service}"));
                let text = line
                    .as_ref()
                    .map_or_else(|| tame(step), |line| format!("{} · {}", tame(step), tame(line)));
                let state = if *state == StepState::Failed { *state } else { StepState::Running };
                row.set(state, text);
            }
            Progress::Step { name, subject, why, state } => {
                let row = self.row(Key::Subject(subject.clone()), subject.clone());
                // The end of a step repeats neither its name nor its reason, and says less than the instance does.
                if name.is_empty() && row.of_instance && *state == StepState::Done {
                    return;
                }
                let text = if name.is_empty() { row.text.clone() } else { format!("{name}: {}", tame(why)) };
                row.of_instance = false;
                row.set(*state, text);
            }
            Progress::Instance { instance, state, .. } => {
                let row = self.row(Key::Subject(instance.to_string()), instance.to_string());
                row.of_instance = true;
                let settled = matches!(state.as_str(), "ready" | "exited (0)");
                let state_of = if settled { StepState::Done } else { StepState::Running };
                row.set(state_of, tame(state));
            }
            Progress::Waiting { services } => {
                self.waiting = services.iter().map(|(name, why)| (name.to_string(), tame(why))).collect();
            }
            // Builds and pulls are over when the steps begin.
            Progress::Plan { .. } | Progress::Switched { .. } => self.end_fetching(),
            Progress::Queued { behind } => {
                self.waiting = vec![("queue".into(), format!("for the deploy of release {behind} to end"))];
            }
            Progress::Job { .. } | Progress::Note { .. } | Progress::Done { .. } => {}
        }
    }

    fn row(&mut self, key: Key, name: String) -> &mut Row {
        self.rows.entry(key).or_insert_with(|| Row::new(name))
    }

    fn end_fetching(&mut self) {
        for (key, row) in &mut self.rows {
            if !matches!(key, Key::Subject(_)) && row.state == StepState::Running {
                row.set(StepState::Done, String::new());
            }
        }
    }

    /// The region's lines: what is under way last, next to the cursor.
    pub fn lines(&self, tick: usize) -> Vec<String> {
        let width = usize::from(Terminal::size().1);
        let name = self.rows.values().map(|r| r.name.chars().count()).max().unwrap_or(0).min(40);
        let (running, ended): (Vec<&Row>, Vec<&Row>) =
            self.rows.values().partition(|r| r.state == StepState::Running);
        let mut lines: Vec<String> = ended.into_iter().map(|r| line(r, tick, name, width)).collect();
        // The newest of what has ended is enough: the rest is told at the end.
        let most = usize::from(Terminal::size().0).saturating_sub(running.len() + 4).max(3);
        let hidden = lines.len().saturating_sub(most);
        lines.drain(..hidden);
        lines.extend(running.into_iter().map(|r| line(r, tick, name, width)));
        for (service, why) in &self.waiting {
            let text = format!("  · {service:name$}  waits {why}");
            lines.push(paint(style::DIM, fit(&text, width.saturating_sub(1))));
        }
        lines
    }

    /// All rows, for the end.
    pub fn settled(&self) -> Vec<String> {
        let name = self.rows.values().map(|r| r.name.chars().count()).max().unwrap_or(0).min(40);
        let width = usize::from(Terminal::size().1);
        self.rows
            .values()
            .filter(|r| r.state != StepState::Running)
            .map(|r| line(r, 0, name, width))
            .collect()
    }
}

fn line(row: &Row, tick: usize, name: usize, width: usize) -> String {
    let (sign, look) = match row.state {
        StepState::Running => (spinner(tick), style::BUSY),
        StepState::Done => ("✓", style::GOOD),
        StepState::Cached => ("=", style::DIM),
        StepState::Failed => ("✗", style::BAD),
    };
    let took = words::duration(row.ended.unwrap_or_else(Instant::now).duration_since(row.begun));
    let (done, whole) = row.layers.values().fold((0, 0), |(d, w), (a, b)| (d + a, w + b));
    let amount = match whole {
        0 => String::new(),
        _ if row.state != StepState::Running => format!("{} ", words::bytes(whole)),
        _ => format!("{} {} of {} ", bar(done, whole, BAR), words::bytes(done), words::bytes(whole)),
    };
    let room = width.saturating_sub(name + took.len() + amount.chars().count() + 8);
    let text = fit(&row.text, room);
    let title = fit(&row.name, 40);
    format!("  {} {title:name$}  {amount}{} {}", paint(look, sign), text, paint(style::DIM, took))
}
