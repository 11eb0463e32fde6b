//! The edge as a process: from its configuration to its end.
//!
//! Knows nothing about HTTP.

use crate::control::server::Control;
use crate::privileges::{self, PrivilegeError, User};
use crate::shared::Shared;
use crate::tls::Tls;
use crate::{clock, health, issue, persist, worker};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use tokio::net::UnixListener;
use tokio::runtime::LocalRuntime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// How long what is under way may take after SIGTERM or SIGINT; a second signal ends at once. Systemd waits 90 s
/// before it kills.
const SIGNAL_GRACE: clock::Millis = 30_000;

/// What the edge has to know to start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where its control socket is made. A dead one there is replaced, a live one is an error.
    pub control: PathBuf,
    /// Where the table is kept. Its directory must be writable for `user`; beside it, in `tls`, is what must outlive
    /// the process of TLS: certificates, accounts, the keys of session tickets; and in `log` the access logs.
    pub table: PathBuf,
    /// Worker threads; one per core is right.
    pub workers: usize,
    /// Who to become after sockets are bound, when started as root.
    pub user: Option<User>,
}

/// Why the edge could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another edge answers at the control socket.
    #[error("another edge is running at {}", .0.display())]
    AlreadyRunning(PathBuf),
    /// The control socket could not be made.
    #[error("cannot make the control socket {}", path.display())]
    ControlSocket { path: PathBuf, source: io::Error },
    /// The user could not be changed.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// TLS could not be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// A runtime or thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// Runs the edge until it is told to end. To be called on a process's only thread.
pub fn run(config: Config) -> Result<(), Error> {
    let Config { control, table, workers, user } = config;
    let workers = workers.max(1);
    privileges::raise_file_limit();
    let runtime = runtime().map_err(Error::Thread)?;
    let socket = runtime.block_on(async { make_socket(&control) })?;
    let made = fs::metadata(&control).map(|m| m.ino()).ok();
    let shared = Arc::new(Shared::new(workers, Tls::new().map_err(Error::Tls)?));
    let own = table.with_file_name("tls");
    let (orders, received): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::unbounded_channel()).unzip();
    let server = Rc::new(Control::new(shared.clone(), orders, table));
    // Privileged ports of the table on disk are bound before the privilege is given up.
    start_alone(&server);
    if let Some(user) = user {
        privileges::become_user(user)?;
    }
    shared.tls.keep_in(&own);
    let logging = shared.clone();
    shared.log.start(own.with_file_name("log")).map_err(Error::Thread)?;
    let (ended, mut all_ended) = mpsc::channel::<()>(1);
    let mut threads = Vec::new();
    for (index, orders) in received.into_iter().enumerate() {
        let (shared, ended) = (shared.clone(), ended.clone());
        let run = move || {
            let result = worker::run(index, shared, orders);
            drop(ended);
            result
        };
        threads.push(thread::Builder::new().name(format!("edge-{index}")).spawn(run).map_err(Error::Thread)?);
    }
    drop(ended);
    runtime.block_on(async {
        tokio::task::spawn_local(server.clone().serve(socket));
        tokio::task::spawn_local(obey_signals(server));
        tokio::task::spawn_local(issue::keep(shared.clone()));
        tokio::task::spawn_local(health::keep(shared.clone()));
        tokio::task::spawn_local(async move { shared.tls.watch().await });
        // Nothing is ever sent: this ends when the last worker has dropped its end.
        all_ended.recv().await;
    });
    for thread in threads {
        if let Ok(Err(error)) = thread.join() {
            return Err(Error::Thread(error));
        }
    }
    logging.log.finish();
    // Only our own socket: another edge may have replaced it meanwhile.
    if fs::metadata(&control).map(|m| m.ino()).ok() == made {
        let _ = fs::remove_file(&control);
    }
    Ok(())
}

fn runtime() -> io::Result<LocalRuntime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())
}

/// Makes the control socket, readable for its owner only. It is made before the user changes, so that it belongs
/// to whoever started the edge.
fn make_socket(path: &Path) -> Result<UnixListener, Error> {
    let fail = |source| Error::ControlSocket { path: path.to_owned(), source };
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(Error::AlreadyRunning(path.to_owned()));
        }
        fs::remove_file(path).map_err(fail)?;
    }
    let socket = UnixListener::bind(path).map_err(fail)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(fail)?;
    Ok(socket)
}

/// Puts the table on disk in force, if there is one. Whatever stands against it is said and not fatal: the
/// agent will send a table.
fn start_alone(control: &Control) {
    match persist::load(&control.table_path) {
        Ok(None) => {}
        Ok(Some(table)) => {
            if let Err(error) = control.restore(&table) {
                tracing::error!(%error, "the table on disk is not in force");
            }
        }
        Err(error) => tracing::error!(%error, "starting without a table"),
    }
}

async fn obey_signals(control: Rc<Control>) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals are not heard; end the edge through its control socket");
        return;
    };
    let mut grace = SIGNAL_GRACE;
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        control.shut_down(grace).await;
        control.shared.allow_exit();
        grace = 0;
    }
}
