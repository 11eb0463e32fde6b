//! `mainstay config`.

use crate::context::Context;
use crate::error::{Error, Findings};
use crate::exit::Exit;
use crate::render;
use clap::{Args, ValueEnum};
use mainstay_config::{Loaded, Project};
use serde_json::Value;

/// Show the stack file as it is understood
///
/// Files merged, variables replaced, short forms written out: what `docker compose config` prints. Values of secrets
/// in the environment are part of it.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Only these services
    services: Vec<String>,
    /// Names of services only
    #[arg(long = "services")]
    only_services: bool,
    /// Names of volumes only
    #[arg(long)]
    volumes: bool,
    /// Images only
    #[arg(long)]
    images: bool,
    /// Profiles only
    #[arg(long)]
    profiles: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "yaml")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Yaml,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub fn run(args: ConfigArgs, context: &Context) -> Result<Exit, Error> {
    let Loaded { project, diagnostics, texts, .. } = context.read(&args.services);
    let findings = Findings { diagnostics, texts };
    let Some(project) = project else { return Err(Error::Stack(Box::new(findings))) };
    if !context.quiet && !context.json {
        context.remark(&render::diagnostic::all(&findings, &context.request.working_dir))?;
    }
    if context.quiet {
        return Ok(Exit::Done);
    }
    let tree = tree(&project, &args.services);
    let keys = |key: &str| tree[key].as_object().into_iter().flat_map(|map| map.keys().cloned()).collect();
    let names: Option<Vec<String>> = if args.only_services {
        Some(keys("services"))
    } else if args.volumes {
        Some(keys("volumes"))
    } else if args.profiles {
        Some(project.profiles)
    } else if args.images {
        Some(images(&tree, &project.name))
    } else {
        None
    };
    match names {
        Some(names) => context.print(&names.into_iter().map(|name| name + "\n").collect::<String>())?,
        None if args.format == Format::Yaml && !context.json => context.print(&render::yaml::text(&tree))?,
        None => context.print_json(&tree)?,
    }
    Ok(Exit::Done)
}

fn tree(project: &Project, services: &[String]) -> Value {
    let mut tree = project.to_compose_json();
    if let (false, Some(all)) = (services.is_empty(), tree["services"].as_object_mut()) {
        all.retain(|name, _| services.contains(name));
    }
    tree
}

fn images(tree: &Value, stack: &str) -> Vec<String> {
    let services = tree["services"].as_object().into_iter().flatten();
    services
        .filter(|(_, service)| !service["image"].is_null() || !service["build"].is_null())
        .map(|(name, service)| {
            service["image"].as_str().map_or_else(|| format!("{stack}-{name}"), str::to_owned)
        })
        .collect()
}
