//! Loopback ports for instances.

use super::files::Files;
use super::{Native, NativeError, blocking, observe};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;

/// Ports given to instances: below the range (32768 and up) from which the kernel takes ports for outgoing
/// connections, so that none of those can take one between two runs of an instance.
pub const PORTS: RangeInclusive<u16> = 20_000..=29_999;

impl Native {
    /// A port on 127.0.0.1 that no instance of any stack has and nobody listens on. It is given once in a round
    /// through [`PORTS`], so two calls before a `create` differ.
    ///
    /// # Errors
    /// [`NativeError::NoPort`], or failures to see which ports instances have.
    pub async fn free_port(&self) -> Result<u16, NativeError> {
        let native = self.clone();
        blocking("find a free port", move || {
            let taken = native.taken_ports()?;
            let count = u32::from(PORTS.end() - PORTS.start()) + 1;
            for _ in 0..count {
                let step = native.next_port.fetch_add(1, Ordering::Relaxed) % count;
                let port = PORTS.start() + u16::try_from(step).unwrap_or(0);
                if !taken.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                    return Ok(port);
                }
            }
            Err(NativeError::NoPort { first: *PORTS.start(), last: *PORTS.end() })
        })
        .await
    }

    fn taken_ports(&self) -> Result<BTreeSet<u16>, NativeError> {
        let stacks = match fs::read_dir(&self.root) {
            Ok(stacks) => stacks,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(source) => return Err(NativeError::File { action: "read", path: self.root.clone(), source }),
        };
        let mut taken = BTreeSet::new();
        for stack in stacks {
            let dir = stack.map_err(NativeError::file("read", &self.root))?.path();
            for id in observe::instances(&dir)? {
                match Files::at(dir.join(id.to_string())).launch() {
                    Ok(launch) => taken.extend(launch.port),
                    Err(NativeError::Missing(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(taken)
    }
}
