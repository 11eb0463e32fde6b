//! The words of Mainstay, as data: what is wanted ([`Stack`], [`Release`]), what is seen ([`Observed`]), what
//! is decided ([`Plan`], [`Step`]), what was decided before and must survive a crash ([`StackState`]).
//!
//! Knows nothing about files, sockets, processes, clocks or randomness. Everything here is plain data that
//! serialises, compares and clones.

mod access;
mod access_log;
mod as_written;
mod balance;
mod config_hash;
mod event;
mod files;
mod health;
mod hook;
mod image;
mod instance;
mod limit;
mod name;
mod observed;
mod outside;
mod pages;
mod plan;
mod release;
mod resources;
mod response;
mod route;
mod secret;
mod service;
mod service_more;
mod site;
mod stack;
mod state;
mod storage;
pub mod table;
mod tcp;
mod time;
mod tls;
mod transport;
mod trust;

pub use access::{Access, Asked, BasicAuth, ForwardAuth, Jwt, JwtKeys, NetworkRule, Webhook, WebhookSender};
pub use access_log::{AccessLog, LogFormat};
pub use as_written::{AsWritten, WrittenCheck};
pub use balance::{Balance, Ejection, HashKey, Keepalive};
pub use config_hash::{ConfigHash, ConfigPiece, sha256};
pub use event::{Event, EventKind};
pub use files::Files;
pub use health::{Healthcheck, Probe, Readiness};
pub use hook::{Hook, WatchAction, WatchRule};
pub use image::{Build, BuildMore, ImageRef};
pub use instance::{Health, Instance, InstanceId, InstanceState, MadeByCompose};
pub use limit::{Limit, LimitKey, LimitKind, Rate};
pub use name::{InvalidName, ServiceName, StackName};
pub use observed::{Observed, Seen};
pub use outside::{CredentialSpec, Model, ModelUse, Provider};
pub use pages::{ClientRules, ErrorPages, Maintenance, PageFor};
pub use plan::{Plan, Reason, Step, StepKey, Waiting};
pub use release::{Release, ReleaseNumber};
pub use resources::{Blkio, DeviceRate, DeviceRequest, DeviceWeight, Resources, Ulimit};
pub use response::{Compression, ContentCoding, Cors, HeaderRules, Preset};
pub use route::{
    Choice, Conditions, ExternalRoute, HostPattern, Redirect, RequestHeaders, Route, RoutePolicy,
    RouteTimeouts, UpstreamHealth, UpstreamShare,
};
pub use secret::Secret;
pub use service::{
    Dependency, DependencyCondition, Logging, NetworkAttachment, PortRange, Protocol, PublishedPort,
    RestartPolicy, RuntimeKind, Service,
};
pub use service_more::ServiceMore;
pub use site::Site;
pub use stack::{AddressPool, EdgeSettings, FileObject, Network, Stack, Volume};
pub use state::{Answers, Deploy, Failure, Phase, StackState, Transition, Watch, Wish};
pub use storage::{FileGrant, ForeignMount, Mount, MountKind};
pub use tcp::TcpRoute;
pub use time::Timestamp;
pub use tls::{
    Acme, CertificateFiles, DnsProvider, ExternalAccount, Issuer, LETS_ENCRYPT, LETS_ENCRYPT_STAGING,
    ManagedCertificate, OnDemand, TableTls, TlsSettings,
};
pub use transport::{ClientIdentity, ProxyVersion, Scheme, Transport, UpstreamTls};
pub use trust::TrustedProxy;
