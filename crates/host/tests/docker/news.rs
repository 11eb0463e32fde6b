//! Statistics, events, and jobs.

use super::harness::{IMAGE, Site, idle, service};
use mainstay_host::docker::{ContainerAction, Docker, Job, JobEnd, News};
use mainstay_model::{InstanceId, Resources, RestartPolicy, Secret, Service, WrittenCheck};
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};

super::on_both_engines!(
    a_running_container_has_statistics,
    events_tell_a_life,
    events_come_back_after_the_connection_broke,
    a_restart_by_policy_is_counted,
    the_engines_verdict_on_health_and_memory_is_told,
    a_job_gives_its_status_and_its_log,
    a_job_is_found_again,
    a_job_is_no_instance_and_has_no_name_on_the_network,
);

async fn a_running_container_has_statistics(site: &mut Site) {
    let mut api = idle("api");
    api.resources = Resources { memory: Some(64 << 20), ..Resources::default() };
    let id = site.create(api).await.unwrap();
    assert_eq!(site.docker.stats(&id).await.unwrap(), None);
    site.docker.start(&id).await.unwrap();
    let before = site.docker.stats(&id).await.unwrap().unwrap();
    assert_eq!(before.memory_limit, 64 << 20);
    assert!(before.memory > 0 && before.memory < 32 << 20, "{before:?}");
    assert!(before.pids >= 1);
    site.sh(&id, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done").await;
    let after = site.docker.stats(&id).await.unwrap().unwrap();
    assert!(after.cpu > before.cpu && after.at >= before.at);
}

async fn events_tell_a_life(site: &mut Site) {
    let mut events = site.docker.events(Some(&site.stack.name));
    assert!(matches!(events.next().await, News::Open));
    // Somebody else's containers are not told of.
    let mut other = events_of(&site.docker, "mst-host-somebody-else");
    assert!(matches!(other.next().await, News::Open));

    let id = site.up(service("api", "exit 3")).await;
    site.docker.wait(&id).await.unwrap();
    site.docker.remove(&id).await.unwrap();
    let mut seen = Vec::new();
    while seen.last() != Some(&ContainerAction::Destroyed) {
        match events.next().await {
            News::Happened(event) => {
                assert_eq!(event.container, id);
                assert_eq!(event.name, site.name("api"));
                assert_eq!(event.service.as_ref().map(mainstay_model::ServiceName::as_str), Some("api"));
                assert_eq!(event.instance, InstanceId::parse("api.1.1"));
                assert_eq!(event.stack.as_ref(), Some(&site.stack.name));
                assert!(event.at.0 > 0);
                seen.push(event.action);
            }
            other => panic!("{other:?}"),
        }
    }
    let expected = [
        ContainerAction::Created,
        ContainerAction::Started,
        ContainerAction::Died { code: 3 },
        ContainerAction::Destroyed,
    ];
    assert_eq!(seen, expected);
}

fn events_of(docker: &Docker, stack: &str) -> mainstay_host::docker::Events {
    docker.events(Some(&mainstay_model::StackName::new(stack).unwrap()))
}

async fn events_come_back_after_the_connection_broke(site: &mut Site) {
    let path = site.directory.join("relay.sock");
    let relay = relay(&path, site.host.trim_start_matches("unix://").to_owned());
    let docker = Docker::connect(Some(&format!("unix://{}", path.display()))).await.unwrap();
    let mut events = docker.events(Some(&site.stack.name));
    assert!(matches!(events.next().await, News::Open));
    relay.abort();
    assert!(matches!(events.next().await, News::Lost(_)));
    assert!(matches!(events.next().await, News::Lost(_)));
    std::fs::remove_file(&path).unwrap();
    let relay = self::relay(&path, site.host.trim_start_matches("unix://").to_owned());
    while !matches!(events.next().await, News::Open) {}
    site.create(idle("api")).await.unwrap();
    let News::Happened(event) = events.next().await else { panic!("no event") };
    assert_eq!(event.action, ContainerAction::Created);
    relay.abort();
}

/// Stands between adapter and Engine until it is aborted, with every connection through it.
fn relay(path: &std::path::Path, engine: String) -> tokio::task::JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let engine = engine.clone();
            connections.spawn(async move {
                let mut far = UnixStream::connect(&engine).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    })
}

async fn a_restart_by_policy_is_counted(site: &mut Site) {
    let mut events = site.docker.events(Some(&site.stack.name));
    assert!(matches!(events.next().await, News::Open));
    let mut api = service("api", "exit 1");
    api.restart = RestartPolicy::OnFailure { max_retries: Some(2) };
    let id = site.up(api).await;
    let mut deaths = 0;
    while deaths < 3 {
        if let News::Happened(event) = events.next().await {
            deaths += u32::from(matches!(event.action, ContainerAction::Died { code: 1 }));
        }
    }
    // The last death is told before the Engine has given up.
    site.docker.wait(&id).await.unwrap();
    assert_eq!(site.only().await.restarts, 2);
}

async fn run_job(site: &mut Site, service: &Service, argv: &[&str]) -> (JobEnd, Vec<String>) {
    site.prepare().await;
    let image = site.docker.image_id(IMAGE).await.unwrap();
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    let job = Job { stack: &site.stack, service, purpose: "release", release: 7, image: &image, argv: &argv };
    let mut lines = Vec::new();
    let end = site.docker.run_job(&job, |line| lines.push(line.text)).await.unwrap();
    (end, lines)
}

async fn a_job_gives_its_status_and_its_log(site: &mut Site) {
    let mut api = idle("api");
    api.environment.insert("WORD".to_owned(), Secret::new("migrated"));
    api.restart = RestartPolicy::Always;
    let (end, lines) = run_job(site, &api, &["/bin/sh", "-c", "echo $WORD; echo done >&2; exit 5"]).await;
    assert_eq!((end.code, end.oom), (5, false));
    assert_eq!(lines.len(), 2);
    assert!(lines.contains(&"migrated".to_owned()));
    assert_eq!(end.last_lines.len(), 2);
}

async fn a_job_is_found_again(site: &mut Site) {
    let api = idle("api");
    let (first, _) = run_job(site, &api, &["/bin/sh", "-c", "cat /proc/sys/kernel/random/uuid"]).await;
    let (second, lines) = run_job(site, &api, &["/bin/sh", "-c", "cat /proc/sys/kernel/random/uuid"]).await;
    assert_eq!(first, second);
    assert_eq!(lines, first.last_lines);
    site.docker.remove_jobs(&site.stack.name).await.unwrap();
    let (third, _) = run_job(site, &api, &["/bin/sh", "-c", "cat /proc/sys/kernel/random/uuid"]).await;
    assert_ne!(first.last_lines, third.last_lines);
}

async fn a_job_is_no_instance_and_has_no_name_on_the_network(site: &mut Site) {
    let asker = site.up(idle("asker")).await;
    let api = idle("api");
    let image = site.docker.image_id(IMAGE).await.unwrap();
    let argv: Vec<String> =
        ["/bin/sh", "-c", "trap 'exit 0' TERM; echo on; while :; do sleep 60 & wait; done"]
            .map(str::to_owned)
            .into();
    let job =
        Job { stack: &site.stack, service: &api, purpose: "release", release: 1, image: &image, argv: &argv };
    let (on, is_on) = tokio::sync::oneshot::channel();
    let mut on = Some(on);
    let running = site.docker.run_job(&job, |_| {
        if let Some(on) = on.take() {
            on.send(()).unwrap();
        }
    });
    let look = async {
        is_on.await.unwrap();
        let seen = site.docker.observe(&site.stack.name).await.unwrap();
        assert_eq!(seen.iter().map(|one| one.id.to_string()).collect::<Vec<_>>(), ["asker.1.1"]);
        site.sh(&asker, "! nslookup api 127.0.0.11").await;
        let name = format!("{}-api-release-1", site.stack.name);
        site.docker.stop(&name, None, Duration::from_secs(60)).await.unwrap();
    };
    let (end, ()) = tokio::join!(running, look);
    assert_eq!(end.unwrap().code, 0);
}

async fn the_engines_verdict_on_health_and_memory_is_told(site: &mut Site) {
    let mut events = site.docker.events(Some(&site.stack.name));
    assert!(matches!(events.next().await, News::Open));
    let mut api = idle("api");
    api.resources = Resources { memory: Some(16 << 20), memory_swap: Some(16 << 20), ..Resources::default() };
    api.more.written.healthcheck = Some(WrittenCheck {
        test: ["CMD", "/bin/true"].map(str::to_owned).into(),
        interval: Some(Duration::from_millis(50)),
        ..WrittenCheck::default()
    });
    let id = site.up(api).await;
    let mut until = async |wanted: ContainerAction| loop {
        match events.next().await {
            News::Happened(event) if event.action == wanted => return,
            News::Happened(_) => {}
            other => panic!("{other:?}"),
        }
    };
    until(ContainerAction::Health { healthy: true }).await;
    // A command inside that takes too much memory is not the end of the container.
    let argv = ["/bin/sh", "-c", "tail /dev/zero"].map(str::to_owned);
    let probed = site.docker.probe(&id, &argv, Duration::from_secs(60)).await.unwrap();
    assert_eq!(probed.exit, Some(137));
    until(ContainerAction::OutOfMemory).await;
    assert!(site.only().await.is_running());
}
