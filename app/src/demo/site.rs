//! Where the demo lives: a directory of its own with the stack file and the agent's state, and the agent in it.

use super::sweep;
use crate::agent_start::Started;
use crate::context::Context;
use crate::error::Error;
use mainstay_api::{Client, DeployRequest, DownRequest, Lines, Progress, PullWish, Recreate, StackView};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The stack file.
const STACK: &str = include_str!("compose.yaml");
/// Its name in the file.
const NAME: &str = "demo";
/// Ports tried for HTTP, from the usual one on.
const PORTS: std::ops::Range<u16> = 8080..8180;
/// The agent ends within milliseconds of being told; a second more is for a busy machine.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Instances have two seconds to stop, one after the other in the worst case.
const DOWN: Duration = Duration::from_secs(15);

/// The directory and what runs in it.
#[derive(Debug)]
pub struct Site {
    dir: TempDir,
    context: Context,
    client: Client,
    address: SocketAddr,
    agent: Option<Child>,
}

impl Site {
    /// Makes the directory and picks a port.
    ///
    /// # Errors
    /// The directory cannot be made, or no port is free.
    pub fn new(context: &Context) -> Result<Self, Error> {
        let dir = tempfile::Builder::new().prefix("mainstay-demo-").tempdir();
        let dir = dir.map_err(Error::file("make a directory in", std::env::temp_dir()))?;
        let only_us = fs::Permissions::from_mode(0o700);
        fs::set_permissions(dir.path(), only_us).map_err(Error::file("protect", dir.path()))?;
        let mut context = context.clone();
        context.state_dir = dir.path().join("state");
        context.request = mainstay_config::Request {
            working_dir: dir.path().to_path_buf(),
            files: vec![dir.path().join("compose.yaml")],
            // Not whatever the user's own environment says.
            project_name: Some(NAME.into()),
            env_files: vec![dir.path().join(".env")],
            ..mainstay_config::Request::default()
        };
        fs::write(dir.path().join("compose.yaml"), STACK).map_err(Error::file("write", dir.path()))?;
        let client = context.client();
        Ok(Self { dir, context, client, address: free_address()?, agent: None })
    }

    /// Where the stack is served.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The same for sockets.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the agent of the demo keeps its state.
    pub fn state_dir(&self) -> &Path {
        &self.context.state_dir
    }

    /// A client of the agent.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn start(&mut self) -> Result<(), Error> {
        let address = self.address.to_string();
        // Nobody but the user of the demo may reach its directory, so the edge stays the same user.
        let started = Started::spawn(&self.context.state_dir, &["--http", &address, "--edge-user", ""])?;
        self.agent = Some(started.wait(&self.client).await?);
        Ok(())
    }

    /// Begins the deploy of a version: what `mainstay up` does after `.env` was changed.
    ///
    /// # Errors
    /// The stack file cannot be read, or the agent refuses.
    pub async fn deploy(&self, version: u32) -> Result<Lines, Error> {
        self.write_env(version)?;
        let stack = self.context.load(&[])?;
        let request = DeployRequest {
            stack,
            services: vec![],
            no_deps: false,
            build: false,
            no_build: false,
            pull: PullWish::Policy,
            recreate: Recreate::Changed,
            recreate_dependencies: false,
            refuse_if_busy: false,
        };
        Ok(self.client.post_lines(&format!("/v1/stacks/{NAME}/deploy"), &request).await?)
    }

    fn write_env(&self, version: u32) -> Result<(), Error> {
        let exe = std::env::current_exe().map_err(Error::file("find", "the program itself"))?;
        let text = format!("MAINSTAY='{}'\nVERSION={version}\nLISTEN={}\n", exe.display(), self.address);
        let path = self.dir.path().join(".env");
        fs::write(&path, text).map_err(Error::file("write", &path))
    }

    /// The stack as it is.
    ///
    /// # Errors
    /// The agent cannot be asked.
    pub async fn view(&self) -> Result<StackView, Error> {
        view(&self.client).await
    }

    /// Takes everything away: services, edge, agent, directory. What could not be is told.
    pub async fn leave(mut self) -> Vec<String> {
        let mut left = vec![];
        if self.agent.is_some()
            && let Err(why) = self.take_down().await
        {
            left.push(format!("the stack did not go down by itself: {why}"));
        }
        if let Some(mut agent) = self.agent.take() {
            wait_for(&mut agent).await;
        }
        let path: PathBuf = self.dir.path().to_path_buf();
        left.extend(sweep::kill_all(&path).await);
        if let Err(error) = self.dir.close() {
            left.push(format!("{} cannot be removed: {error}", path.display()));
        }
        left
    }

    async fn take_down(&mut self) -> Result<(), Error> {
        if self.view().await.is_err()
            && self.agent.as_mut().is_some_and(|a| a.try_wait().is_ok_and(|e| e.is_some()))
        {
            // Somebody killed it: another one takes over what runs, and takes it down.
            self.start().await?;
        }
        let down = async {
            let request = DownRequest { volumes: true, timeout: None };
            let mut lines = self.client.post_lines(&format!("/v1/stacks/{NAME}/down"), &request).await?;
            while let Some(line) = lines.next::<Progress>().await? {
                if matches!(line, Progress::Done { .. }) {
                    break;
                }
            }
            Ok::<_, Error>(())
        };
        match tokio::time::timeout(DOWN, down).await {
            Ok(Ok(()) | Err(Error::Agent(mainstay_api::ClientError::Refused { status: 404, .. }))) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(Error::Demo { phase: "leave", why: "services did not stop".into() }),
        }
        let told: Result<serde_json::Value, _> =
            self.client.post("/v1/shutdown?edge=true", &serde_json::json!({})).await;
        Ok(told.map(drop)?)
    }
}

/// The stack as the agent sees it.
///
/// # Errors
/// The agent cannot be asked.
pub async fn view(client: &Client) -> Result<StackView, Error> {
    Ok(client.get(&format!("/v1/stacks/{NAME}")).await?)
}

async fn wait_for(child: &mut Child) {
    let until = Instant::now() + LAST_WORDS;
    while Instant::now() < until {
        match child.try_wait() {
            Ok(None) => tokio::time::sleep(Duration::from_millis(20)).await,
            _ => return,
        }
    }
    // It may have ended in this moment.
    let _ended = child.kill().and_then(|()| child.wait());
}

fn free_address() -> Result<SocketAddr, Error> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = PORTS.clone().find(free);
    let why = || format!("every port from {} to {} is taken", PORTS.start, PORTS.end - 1);
    let port = port.ok_or_else(|| Error::Demo { phase: "begin", why: why() })?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}
