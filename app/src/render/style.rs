//! The few colours in use. They mean the same everywhere; `anstream` takes them off where nobody sees them.

use anstyle::{AnsiColor, Color, Style};

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

/// Works, done.
pub const GOOD: Style = colour(AnsiColor::Green);
/// Under way, worth a look.
pub const BUSY: Style = colour(AnsiColor::Yellow);
/// Failed.
pub const BAD: Style = colour(AnsiColor::Red).bold();
/// Less important.
pub const DIM: Style = Style::new().dimmed();
/// A title.
pub const BOLD: Style = Style::new().bold();
/// A way out, a link.
pub const HINT: Style = colour(AnsiColor::Cyan);

/// Colours of services in logs: none of them means anything else here.
const SERVICES: [Style; 6] = [
    colour(AnsiColor::Cyan),
    colour(AnsiColor::Magenta),
    colour(AnsiColor::Blue),
    colour(AnsiColor::BrightGreen),
    colour(AnsiColor::BrightYellow),
    colour(AnsiColor::BrightBlue),
];

/// The colour of a service: always the same one, whatever else is shown.
pub fn of_service(name: &str) -> Style {
    // FNV-1a: spreads short names well, and needs no table.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let index = usize::try_from(hash).unwrap_or(0) % SERVICES.len();
    SERVICES[index]
}

/// `text` in a style.
pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}
