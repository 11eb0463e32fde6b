//! Changes are heard of without looking.

use crate::support::*;
use mainstay_host::native::{Change, Changes};
use mainstay_model::{InstanceId, InstanceState};

/// Waits for changes until one of them shows `id` in a state that satisfies `wanted`.
async fn until(host: &Host, changes: &mut Changes, id: &InstanceId, wanted: impl Fn(&InstanceState) -> bool) {
    loop {
        let change = tokio::time::timeout(PATIENCE, changes.next()).await.unwrap().unwrap();
        assert_eq!(change, Change { stack: host.stack.clone(), id: id.clone() });
        if wanted(&host.instance(id).await.state) {
            return;
        }
    }
}

#[tokio::test]
async fn making_starting_ending_and_removing_are_told() {
    let host = Host::new();
    let mut changes = host.native.changes().unwrap();
    let id = host.create(&shell("read go"), None).await;
    until(&host, &mut changes, &id, |state| *state == InstanceState::Created).await;
    host.native.start(&host.stack, &id).await.unwrap();
    until(&host, &mut changes, &id, |state| matches!(state, InstanceState::Exited { code: 1, .. })).await;
    host.native.remove(&host.stack, &id).await.unwrap();
    let change = tokio::time::timeout(PATIENCE, changes.next()).await.unwrap().unwrap();
    assert_eq!(change.id, id);
}

#[tokio::test]
async fn what_was_there_before_is_watched_and_a_killed_shim_is_told() {
    let host = Host::new();
    let id = host.start(&shell("exec sleep 1000")).await;
    let mut changes = host.native.changes().unwrap();
    assert!(host.instance(&id).await.is_running());
    kill(host.shim(&id));
    until(&host, &mut changes, &id, |state| matches!(state, InstanceState::Exited { code: 137, .. })).await;
    host.native.remove(&host.stack, &id).await.unwrap();
}
