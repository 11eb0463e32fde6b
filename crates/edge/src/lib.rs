//! The edge: the process that holds the listening sockets and passes requests on to instances.
//!
//! It knows a [`RouteTable`](mainstay_model::table::RouteTable) and nothing else: no Docker, no journal, no
//! specification. One thread per core, each with its own sockets (SO_REUSEPORT), runtime, buffers and upstream
//! connections; a control thread swaps tables and is asked for the status.
//!
//! - [`run`] is the process, [`Config`] what it must be told.
//! - [`control::Client`] is how the agent talks to it.
//! - [`listen::bind`] makes the sockets the agent passes to it.

mod accept;
mod access;
mod access_log;
mod balance;
mod buffer;
mod call;
mod client;
mod clients;
mod clock;
mod cloudflare;
mod compress;
mod connect;
mod connections;
pub mod control;
mod error_page;
mod fair;
mod fields;
mod files;
#[cfg(fuzzing)]
pub mod fuzz;
mod h1;
mod h2;
mod h3;
mod headers;
mod health;
mod hold;
mod identity;
mod issue;
mod limit;
mod line;
pub mod listen;
mod manner;
mod metrics;
mod persist;
mod pool;
mod privileges;
mod proxy;
mod queue;
mod route;
mod run;
mod send_queue;
mod shared;
mod shares;
mod sink;
mod site;
mod source;
mod splice;
mod status;
mod steering;
mod sticky;
mod table;
mod tally;
mod target;
mod tls;
mod transport;
mod tunnel;
mod turn;
mod websocket;
mod wire;
mod worker;

pub use persist::PersistError;
pub use privileges::{PrivilegeError, User};
pub use run::{Config, Error, run};
pub use table::TableError;
