//! The control API on its unix socket.

mod answer;
mod containers;
mod copy;
mod exec;
mod images;
pub(crate) mod logs;
mod metrics;
mod run;
mod stacks;

use crate::{Agent, Error};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

/// Bytes of a request at most. A stack of a thousand services has some three million.
const LARGEST: usize = 64 << 20;

/// Root and the agent's group may use the API; whoever may is as good as root where Docker is concerned.
const MODE: u32 = 0o660;

/// Makes the socket. The journal's lock says that no other agent uses it, so what is there is dead.
pub(crate) fn listen(state_dir: &Path) -> Result<UnixListener, Error> {
    let path = state_dir.join("agent.sock");
    let error = |source| Error::File { what: "listen on", path: path.clone(), source };
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(error(source)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(error)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(MODE)).map_err(error)?;
    Ok(listener)
}

/// Answers until told to end.
pub(crate) async fn serve(agent: Arc<Agent>, listener: UnixListener, shutdown: CancellationToken) {
    let path = agent.config.state_dir.join("agent.sock");
    let app = Router::new()
        .route("/v1/info", get(stacks::info))
        .route("/v1/metrics", get(metrics::metrics))
        .route("/v1/shutdown", post(stacks::shutdown))
        .route("/v1/stacks", get(stacks::list))
        .route("/v1/stacks/{stack}", get(stacks::show))
        .route("/v1/stacks/{stack}/plan", post(stacks::plan))
        .route("/v1/stacks/{stack}/deploy", post(stacks::deploy))
        .route("/v1/stacks/{stack}/create", post(stacks::create))
        .route("/v1/stacks/{stack}/rollback", post(stacks::rollback))
        .route("/v1/stacks/{stack}/cancel", post(stacks::cancel))
        .route("/v1/stacks/{stack}/down", post(stacks::down))
        .route("/v1/stacks/{stack}/eject", post(stacks::eject))
        .route("/v1/stacks/{stack}/stop", post(stacks::stop))
        .route("/v1/stacks/{stack}/start", post(stacks::start))
        .route("/v1/stacks/{stack}/restart", post(stacks::restart))
        .route("/v1/stacks/{stack}/pull", post(images::pull))
        .route("/v1/stacks/{stack}/build", post(images::build))
        .route("/v1/stacks/{stack}/releases", get(stacks::releases))
        .route("/v1/stacks/{stack}/events", get(stacks::events))
        .route("/v1/stacks/{stack}/logs", get(logs::logs))
        .route("/v1/stacks/{stack}/kill", post(containers::kill))
        .route("/v1/stacks/{stack}/pause", post(containers::pause))
        .route("/v1/stacks/{stack}/unpause", post(containers::unpause))
        .route("/v1/stacks/{stack}/remove", post(containers::remove))
        .route("/v1/stacks/{stack}/top", post(containers::top))
        .route("/v1/stacks/{stack}/images", post(images::list))
        .route("/v1/stacks/{stack}/images/remove", post(images::remove))
        .route("/v1/stacks/{stack}/volumes", get(containers::volume_list))
        .route("/v1/stacks/{stack}/wait", post(containers::wait))
        .route("/v1/stacks/{stack}/push", post(images::push))
        .route("/v1/stacks/{stack}/port/{service}", get(containers::port))
        .route("/v1/stacks/{stack}/commit/{service}", post(containers::commit))
        .route("/v1/stacks/{stack}/export/{service}", get(containers::export))
        .route("/v1/stacks/{stack}/stat/{service}", get(copy::stat))
        .route("/v1/stacks/{stack}/files/{service}", get(copy::out).put(copy::into))
        .route("/v1/stacks/{stack}/attach/{service}", post(exec::attach))
        .route("/v1/stacks/{stack}/exec", post(exec::exec))
        .route("/v1/stacks/{stack}/run/{service}", post(run::run))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(agent);
    let ended = shutdown.clone();
    tokio::select! {
        served = axum::serve(listener, app).into_future() => {
            if let Err(error) = served {
                tracing::error!(%error, "the control API ended");
            }
        }
        () = ended.cancelled() => {}
    }
    // The next agent makes its own.
    let _ = std::fs::remove_file(path);
}
