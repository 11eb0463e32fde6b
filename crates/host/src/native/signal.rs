//! Names of signals, as `stop_signal:` and `docker kill` take them.

use super::NativeError;
use rustix::process::Signal;

/// Names without `SIG`, with their numbers on every Linux architecture the kernel's generic table covers.
const NAMES: [(&str, Signal); 27] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("ILL", Signal::ILL),
    ("TRAP", Signal::TRAP),
    ("ABRT", Signal::ABORT),
    ("BUS", Signal::BUS),
    ("FPE", Signal::FPE),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("SEGV", Signal::SEGV),
    ("USR2", Signal::USR2),
    ("PIPE", Signal::PIPE),
    ("ALRM", Signal::ALARM),
    ("TERM", Signal::TERM),
    ("CHLD", Signal::CHILD),
    ("CONT", Signal::CONT),
    ("STOP", Signal::STOP),
    ("TSTP", Signal::TSTP),
    ("TTIN", Signal::TTIN),
    ("TTOU", Signal::TTOU),
    ("URG", Signal::URG),
    ("XCPU", Signal::XCPU),
    ("XFSZ", Signal::XFSZ),
    ("PROF", Signal::PROF),
    ("WINCH", Signal::WINCH),
    ("IO", Signal::IO),
];

/// `SIGTERM`, `term` or `15`. Real-time signals are refused: none of the programs we know of stops on one.
pub(super) fn parse(text: &str) -> Result<Signal, NativeError> {
    let upper = text.trim().to_ascii_uppercase();
    let unknown = || NativeError::Signal(text.to_owned());
    if let Ok(number) = upper.parse::<i32>() {
        return Signal::from_named_raw(number).ok_or_else(unknown);
    }
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, signal)| *signal).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_mean_the_same() {
        for text in ["SIGTERM", "term", "15", " sigterm "] {
            assert_eq!(parse(text).unwrap(), Signal::TERM);
        }
        for text in ["", "SIG", "SIGNOPE", "0", "-1", "99"] {
            assert!(matches!(parse(text), Err(NativeError::Signal(_))), "{text}");
        }
    }
}
