//! Other people's servers: processes that end with the test. One that is not installed fails it; `./test` installs them.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A server that accepts connections.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
    /// Its configuration and temporary files.
    pub directory: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts `program` on a free port; `tell` gives it its arguments.
    pub async fn start(program: &str, tell: impl FnOnce(&mut Command, &TempDir, SocketAddr)) -> Self {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        tell(&mut command, &directory, address);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}; run ./test"));
        let mut server = Self { address, child, directory };
        while tokio::net::TcpStream::connect(address).await.is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "{program} ended");
            tokio::task::yield_now().await;
        }
        server
    }

    /// nginx with these directives in `http` and in its only `server`.
    pub async fn nginx(http: &str, server: &str) -> Self {
        Self::nginx_listening("", http, server).await
    }

    /// The same, with words such as `ssl` behind the address it listens on.
    pub async fn nginx_listening(how: &str, http: &str, server: &str) -> Self {
        Self::start("nginx", |command, directory, address| {
            let root = directory.path().display();
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {root}/{kind};"))
                .concat();
            let config = format!(
                "daemon off; master_process off; pid {root}/pid; error_log {root}/log; events {{}} http {{ \
                 access_log off; {temporary} {http} server {{ listen {address} {how}; {server} }} }}"
            );
            std::fs::write(directory.path().join("conf"), config).unwrap();
            command.arg("-c").arg(directory.path().join("conf"));
        })
        .await
    }
}
