//! The edge's side of the control socket: one thread that applies tables and reports.
//!
//! Knows nothing about requests and connections; workers are told by messages only.

use super::client::group;
use super::wire::{self, Receiver, Reply, Request, Sockets};
use super::{ApplyError, ControlError};
use crate::clock::{self, Millis};
use crate::shared::Shared;
use crate::table::{Table, TableError};
use crate::worker::Order;
use crate::{listen, metrics, persist, status};
use mainstay_model::table::RouteTable;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

type Listeners = BTreeMap<SocketAddr, Vec<OwnedFd>>;

/// What the control thread owns.
pub(crate) struct Control {
    pub(crate) shared: Arc<Shared>,
    pub(crate) orders: Vec<mpsc::UnboundedSender<Order>>,
    pub(crate) table_path: PathBuf,
    listeners: RefCell<Listeners>,
}

impl Control {
    pub(crate) fn new(
        shared: Arc<Shared>,
        orders: Vec<mpsc::UnboundedSender<Order>>,
        table_path: PathBuf,
    ) -> Self {
        Self { shared, orders, table_path, listeners: RefCell::default() }
    }

    /// Answers whoever connects, for ever.
    pub(crate) async fn serve(self: Rc<Self>, socket: UnixListener) {
        loop {
            match socket.accept().await {
                Ok((stream, _)) => {
                    let control = self.clone();
                    tokio::task::spawn_local(async move {
                        if let Err(error) = control.converse(stream).await {
                            tracing::warn!(%error, "a control conversation failed");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the control socket");
                    // Most likely no descriptor is left; the next attempt comes with the next turn.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    async fn converse(&self, stream: UnixStream) -> Result<(), ControlError> {
        let peer = stream.peer_cred()?.uid();
        if peer != 0 && peer != rustix::process::geteuid().as_raw() {
            let reply = Reply::Refused(format!("user {peer} has no say here"));
            return wire::send(&stream, &reply, &[]).await;
        }
        let mut receiver = Receiver::default();
        while let Some((request, fds)) = receiver.next::<Request>(&stream).await? {
            match request {
                Request::Apply { table, sockets } => {
                    let reply = match group(&sockets, fds) {
                        None => Reply::Refused("sockets are missing".to_owned()),
                        Some(passed) => match self.apply(*table, passed.into_iter().collect()).await {
                            Ok(()) => Reply::Done,
                            Err(error) => Reply::Refused(error.to_string()),
                        },
                    };
                    wire::send(&stream, &reply, &[]).await?;
                }
                Request::Status => {
                    wire::send(&stream, &Reply::Status(status::report(&self.shared)), &[]).await?
                }
                Request::Metrics => {
                    wire::send(&stream, &Reply::Metrics(metrics::text(&self.shared)), &[]).await?
                }
                Request::TakeListeners => self.hand_out(&stream).await?,
                Request::Shutdown { grace_ms } => {
                    self.shut_down(grace_ms).await;
                    let told = wire::send(&stream, &Reply::Done, &[]).await;
                    self.shared.allow_exit();
                    told?;
                }
            }
        }
        Ok(())
    }

    /// Puts a table from disk in force. Listeners that cannot be had are left out: whoever holds them, most
    /// likely the agent, will pass them.
    pub(crate) fn restore(&self, model: &RouteTable) -> Result<(), ApplyError> {
        let table = self.shared.registry.build(model)?;
        let new = self.open_new(model, Listeners::new(), true)?;
        self.enforce(model, table, new);
        Ok(())
    }

    /// Puts a table in force, or changes nothing.
    async fn apply(&self, model: RouteTable, passed: Listeners) -> Result<(), ApplyError> {
        let current = self.shared.table().version;
        if model.version < current {
            return Err(TableError::Older { offered: model.version, current }.into());
        }
        let table = self.shared.registry.build(&model)?;
        let new = self.open_new(&model, passed, false)?;
        persist::store(&self.table_path, &model)?;
        self.enforce(&model, table, new);
        self.settle().await;
        Ok(())
    }

    fn enforce(&self, model: &RouteTable, table: Table, new: Listeners) {
        self.shared.tls.want(&model.tls);
        self.shared.swap(Arc::new(table));
        self.shared.registry.enter_phases(model);
        for (address, sockets) in new {
            self.listen(address, sockets);
        }
        let wanted = |address: &SocketAddr| model.listeners.iter().any(|l| l.address == *address);
        let gone: Vec<SocketAddr> = self.listeners.borrow().keys().filter(|a| !wanted(a)).copied().collect();
        self.unlisten(&gone);
        self.silence(model);
    }

    /// Sockets for the addresses that are new in a table.
    fn open_new(
        &self,
        model: &RouteTable,
        mut passed: Listeners,
        lenient: bool,
    ) -> Result<Listeners, ApplyError> {
        let mut new = Listeners::new();
        for listener in &model.listeners {
            let address = listener.address;
            let held =
                self.listeners.borrow().get(&address).map(|held| held.iter().any(listen::is_datagrams));
            let passed = passed.remove(&address).unwrap_or_default();
            let (datagrams, streams): (Vec<_>, Vec<_>) = passed.into_iter().partition(listen::is_datagrams);
            let mut sockets = match held {
                Some(_) => Ok(Vec::new()),
                None if streams.is_empty() => listen::bind(address, self.orders.len()),
                None => Ok(streams),
            };
            if listener.speaks_http3() && held != Some(true) {
                let found = datagrams.into_iter().next().map_or_else(|| listen::bind_datagrams(address), Ok);
                sockets = sockets.and_then(|sockets| Ok(sockets.into_iter().chain([found?]).collect()));
            }
            match sockets {
                Ok(sockets) => {
                    new.insert(address, sockets);
                }
                Err(error) if lenient => tracing::warn!(%address, %error, "not listening for now"),
                Err(source) => return Err(ApplyError::Listen { address, source }),
            }
        }
        Ok(new)
    }

    fn listen(&self, address: SocketAddr, sockets: Vec<OwnedFd>) {
        let (datagrams, sockets): (Vec<_>, Vec<_>) = sockets.into_iter().partition(listen::is_datagrams);
        for socket in &datagrams {
            match socket.try_clone() {
                Ok(copy) => drop(self.orders[0].send(Order::Datagrams(address, UdpSocket::from(copy)))),
                Err(error) => tracing::error!(%address, %error, "cannot give a worker its socket"),
            }
        }
        self.listen_for_streams(address, &sockets);
        self.listeners.borrow_mut().entry(address).or_default().extend(sockets.into_iter().chain(datagrams));
    }

    fn listen_for_streams(&self, address: SocketAddr, sockets: &[OwnedFd]) {
        if sockets.is_empty() {
            return;
        }
        // Fewer sockets than workers: then some sockets are served by several.
        for (index, worker) in self.orders.iter().enumerate() {
            let socket = &sockets[index % sockets.len()];
            let copy =
                socket.try_clone().map(TcpListener::from).and_then(|s| s.set_nonblocking(true).map(|()| s));
            match copy {
                // A worker that has ended listens no more.
                Ok(copy) => drop(worker.send(Order::Listen(address, copy))),
                Err(error) => tracing::error!(%address, %error, "cannot give a worker its socket"),
            }
        }
        // More sockets than workers: the kernel hands connections to each, so each must be served.
        for (index, socket) in sockets.iter().enumerate().skip(self.orders.len()) {
            let worker = &self.orders[index % self.orders.len()];
            if let Ok(copy) = socket.try_clone() {
                drop(worker.send(Order::Listen(address, TcpListener::from(copy))));
            }
        }
    }

    /// Speaks HTTP/3 no longer where the table does not say so.
    fn silence(&self, model: &RouteTable) {
        for (address, held) in self.listeners.borrow_mut().iter_mut() {
            let speaks = model.listeners.iter().any(|l| l.address == *address && l.speaks_http3());
            if !speaks && held.iter().any(listen::is_datagrams) {
                held.retain(|socket| !listen::is_datagrams(socket));
                drop(self.orders[0].send(Order::Silence(*address)));
            }
        }
    }

    fn unlisten(&self, addresses: &[SocketAddr]) {
        for address in addresses {
            self.listeners.borrow_mut().remove(address);
            for worker in &self.orders {
                drop(worker.send(Order::Unlisten(*address)));
            }
        }
    }

    /// Waits until all workers have come past the change of tables.
    async fn settle(&self) {
        let mut waiting = Vec::with_capacity(self.orders.len());
        for worker in &self.orders {
            let (done, settled) = oneshot::channel();
            if worker.send(Order::Settle(done)).is_ok() {
                waiting.push(settled);
            }
        }
        for settled in waiting {
            // A worker that ended has nothing under way.
            let _ = settled.await;
        }
    }

    async fn hand_out(&self, stream: &UnixStream) -> Result<(), ControlError> {
        let copies: io::Result<Vec<(SocketAddr, Vec<OwnedFd>)>> = self
            .listeners
            .borrow()
            .iter()
            .map(|(address, fds)| {
                Ok((*address, fds.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>()?))
            })
            .collect();
        let copies = copies?;
        let sockets =
            copies.iter().map(|(address, fds)| Sockets { address: *address, count: fds.len() }).collect();
        let fds: Vec<_> = copies.iter().flat_map(|(_, fds)| fds.iter().map(AsFd::as_fd)).collect();
        wire::send(stream, &Reply::Listeners(sockets), &fds).await
    }

    /// Begins the end. When this returns, no connection is ours that was not accepted before; threads exit once
    /// [`Shared::allow_exit`] was called.
    pub(crate) async fn shut_down(&self, grace: Millis) {
        self.shared.end_at(clock::now().saturating_add(grace));
        let all: Vec<SocketAddr> = self.listeners.borrow().keys().copied().collect();
        self.unlisten(&all);
        self.settle().await;
    }
}
