//! `mainstay images`.

use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::render::format::{self, Format};
use crate::render::table::{Cell, Table};
use crate::render::words;
use clap::Args;
use mainstay_api::{ImageView, ServicesRequest};
use serde_json::{Value, json};

/// Show the images that containers were made of
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Only of these services
    services: Vec<String>,
    /// How to print: table or json
    #[arg(long, value_parser = format::plain, default_value = "table")]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: ImagesArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let request = ServicesRequest { services: service_names(&args.services)?, timeout: None };
    let views: Vec<ImageView> = client.post(&format!("/v1/stacks/{stack}/images"), &request).await?;
    if context.json {
        context.print_json(&views)?;
        return Ok(Exit::Done);
    }
    if context.quiet {
        let mut ids: Vec<String> = views.into_iter().map(|view| view.id).collect();
        ids.sort();
        ids.dedup();
        return context.print_names(&ids);
    }
    if args.format == Format::Json {
        context.print_json_line(&views.iter().map(as_compose_says).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    let mut table =
        Table::new(&["CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", ">SIZE", ">CREATED"]);
    let now = words::now();
    for view in &views {
        let (repository, tag) = split(&view.reference);
        table.row([
            Cell::new(view.container.as_str()),
            Cell::new(repository),
            Cell::new(tag),
            Cell::new(view.platform.as_str()),
            Cell::new(short(&view.id)),
            Cell::new(view.size.map(words::bytes).unwrap_or_default()),
            Cell::new(view.created.map(|at| words::ago(at, now)).unwrap_or_default()),
        ]);
    }
    context.print(&table.render(None))?;
    Ok(Exit::Done)
}

fn as_compose_says(view: &ImageView) -> Value {
    let (repository, tag) = split(&view.reference);
    let created = view.created.map(|at| jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or(0)));
    json!({
        "ID": view.id,
        "ContainerName": view.container,
        "Repository": repository,
        "Tag": tag,
        "Platform": view.platform,
        "Size": view.size,
        "Created": created.and_then(Result::ok).map(|at| at.to_string()),
    })
}

/// Repository and tag of a reference. A colon before a slash belongs to the registry's port.
fn split(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, "latest"),
    }
}

/// Twelve digits, as Docker shows ids.
fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        assert_eq!(split("localhost:5000/a"), ("localhost:5000/a", "latest"));
        assert_eq!(split("localhost:5000/a:1"), ("localhost:5000/a", "1"));
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789ab");
    }
}
