//! A journal in a directory of its own, and things to write into it.

use mainstay_host::journal::Journal;
use mainstay_model::{
    EdgeSettings, Event, EventKind, InstanceId, ServiceName, Stack, StackName, StackState, Timestamp,
    Transition,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub fn open() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    (dir, journal)
}

pub fn shop() -> StackName {
    StackName::new("shop").unwrap()
}

pub fn instance(slot: u32) -> InstanceId {
    InstanceId { service: ServiceName::new("api.v2").unwrap(), release: 3, slot }
}

/// A state at `generation` with something in every kind of field.
pub fn state(generation: u64) -> StackState {
    let service = ServiceName::new("api").unwrap();
    StackState {
        generation,
        current: Some(1),
        stopped: BTreeSet::from([service.clone()]),
        leaving: BTreeMap::from([(instance(1), Timestamp(5))]),
        replace: BTreeMap::from([(instance(2), Timestamp(6))]),
        attempts: BTreeMap::from([(service, (3, Timestamp(7)))]),
        ..StackState::default()
    }
}

pub fn transition(slot: u32) -> Transition {
    Transition::Leave { instances: BTreeSet::from([instance(slot)]), at: Timestamp(u64::from(slot)) }
}

pub fn stack() -> Stack {
    Stack {
        name: shop(),
        directory: PathBuf::from("/srv/shop"),
        files: Vec::new(),
        services: BTreeMap::new(),
        jobs: BTreeMap::new(),
        providers: BTreeMap::new(),
        models: BTreeMap::new(),
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        secrets: BTreeMap::new(),
        configs: BTreeMap::new(),
        edge: EdgeSettings::default(),
    }
}

pub fn event(at: u64) -> Event {
    Event {
        at: Timestamp(at),
        stack: shop(),
        service: None,
        instance: None,
        release: None,
        kind: EventKind::Note,
        message: format!("event {at}"),
    }
}
