//! Binding listening sockets, and saying who holds a port that is taken.
//!
//! Knows nothing about what is spoken on them.

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// Connections the kernel keeps until they are accepted. It cuts this to `net.core.somaxconn`, which is 4096
/// today.
const BACKLOG: i32 = 4096;

/// Why an address could not be listened on. The source of the `io::Error` that [`bind`] returns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// Another program listens there.
    #[error("{address} is taken by {holder}")]
    Taken { address: SocketAddr, holder: Holder },
    /// A port below `net.ipv4.ip_unprivileged_port_start` without the right to it.
    #[error("no permission to listen on {address}")]
    NotPermitted { address: SocketAddr },
}

/// Who holds a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Holder {
    /// This program.
    #[error("`{name}` (pid {pid})")]
    Process { name: String, pid: u32 },
    /// Looking into other users' processes is not permitted to us.
    #[error("another program, which only root can name")]
    Hidden,
}

/// Binds and listens: `workers` sockets that share the address, one for each thread. With port 0 the first
/// chooses a port and the others follow. IPv6 sockets take IPv6 only, so that `0.0.0.0` can be had beside `[::]`.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<OwnedFd>> {
    let explain = |error: rustix::io::Errno| explain(address, error);
    // Sharing is among our own sockets only: with SO_REUSEPORT alone, a second program of the same user would
    // silently get a part of our connections, or we of its.
    if address.port() != 0 {
        open(address, false).map_err(explain)?;
    }
    let first = open(address, true).map_err(explain)?;
    let bound = SocketAddr::try_from(net::getsockname(&first)?).unwrap_or(address);
    let mut sockets = vec![first];
    while sockets.len() < workers {
        sockets.push(open(bound, true).map_err(explain)?);
    }
    for socket in &sockets {
        net::listen(socket, BACKLOG)?;
    }
    Ok(sockets)
}

/// Binds a UDP socket at the port that HTTP/3 is spoken at.
pub fn bind_datagrams(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(family, SocketType::DGRAM, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    net::bind(&socket, &address).map_err(|error| explain(address, error))?;
    Ok(socket)
}

/// Whether a socket is one of [`bind_datagrams`]. They travel with the others of their address.
pub fn is_datagrams(socket: &OwnedFd) -> bool {
    sockopt::socket_type(socket).is_ok_and(|kind| kind == SocketType::DGRAM)
}

fn open(address: SocketAddr, shared: bool) -> rustix::io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    // Connections of a former listener in TIME_WAIT do not keep the port.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if shared {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    net::bind(&socket, &address)?;
    Ok(socket)
}

fn explain(address: SocketAddr, error: rustix::io::Errno) -> io::Error {
    match error {
        rustix::io::Errno::ADDRINUSE => {
            let holder = holder(address.port());
            io::Error::new(io::ErrorKind::AddrInUse, ListenError::Taken { address, holder })
        }
        rustix::io::Errno::ACCESS | rustix::io::Errno::PERM => {
            io::Error::new(io::ErrorKind::PermissionDenied, ListenError::NotPermitted { address })
        }
        other => other.into(),
    }
}

/// The program that listens on a TCP port of this machine.
pub fn holder(port: u16) -> Holder {
    let inodes: Vec<String> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().flat_map(|table| listening_inodes(table, port)).collect();
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
        if targets.any(|target| target.to_str().is_some_and(|t| links.iter().any(|link| link == t))) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            return Holder::Process { name: name.trim().to_owned(), pid };
        }
    }
    Holder::Hidden
}

/// Inodes of the sockets that listen on `port`, from one of the kernel's tables.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    /// TCP_LISTEN in the `st` column.
    const LISTENING: &str = "0A";
    let text = fs::read_to_string(table).unwrap_or_default();
    let wanted = format!(":{port:04X}");
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_ascii_whitespace().collect();
            let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
            (local.ends_with(&wanted) && *state == LISTENING).then(|| (*inode).to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_holder() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let error = bind(address, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let text = error.to_string();
        assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
    }

    #[test]
    fn a_port_we_hold_ourselves_is_not_shared_by_accident() {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert_eq!(sockets.len(), 3);
        let address = SocketAddr::try_from(net::getsockname(&sockets[2]).unwrap()).unwrap();
        assert_eq!(bind(address, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
