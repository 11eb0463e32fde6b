//! The words of Mainstay, as data: what is wanted ([`Stack`], [`Release`]), what is seen ([`Observed`]), what
//! is decided ([`Plan`], [`Step`]), what was decided before and must survive a crash ([`StackState`]).
//!
//! Knows nothing about files, sockets, processes, clocks or randomness. Everything here is plain data that
//! serialises, compares and clones.

mod event;
mod health;
mod image;
mod instance;
mod name;
mod observed;
mod plan;
mod release;
mod route;
mod secret;
mod service;
mod stack;
mod state;
mod storage;
pub mod table;
mod time;

pub use event::{Event, EventKind};
pub use health::{Healthcheck, Probe, Readiness};
pub use image::{Build, ImageRef};
pub use instance::{Health, Instance, InstanceId, InstanceState};
pub use name::{InvalidName, ServiceName, StackName};
pub use observed::{Observed, Seen};
pub use plan::{Plan, Reason, Step, StepKey, Waiting};
pub use release::{Release, ReleaseNumber};
pub use route::{ExternalRoute, HostPattern, Route, RouteTimeouts};
pub use secret::Secret;
pub use service::{
    Dependency, DependencyCondition, Logging, NetworkAttachment, PortRange, Protocol, PublishedPort,
    Resources, RestartPolicy, RuntimeKind, Service, Ulimit,
};
pub use stack::{EdgeSettings, FileObject, Network, Stack, Volume};
pub use state::{Answers, Deploy, Failure, Phase, StackState, Transition, Watch, Wish};
pub use storage::{FileGrant, Mount, MountKind};
pub use time::Timestamp;
