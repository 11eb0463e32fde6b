//! `mainstay down`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use clap::{Args, ValueEnum};
use mainstay_api::{Client, DownRequest, ImageView, RemoveImagesRequest, ServicesRequest};
use mainstay_model::StackName;
use std::collections::BTreeSet;

/// Remove what the stack made: instances and networks; volumes with -v
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Remove volumes, too: their data is lost
    #[arg(short, long)]
    volumes: bool,
    /// Accepted: what the file no longer has is always removed
    #[arg(long)]
    remove_orphans: bool,
    /// Seconds that an instance may take to stop
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Remove images, too
    #[arg(long, value_enum, value_name = "WHICH")]
    rmi: Option<Images>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Images {
    /// Those that were built without a name of their own
    Local,
    /// All that the services use
    All,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: DownArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let images = match args.rmi {
        Some(which) => images(context, &client, &stack, which).await?,
        None => BTreeSet::new(),
    };
    let request = DownRequest { volumes: args.volumes, timeout: args.timeout };
    let lines = client.post_lines(&format!("/v1/stacks/{stack}/down"), &request).await?;
    let exit = follow(context, &client, &stack, lines, Interrupt::Detach).await?;
    if !images.is_empty() {
        let request = RemoveImagesRequest { references: images.into_iter().collect() };
        let path = format!("/v1/stacks/{stack}/images/remove");
        let removed: Vec<String> = client.post(&path, &request).await?;
        for image in removed {
            context.remark(&format!("removed image {image}\n"))?;
        }
    }
    Ok(exit)
}

/// Names of the images that the file and the containers speak of.
async fn images(
    context: &Context,
    client: &Client,
    stack: &StackName,
    which: Images,
) -> Result<BTreeSet<String>, Error> {
    let everything = ServicesRequest { services: vec![], timeout: None };
    let used: Result<Vec<ImageView>, _> =
        client.post(&format!("/v1/stacks/{stack}/images"), &everything).await;
    let used = used.unwrap_or_default().into_iter().map(|view| (view.service.to_string(), view.reference));
    let file = context.read(&[]).stack;
    let services = file.iter().flat_map(|stack| stack.services.values());
    let named = services.map(|s| {
        let made = || format!("{stack}-{}", s.name);
        (s.name.to_string(), s.image.clone().unwrap_or_else(made))
    });
    let all = used.chain(named);
    let unnamed = |(service, image): &(String, String)| {
        image.strip_suffix(":latest").unwrap_or(image) == format!("{stack}-{service}")
    };
    Ok(all.filter(|pair| which == Images::All || unnamed(pair)).map(|(_, image)| image).collect())
}
