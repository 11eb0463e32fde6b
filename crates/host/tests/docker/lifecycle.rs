//! The life of a container, as the adapter sees it and as docker-compose does.

use super::harness::{Site, idle, service};
use mainstay_host::docker::DockerError;
use mainstay_model::{InstanceId, InstanceState, Resources, ServiceName};
use std::collections::BTreeSet;
use std::time::Duration;

super::on_both_engines!(
    a_life_from_creation_to_removal,
    creating_twice_is_creating_once,
    compose_sees_what_we_made,
    what_compose_made_is_observed_as_release_zero,
    an_out_of_memory_kill_is_told_apart,
    a_stop_that_is_ignored_ends_in_a_kill,
    a_stop_uses_the_signal_it_is_given,
    what_is_gone_stays_gone,
    the_containers_number_name_and_hash_are_kept,
    what_was_left_half_made_is_dead_and_made_anew,
);

async fn a_life_from_creation_to_removal(site: &mut Site) {
    let id = site.create(idle("api")).await.unwrap();
    assert_eq!(site.only().await.state, InstanceState::Created);
    assert_eq!(site.only().await.handle, id);

    site.docker.start(&id).await.unwrap();
    site.docker.start(&id).await.unwrap();
    let running = site.only().await;
    let InstanceState::Running { since } = running.state else { panic!("{running:?}") };
    assert!(since.0 > 0);
    assert!(running.address.is_some(), "{running:?}");

    site.docker.pause(&id).await.unwrap();
    site.docker.pause(&id).await.unwrap();
    assert_eq!(site.only().await.state, InstanceState::Paused);
    site.docker.unpause(&id).await.unwrap();
    site.docker.unpause(&id).await.unwrap();

    site.docker.stop(&id, None, Duration::from_secs(60)).await.unwrap();
    let InstanceState::Exited { code, oom, at } = site.only().await.state else { panic!("still running") };
    assert_eq!((code, oom), (0, false));
    assert!(at >= since);

    site.docker.start(&id).await.unwrap();
    site.docker.kill(&id, None).await.unwrap();
    assert_eq!(site.docker.wait(&id).await.unwrap(), 137);
    site.docker.kill(&id, None).await.unwrap();

    site.docker.remove(&id).await.unwrap();
    site.docker.remove(&id).await.unwrap();
    assert_eq!(site.docker.observe(&site.stack.name).await.unwrap(), []);
}

async fn creating_twice_is_creating_once(site: &mut Site) {
    let first = site.create(idle("api")).await.unwrap();
    assert_eq!(site.create(idle("api")).await.unwrap(), first);
    let other = InstanceId { service: ServiceName::new("api").unwrap(), release: 2, slot: 1 };
    let refused = site.create_as(idle("api"), &other, false).await.unwrap_err();
    assert!(
        matches!(&refused, DockerError::NameInUse { name, .. } if *name == site.name("api")),
        "{refused}"
    );
    site.only().await;
}

async fn compose_sees_what_we_made(site: &mut Site) {
    std::fs::write(
        site.directory.join("compose.yaml"),
        "services:\n  api:\n    image: mainstay-test/busybox:1\nvolumes:\n  data:\n",
    )
    .unwrap();
    let volume = mainstay_model::Volume { name: format!("{}_data", site.stack.name), ..Default::default() };
    site.stack.volumes.insert("data".to_owned(), volume);
    site.up(service("api", "echo hello from api; trap 'exit 0' TERM; while :; do sleep 60 & wait; done"))
        .await;

    let name = site.name("api");
    let listed = site.compose(&["ps", "--all", "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert_eq!(listed["Name"], name.as_str());
    assert_eq!(listed["Service"], "api");
    assert_eq!(listed["State"], "running");
    assert_eq!(listed["Image"], "mainstay-test/busybox:1");
    assert!(site.compose(&["logs"]).contains("hello from api"));

    site.compose(&["down", "--volumes", "--timeout", "60"]);
    assert_eq!(site.docker.observe(&site.stack.name).await.unwrap(), []);
    assert_eq!(site.docker.observe_networks(&site.stack.name).await.unwrap(), BTreeSet::new());
    assert_eq!(site.docker.observe_volumes(&site.stack.name).await.unwrap(), BTreeSet::new());
}

async fn what_compose_made_is_observed_as_release_zero(site: &mut Site) {
    std::fs::write(
        site.directory.join("compose.yaml"),
        "services:\n  api:\n    image: mainstay-test/busybox:1\n    command: sleep 600\n    init: true\n    scale: 2\n    volumes: [data:/d]\nvolumes:\n  data:\n",
    )
    .unwrap();
    site.compose(&["up", "--detach"]);
    site.compose(&["run", "--detach", "api", "sleep", "600"]);
    let seen = site.docker.observe(&site.stack.name).await.unwrap();
    let ids: Vec<_> = seen.iter().map(|instance| instance.id.to_string()).collect();
    assert_eq!(ids, ["api.0.1", "api.0.2"]);
    assert!(seen.iter().all(mainstay_model::Instance::is_running));
    assert_eq!(seen[0].name, site.name("api"));
    assert_eq!(seen[0].hash, "");
    assert_eq!(site.docker.observe_networks(&site.stack.name).await.unwrap(), ["default".to_owned()].into());
    assert_eq!(site.docker.observe_volumes(&site.stack.name).await.unwrap(), ["data".to_owned()].into());
    // Ours on top of Compose's network is its network, not a conflict.
    site.prepare().await;
}

async fn an_out_of_memory_kill_is_told_apart(site: &mut Site) {
    // `tail` keeps the whole of an endless line in memory.
    let mut hungry = service("api", "exec tail /dev/zero");
    hungry.resources =
        Resources { memory: Some(16 << 20), memory_swap: Some(16 << 20), ..Resources::default() };
    let id = site.up(hungry).await;
    site.docker.wait(&id).await.unwrap();
    let seen = site.only().await;
    assert!(matches!(seen.state, InstanceState::Exited { code: 137, oom: true, .. }), "{seen:?}");
}

async fn a_stop_that_is_ignored_ends_in_a_kill(site: &mut Site) {
    let id = site.up(service("api", "trap '' TERM; while :; do sleep 60 & wait; done")).await;
    site.docker.stop(&id, None, Duration::from_millis(100)).await.unwrap();
    let seen = site.only().await;
    assert!(matches!(seen.state, InstanceState::Exited { code: 137, oom: false, .. }), "{seen:?}");
}

async fn a_stop_uses_the_signal_it_is_given(site: &mut Site) {
    let id = site.up(service("api", "trap 'exit 7' USR1; echo set; while :; do sleep 60 & wait; done")).await;
    let request = mainstay_host::docker::LogRequest { follow: true, ..Default::default() };
    let mut log = site.docker.logs(&id, &request).await.unwrap();
    log.next().await.unwrap().unwrap();
    site.docker.stop(&id, Some("SIGUSR1"), Duration::from_secs(60)).await.unwrap();
    let seen = site.only().await;
    assert!(matches!(seen.state, InstanceState::Exited { code: 7, .. }), "{seen:?}");
}

async fn what_is_gone_stays_gone(site: &mut Site) {
    let nothing = site.name("nothing");
    site.docker.remove(&nothing).await.unwrap();
    site.docker.remove_network(&nothing).await.unwrap();
    site.docker.remove_volume(&nothing).await.unwrap();
    assert!(!site.docker.has_network(&nothing).await.unwrap());
    assert!(!site.docker.has_volume(&nothing).await.unwrap());
    assert!(site.docker.start(&nothing).await.unwrap_err().is_not_found());
}

async fn the_containers_number_name_and_hash_are_kept(site: &mut Site) {
    let id = site.create(idle("api")).await.unwrap();
    let renamed = site.name("web");
    site.docker.rename(&id, &renamed).await.unwrap();
    site.docker.rename(&id, &renamed).await.unwrap();
    let seen = site.only().await;
    assert_eq!((seen.number, seen.name.as_str()), (1, renamed.as_str()));
    assert_eq!(seen.id.to_string(), "api.1.1");
    let image = site.docker.image_id(super::harness::IMAGE).await.unwrap();
    assert_eq!(seen.hash, site.stack.instance_hash(&idle("api"), Some(&image)));
    site.create(idle("db")).await.unwrap();
    let refused = site.docker.rename(&id, &site.name("db")).await.unwrap_err();
    assert!(matches!(&refused, DockerError::NameInUse { name, .. } if *name == site.name("db")), "{refused}");
}

async fn what_was_left_half_made_is_dead_and_made_anew(site: &mut Site) {
    let left = site.create(idle("api")).await.unwrap();
    site.docker.rename(&left, &format!("mainstay-unfinished-{}", site.name("api"))).await.unwrap();
    assert_eq!(site.only().await.state, InstanceState::Dead);
    let whole = site.create(idle("api")).await.unwrap();
    let seen = site.only().await;
    assert_eq!((&seen.handle, &seen.state), (&whole, &InstanceState::Created));
}
