//! `mainstay logs`.

use super::time;
use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::render::log_line::LogLines;
use crate::render::words;
use clap::Args;
use mainstay_api::{LogEntry, LogQuery};
use tokio::signal::unix::{SignalKind, signal};

/// Show what services print
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Only of these services
    services: Vec<String>,
    /// Go on as lines arrive
    #[arg(short, long)]
    follow: bool,
    /// Only lines since then: an age such as 10m, or a date
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only lines until then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only the last N lines of each instance, or `all`
    #[arg(short = 'n', long, value_name = "N", default_value = "all")]
    tail: String,
    /// Begin each line with its time
    #[arg(short, long)]
    timestamps: bool,
    /// Only of this instance of each service, counted from 1
    #[arg(long, value_name = "N")]
    index: Option<u32>,
    /// No colours
    #[arg(long)]
    no_color: bool,
    /// Print the lines alone, without the instance they are from
    #[arg(long)]
    no_log_prefix: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: LogsArgs, context: &Context) -> Result<Exit, Error> {
    let now = words::now();
    let point = |text: &Option<String>| text.as_deref().map(|text| time::parse(text, now)).transpose();
    let query = LogQuery {
        services: service_names(&args.services)?
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(","),
        follow: args.follow,
        since: point(&args.since)?.map(|at| at.0),
        until: point(&args.until)?.map(|at| at.0),
        tail: tail(&args.tail)?,
        index: args.index,
    };
    let client = context.client();
    let stack = context.stack_name(&client).await?;
    let mut lines = client.get_lines(&format!("/v1/stacks/{stack}/logs?{}", encode(&query))).await?;
    let mut printed = LogLines::new(args.timestamps, args.no_color, args.no_log_prefix);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Terminal)?;
    loop {
        let entry = tokio::select! {
            entry = lines.next::<LogEntry>() => entry?,
            _ = interrupt.recv() => return Err(Error::Interrupted),
        };
        let Some(entry) = entry else { return Ok(Exit::Done) };
        if context.json {
            context.print_json_line(&entry)?;
            continue;
        }
        context.print(&printed.text(&entry))?;
    }
}

fn tail(text: &str) -> Result<Option<usize>, Error> {
    if text == "all" || text == "-1" {
        return Ok(None);
    }
    let number = text
        .parse()
        .map_err(|_| Error::Argument { value: text.to_owned(), expected: "a number or `all`" })?;
    Ok(Some(number))
}

/// The query as a URL has it. Names of services and numbers need no escapes.
pub(super) fn encode(query: &LogQuery) -> String {
    let LogQuery { services, follow, since, until, tail, index } = query;
    let mut parts = vec![format!("follow={follow}")];
    if !services.is_empty() {
        parts.push(format!("services={services}"));
    }
    let numbers = [
        ("since", *since),
        ("until", *until),
        ("tail", tail.map(|n| n as u64)),
        ("index", index.map(u64::from)),
    ];
    parts.extend(numbers.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))));
    parts.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_only_what_was_asked() {
        let query = LogQuery { services: "api,web".into(), tail: Some(5), ..LogQuery::default() };
        assert_eq!(encode(&query), "follow=false&services=api,web&tail=5");
        assert_eq!(tail("all").unwrap(), None);
        assert!(tail("few").is_err());
    }
}
