//! `mainstay port`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use clap::{Args, ValueEnum};
use mainstay_model::ServiceName;

/// Show where a port of a service is published
#[derive(Debug, Args)]
pub struct PortArgs {
    /// The service
    service: String,
    /// The port inside
    private_port: u16,
    /// Which of the service's instances, counted from 1
    #[arg(long, value_name = "N")]
    index: Option<u32>,
    /// Its protocol
    #[arg(long, value_enum, default_value = "tcp")]
    protocol: Protocol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: PortArgs, context: &Context) -> Result<Exit, Error> {
    let PortArgs { service, private_port, index, protocol } = args;
    let service = ServiceName::new(service)?;
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let protocol = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    };
    let index = index.map(|n| format!("&index={n}")).unwrap_or_default();
    let path = format!("/v1/stacks/{stack}/port/{service}?port={private_port}&protocol={protocol}{index}");
    let addresses: Vec<String> = client.get(&path).await?;
    if addresses.is_empty() {
        let value = format!("{private_port}/{protocol}");
        return Err(Error::Argument { value, expected: "a published port of the service" });
    }
    context.print_names(&addresses)
}
