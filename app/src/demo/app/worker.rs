//! The worker: does a piece of work every half second and says so now and then.

use crate::error::Error;
use crate::exit::Exit;
use std::io::{self, Write};
use std::time::Duration;

/// Time of one round.
const ROUND: Duration = Duration::from_millis(500);

/// Works until SIGTERM, whose default is right for it.
///
/// # Errors
/// None.
pub fn run() -> Result<Exit, Error> {
    say("worker begins");
    for round in 1_u64.. {
        std::thread::sleep(ROUND);
        if round % 10 == 0 {
            say(&format!("{round} jobs done"));
        }
    }
    Ok(Exit::Done)
}

fn say(text: &str) {
    // Whoever read the log has gone.
    let _gone = writeln!(io::stdout().lock(), "{text}");
}
