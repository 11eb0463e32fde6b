//! The clock: says every ten seconds that it still runs.

use crate::error::Error;
use crate::exit::Exit;
use std::io::{self, Write};
use std::time::Duration;

/// Time of one round.
const ROUND: Duration = Duration::from_millis(10_000);

/// Works until SIGTERM, whose default is right for it.
///
/// # Errors
/// None.
pub fn run() -> Result<Exit, Error> {
    say("clock begins");
    for round in 1_u64.. {
        std::thread::sleep(ROUND);
        say(&format!("tick {round}"));
    }
    Ok(Exit::Done)
}

fn say(text: &str) {
    // Whoever read the log has gone.
    let _gone = writeln!(io::stdout().lock(), "{text}");
}
