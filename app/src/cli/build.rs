//! `mainstay build`.

use super::pull::meant;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use clap::Args;
use mainstay_api::ImagesRequest;
use mainstay_model::Stack;

/// Build images without deploying them
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of Compose")]
pub struct BuildArgs {
    /// Only of these services
    pub(super) services: Vec<String>,
    /// Build argument, over what the file says; without a value, the present one
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Take nothing from the cache
    #[arg(long)]
    no_cache: bool,
    /// Look for newer base images
    #[arg(long)]
    pull: bool,
    /// Push the images, too
    #[arg(long)]
    push: bool,
    /// Build what the services depend on, too
    #[arg(long)]
    with_dependencies: bool,
    /// Accepted: BuildKit knows no such limit, in Compose neither
    #[arg(short, long, value_name = "BYTES", hide = true)]
    memory: Option<String>,
    #[command(flatten)]
    refused: Refused,
}

/// Flags whose work is `docker buildx`'s own.
#[derive(Debug, Args)]
struct Refused {
    #[arg(long, hide = true)]
    builder: Option<String>,
    #[arg(long, hide = true)]
    check: bool,
    #[arg(long, hide = true)]
    print: bool,
    #[arg(long, hide = true)]
    provenance: Option<String>,
    #[arg(long, hide = true)]
    sbom: Option<String>,
    #[arg(long, hide = true)]
    ssh: Option<String>,
}

impl Refused {
    fn check(self) -> Result<(), Error> {
        let Self { builder, check, print, provenance, sbom, ssh } = self;
        // What asks for nothing is not refused.
        let asks = |value: Option<String>| value.is_some_and(|value| value != "false");
        let flags = [
            (
                builder.is_some(),
                "--builder",
                "the Engine's own BuildKit builds; use `docker-compose build --builder`, then `mainstay up`",
            ),
            (check, "--check", "`docker-compose build --check` checks the Dockerfile"),
            (print, "--print", "`docker-compose build --print` prints what buildx would be given"),
            (asks(provenance), "--provenance", "use `docker-compose build --provenance`, then `mainstay up`"),
            (asks(sbom), "--sbom", "use `docker-compose build --sbom`, then `mainstay up`"),
            (ssh.is_some(), "--ssh", "use `docker-compose build --ssh`, then `mainstay up`"),
        ];
        match flags.into_iter().find(|(given, ..)| *given) {
            Some((_, flag, instead)) => {
                Err(Error::Refused { command: "build", flag: flag.to_owned(), instead })
            }
            None => Ok(()),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: BuildArgs, context: &Context) -> Result<Exit, Error> {
    args.refused.check()?;
    let mut stack = context.load(&args.services)?;
    set(&mut stack, args.build_arg);
    let name = stack.name.clone();
    let services = meant(&stack, &args.services, args.with_dependencies)?;
    let request = ImagesRequest {
        no_cache: args.no_cache,
        pull_bases: args.pull,
        ..ImagesRequest::new(stack, services)
    };
    let client = context.agent().await?;
    let lines = client.post_lines(&format!("/v1/stacks/{name}/build"), &request).await?;
    let exit = follow(context, &client, &name, lines, Interrupt::Detach).await?;
    if !args.push {
        return Ok(exit);
    }
    let lines = client.post_lines(&format!("/v1/stacks/{name}/push"), &request).await?;
    follow(context, &client, &name, lines, Interrupt::Detach).await
}

/// Sets build arguments of all services.
fn set(stack: &mut Stack, arguments: Vec<String>) {
    let pair = |text: String| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.clone(), std::env::var(&text).ok()?)),
    };
    let arguments: Vec<_> = arguments.into_iter().filter_map(pair).collect();
    for build in stack.services.values_mut().filter_map(|service| service.build.as_mut()) {
        build.args.extend(arguments.iter().cloned());
    }
}
