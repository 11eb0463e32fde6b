//! What goes wrong, and how it is said.

use super::harness::{IMAGE, Site, idle, service};
use mainstay_host::docker::{Creation, Docker, DockerError, Unreachable};
use mainstay_model::{InstanceId, NetworkAttachment, PortRange, Protocol, PublishedPort, Secret};
use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;

super::on_both_engines!(
    an_image_that_does_not_exist,
    a_port_that_is_taken_is_named,
    a_command_that_does_not_exist,
    secrets_stay_out_of_errors,
    what_the_stack_does_not_define,
    a_failed_creation_leaves_nothing,
);

#[tokio::test]
async fn an_absent_daemon_and_a_dead_one_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("docker.sock");
    let host = format!("unix://{}", path.display());
    let cause = async || match Docker::connect(Some(&host)).await.unwrap_err() {
        DockerError::Unreachable { cause, endpoint, .. } => {
            assert_eq!(endpoint, host);
            cause
        }
        other => panic!("{other}"),
    };
    assert_eq!(cause().await, Unreachable::Absent);
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(cause().await, Unreachable::Refused);
}

async fn an_image_that_does_not_exist(site: &mut Site) {
    let missing = "mainstay-test/nothing:1";
    let error = site.docker.image_id(missing).await.unwrap_err();
    assert!(matches!(&error, DockerError::ImageMissing { image } if image == missing), "{error}");
    assert_eq!(error.to_string(), "image `mainstay-test/nothing:1` is not there");

    site.prepare().await;
    let api = idle("api");
    let id = InstanceId { service: api.name.clone(), release: 1, slot: 1 };
    let image = format!("sha256:{}", "0".repeat(64));
    let name = site.name("api");
    let (stack, service, instance) = (&site.stack, &api, &id);
    let creation = Creation {
        stack,
        service,
        instance,
        name: &name,
        number: 1,
        hash: "h",
        image: &image,
        edge_holds_ports: false,
        reached: &BTreeSet::new(),
    };
    let error = site.docker.create(&creation).await.unwrap_err();
    assert!(matches!(&error, DockerError::ImageMissing { .. }), "{error:?}");
}

async fn a_port_that_is_taken_is_named(site: &mut Site) {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let mut api = idle("api");
    api.ports.push(PublishedPort {
        host_ip: Some("127.0.0.1".parse().unwrap()),
        published: Some(PortRange { start: port, end: port }),
        target: PortRange { start: 80, end: 80 },
        protocol: Protocol::Tcp,
        name: None,
        app_protocol: None,
    });
    let id = site.create(api.clone()).await.unwrap();
    let error = site.docker.start(&id).await.unwrap_err();
    assert!(matches!(&error, DockerError::PortTaken { port: Some(p), .. } if *p == port), "{error:?}");

    // Held by the edge, the port is no matter of the Engine's.
    site.docker.remove(&id).await.unwrap();
    let instance = InstanceId { service: api.name.clone(), release: 1, slot: 2 };
    let id = site.create_as(api, &instance, true).await.unwrap();
    site.docker.start(&id).await.unwrap();
    let labels = &site.raw(&format!("/containers/{id}/json"))["Config"]["Labels"];
    assert_eq!(labels["mainstay.edge.ports"], format!("127.0.0.1:{port}:80/tcp"));
}

async fn a_command_that_does_not_exist(site: &mut Site) {
    let mut api = service("api", "");
    api.command = Some(vec!["/no/such/program".to_owned()]);
    let id = site.create(api).await.unwrap();
    let error = site.docker.start(&id).await.unwrap_err();
    assert!(error.to_string().contains("/no/such/program"), "{error}");
}

async fn secrets_stay_out_of_errors(site: &mut Site) {
    let mut api = idle("api");
    api.environment.insert(String::new(), Secret::new("hunter2hunter2"));
    let error = site.create(api).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

async fn what_the_stack_does_not_define(site: &mut Site) {
    let mut api = idle("api");
    api.networks.insert("elsewhere".to_owned(), NetworkAttachment::default());
    let error = site.create(api).await.unwrap_err();
    assert_eq!(error.to_string(), "network `elsewhere` is not defined in the stack");
}

async fn a_failed_creation_leaves_nothing(site: &mut Site) {
    let mut api = idle("api");
    api.networks.insert("lost".to_owned(), NetworkAttachment { priority: -1, ..Default::default() });
    let network = mainstay_model::Network { name: format!("{}_lost", site.stack.name), ..Default::default() };
    site.prepare().await;
    let id = InstanceId { service: api.name.clone(), release: 1, slot: 1 };
    let image = site.docker.image_id(IMAGE).await.unwrap();
    site.stack.networks.insert("lost".to_owned(), network);
    let (stack, service, instance, name) = (&site.stack, &api, &id, site.name("api"));
    let creation = Creation {
        stack,
        service,
        instance,
        name: &name,
        number: 1,
        hash: "h",
        image: &image,
        edge_holds_ports: false,
        reached: &BTreeSet::new(),
    };
    // Engines that take all networks at once notice at the start that one is missing.
    match site.docker.create(&creation).await {
        Err(_) => assert_eq!(site.docker.observe(&site.stack.name).await.unwrap(), []),
        Ok(id) => assert!(site.docker.start(&id).await.is_err()),
    }
}
