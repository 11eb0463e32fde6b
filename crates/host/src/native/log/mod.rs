//! What a native instance prints, kept as Docker's `json-file` driver keeps it: one JSON object a line, in `log`, with
//! older files `log.1`, `log.2` and so on.
//!
//! Knows nothing about processes. The shim writes, anybody may read; they meet in the files only.

mod read;
mod write;

pub(super) use read::Cursor;
pub(super) use write::{Splitter, Writer};

use mainstay_model::{Logging, Timestamp};
use serde::{Deserialize, Serialize};

/// Docker keeps everything by default and fills the disk of many a server; its `local` driver keeps 5 × 20 MB. We
/// keep 3 × 10 MB, Docker's own documented example for `json-file`.
const DEFAULT: Rotation = Rotation { max_size: 10_000_000, max_file: 3 };

/// The `local` driver's defaults.
const LOCAL: Rotation = Rotation { max_size: 20_000_000, max_file: 5 };

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When its first byte was read, ms since the epoch.
    pub time: Timestamp,
    /// Where it was printed.
    pub stream: Stream,
    /// The text without its line end; what is not UTF-8 is replaced by U+FFFD.
    pub line: String,
    /// The line goes on in the next entry of the same stream: it was longer than 16 KiB.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// Standard output or standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rotation {
    /// Bytes after which a new file is begun.
    pub(super) max_size: u64,
    /// Files kept, the one being written included; at least 1.
    pub(super) max_file: u32,
}

impl Rotation {
    /// Reads `logging:`. `Ok(None)`: driver `none`. What is not understood is refused by name.
    pub(super) fn of(logging: Option<&Logging>) -> Result<Option<Self>, String> {
        let Some(logging) = logging else { return Ok(Some(DEFAULT)) };
        let mut rotation = match logging.driver.as_deref() {
            // Docker: a size without a number of files keeps one.
            None | Some("json-file") if logging.options.contains_key("max-size") => {
                Self { max_file: 1, ..DEFAULT }
            }
            None | Some("json-file") => DEFAULT,
            Some("local") => LOCAL,
            Some("none") => return Ok(None),
            Some(other) => {
                return Err(format!(
                    "logging driver `{other}` needs Docker; a native service has json-file, local and none"
                ));
            }
        };
        for (option, value) in &logging.options {
            match option.as_str() {
                "max-size" => {
                    rotation.max_size = size(value).ok_or_else(|| {
                        format!("logging option max-size: `{value}` is not a size such as 10m")
                    })?
                }
                "max-file" => {
                    rotation.max_file =
                        value.parse().ok().filter(|files| *files > 0).ok_or_else(|| {
                            format!("logging option max-file: `{value}` is not a number from 1")
                        })?
                }
                other => {
                    return Err(format!("logging option `{other}` is not supported for a native service"));
                }
            }
        }
        Ok(Some(rotation))
    }
}

/// Docker's sizes for logs: decimal units, `k`, `m`, `g`, optionally followed by `b`.
fn size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match lower.get(digits.len()..)? {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logging(driver: Option<&str>, options: &[(&str, &str)]) -> Logging {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Logging { driver: driver.map(str::to_owned), options }
    }

    #[test]
    fn options_mean_what_they_mean_to_docker() {
        let read = |driver, options: &[_]| Rotation::of(Some(&logging(driver, options)));
        assert_eq!(Rotation::of(None), Ok(Some(DEFAULT)));
        assert_eq!(read(Some("none"), &[]), Ok(None));
        assert_eq!(read(None, &[("max-size", "1k")]), Ok(Some(Rotation { max_size: 1000, max_file: 1 })));
        let both = read(Some("json-file"), &[("max-size", "2MB"), ("max-file", "7")]);
        assert_eq!(both, Ok(Some(Rotation { max_size: 2_000_000, max_file: 7 })));
        assert!(read(Some("syslog"), &[]).unwrap_err().contains("syslog"));
        assert!(read(None, &[("max-size", "-1")]).unwrap_err().contains("max-size"));
        assert!(read(None, &[("max-file", "0")]).unwrap_err().contains("max-file"));
        assert!(read(None, &[("compress", "true")]).unwrap_err().contains("compress"));
    }
}
