//! `mainstay config`, with the flags of `docker compose config`.

use crate::context::Context;
use crate::error::{Error, Findings};
use crate::exit::Exit;
use crate::render;
use crate::source::Host;
use clap::{Args, ValueEnum};
use mainstay_config::{Loaded, Project, Request, Skip};
use std::path::PathBuf;

/// Show the stack file as it is understood
///
/// Files merged, variables replaced, short forms written out: what `docker compose config` prints, with the same flags.
/// Values of secrets in the environment are part of it.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag of Compose.
pub struct ConfigArgs {
    /// Only these services and what they depend on
    services: Vec<String>,
    /// How to print
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write to a file instead
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    only: Only,
    #[command(flatten)]
    without: Without,
    /// Pin images to their digests; a registry is needed for those that are not pinned yet, and none is asked
    #[arg(long)]
    resolve_image_digests: bool,
    /// Print a file that only pins images to their digests
    #[arg(long)]
    lock_image_digests: bool,
}

/// What is printed instead of the whole.
#[derive(Debug, Args)]
#[group(multiple = false)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag of Compose.
struct Only {
    /// Names of services only
    #[arg(long = "services")]
    only_services: bool,
    /// Names of volumes only
    #[arg(long)]
    volumes: bool,
    /// Names of networks only
    #[arg(long)]
    networks: bool,
    /// Models only
    #[arg(long)]
    models: bool,
    /// Images only
    #[arg(long)]
    images: bool,
    /// Profiles only
    #[arg(long)]
    profiles: bool,
    /// Configuration hashes of these services, separated by commas; `*` means all
    #[arg(long, value_name = "SERVICES")]
    hash: Option<String>,
    /// Variables that the files were interpolated with, and their values
    #[arg(long)]
    environment: bool,
    /// Variables that the files name, and what stands in for them
    #[arg(long)]
    variables: bool,
}

/// Stages that are left out.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag of Compose.
struct Without {
    /// Leave variables as they are written
    #[arg(long)]
    no_interpolate: bool,
    /// Do not spell out what is implied
    #[arg(long)]
    no_normalize: bool,
    /// Leave paths relative
    #[arg(long)]
    no_path_resolution: bool,
    /// Do not ask whether the parts of the stack fit each other
    #[arg(long)]
    no_consistency: bool,
    /// Do not read environment files of services
    #[arg(long)]
    no_env_resolution: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Yaml,
    /// A table; for `--variables`
    Table,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub fn run(args: ConfigArgs, context: &Context) -> Result<Exit, Error> {
    let Without { no_interpolate, no_normalize, no_path_resolution, no_consistency, no_env_resolution } =
        args.without;
    let skip = Skip {
        interpolation: no_interpolate || args.only.variables,
        normalization: no_normalize,
        paths: no_path_resolution,
        consistency: no_consistency,
        env_files: no_env_resolution,
    };
    let request = Request { services: args.services.clone(), skip, ..context.request.clone() };
    let text =
        if skip.interpolation { raw(&args, &request, context)? } else { whole(&args, &request, context)? };
    if context.quiet {
        return Ok(Exit::Done);
    }
    match &args.output {
        Some(path) => std::fs::write(path, text).map_err(Error::file("write", path.display().to_string()))?,
        None => context.print(&text)?,
    }
    Ok(Exit::Done)
}

fn is_json(args: &ConfigArgs, context: &Context) -> bool {
    args.format == Some(Format::Json) || (args.format.is_none() && context.json)
}

/// The stack with its variables replaced.
fn whole(args: &ConfigArgs, request: &Request, context: &Context) -> Result<String, Error> {
    let Loaded { project, diagnostics, texts, .. } = mainstay_config::load(request, &Host);
    let findings = Findings { diagnostics, texts };
    let Some(mut project) = project else { return Err(Error::Stack(Box::new(findings))) };
    if !context.quiet && !context.json {
        context.remark(&render::diagnostic::all(&findings, &context.request.working_dir))?;
    }
    if let Some(services) = &args.only.hash {
        return hashes(&project, services);
    }
    project.select(&args.services);
    if let Some(names) = names(&args.only, &project) {
        return Ok(lines(names));
    }
    if args.resolve_image_digests || args.lock_image_digests {
        pinned(&project)?;
    }
    if args.lock_image_digests {
        project = project.images_only();
    }
    Ok(if is_json(args, context) { project.to_compose_text() + "\n" } else { project.to_compose_yaml() })
}

fn names(only: &Only, project: &Project) -> Option<Vec<String>> {
    Some(if only.only_services {
        project.names("services")
    } else if only.volumes {
        project.names("volumes")
    } else if only.networks {
        project.names("networks")
    } else if only.models {
        project.models()
    } else if only.profiles {
        project.profiles.clone()
    } else if only.images {
        project.images()
    } else if only.environment {
        project.environment.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect()
    } else {
        return None;
    })
}

fn lines(names: Vec<String>) -> String {
    names.into_iter().map(|name| name + "\n").collect()
}

/// `name hash` of each service asked for.
fn hashes(project: &Project, asked: &str) -> Result<String, Error> {
    let hashes = project.hashes();
    let asked: Vec<&str> =
        if asked == "*" { hashes.keys().map(String::as_str).collect() } else { asked.split(',').collect() };
    let mut out = String::new();
    for name in asked {
        let Some(hash) = hashes.get(name) else {
            return Err(Error::Argument { value: name.to_owned(), expected: "a service of the stack" });
        };
        out.push_str(&format!("{name} {hash}\n"));
    }
    Ok(out)
}

/// Digests of images that the file does not pin are known to registries only.
fn pinned(project: &Project) -> Result<(), Error> {
    match project.images().into_iter().find(|image| !image.contains("@sha256:")) {
        Some(image) => Err(Error::Argument {
            value: image,
            expected: "an image with its digest: only its registry knows the digest, and none is asked; \
                       `mainstay releases` shows what each release is pinned to",
        }),
        None => Ok(()),
    }
}

/// The stack before its variables are replaced.
fn raw(args: &ConfigArgs, request: &Request, context: &Context) -> Result<String, Error> {
    let raw = mainstay_config::raw(request, &Host);
    let variables = raw.variables();
    let (json, yaml) = (raw.to_text(), raw.to_yaml());
    let names =
        raw.tree.as_ref().map(|tree| tree.entries("services").map(|(name, _)| name.clone()).collect());
    let findings = Findings { diagnostics: raw.diagnostics, texts: raw.texts };
    let (Some(json), Some(yaml), Some(names)) = (json, yaml, names) else {
        return Err(Error::Stack(Box::new(findings)));
    };
    if !context.quiet && !context.json {
        context.remark(&render::diagnostic::all(&findings, &context.request.working_dir))?;
    }
    if args.only.variables {
        return Ok(render::variables::text(
            &variables,
            is_json(args, context),
            args.format == Some(Format::Yaml),
        ));
    }
    if args.only.only_services {
        return Ok(lines(names));
    }
    Ok(if is_json(args, context) { json + "\n" } else { yaml })
}
