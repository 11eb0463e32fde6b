//! Everything that a service can say arrives in the container.

use super::harness::{Site, idle, service};
use mainstay_model::{
    AddressPool, ConfigHash, FileGrant, FileObject, Logging, Mount, MountKind, Network, NetworkAttachment,
    Resources, RestartPolicy, Secret, Ulimit, Volume, WrittenCheck,
};
use std::collections::BTreeMap;
use std::time::Duration;

super::on_both_engines!(
    limits_and_rights_arrive,
    names_on_networks_resolve,
    mounts_are_mounted,
    secrets_and_configs_are_readable,
    compose_labels_and_healthcheck_are_set,
    an_empty_command_is_not_the_images,
    a_network_can_be_shared_with_a_service,
);

async fn limits_and_rights_arrive(site: &mut Site) {
    let mut api = idle("api");
    api.resources = Resources {
        memory: Some(64 << 20),
        memory_reservation: Some(32 << 20),
        memory_swap: Some(64 << 20),
        nano_cpus: Some(500_000_000),
        nano_cpus_reservation: None,
        cpu_shares: Some(512),
        pids: Some(50),
        ..Resources::default()
    };
    api.ulimits.insert("nofile".to_owned(), Ulimit { soft: 1024, hard: 2048 });
    api.shm_size = Some(8 << 20);
    api.user = Some("65534:65534".to_owned());
    api.group_add = vec!["4242".to_owned()];
    api.working_dir = Some("/bin".to_owned());
    api.hostname = Some("inside".to_owned());
    api.extra_hosts.insert("far".to_owned(), vec!["192.0.2.7".to_owned()]);
    api.cap_drop = vec!["ALL".to_owned()];
    api.cap_add = vec!["NET_BIND_SERVICE".to_owned()];
    api.security_opt = vec!["no-new-privileges:true".to_owned()];
    api.read_only = true;
    api.init = Some(true);
    api.restart = RestartPolicy::OnFailure { max_retries: Some(4) };
    api.logging = Some(Logging {
        driver: Some("json-file".to_owned()),
        options: [("max-size".to_owned(), "1m".to_owned())].into(),
    });
    api.environment.insert("WORD".to_owned(), Secret::new("with = and space"));
    api.dns_search = vec!["far.example".to_owned()];
    api.dns_opt = vec!["ndots:3".to_owned()];
    api.sysctls.insert("net.core.somaxconn".to_owned(), "99".to_owned());
    api.stop_signal = Some("SIGINT".to_owned());
    api.stop_grace_period = Duration::from_secs(7);
    api.more.written.stop_grace_period = true;
    let id = site.up(api).await;

    let raw = site.raw(&format!("/containers/{id}/json"));
    let (host, config) = (&raw["HostConfig"], &raw["Config"]);
    assert_eq!(host["Memory"], 64 << 20);
    assert_eq!(host["MemoryReservation"], 32 << 20);
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!(host["CpuShares"], 512);
    assert_eq!(host["PidsLimit"], 50);
    assert_eq!(host["ShmSize"], 8 << 20);
    assert_eq!(host["RestartPolicy"], serde_json::json!({ "Name": "on-failure", "MaximumRetryCount": 4 }));
    assert_eq!(host["LogConfig"]["Config"]["max-size"], "1m");
    assert_eq!(host["Init"], true);
    // The soft limit inside is no witness: runc before 1.1.13 sometimes raises it to the hard one for a command.
    assert_eq!(host["Ulimits"], serde_json::json!([{ "Name": "nofile", "Soft": 1024, "Hard": 2048 }]));
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(config["StopSignal"], "SIGINT");
    assert_eq!(config["StopTimeout"], 7);
    let inside = "echo $(id -u) $(id -G) $(pwd) $(hostname) $(ulimit -Hn) $WORD; grep far /etc/hosts; \
                  cat /proc/sys/net/core/somaxconn; grep NoNewPrivs /proc/self/status; cat /etc/resolv.conf; touch /x 2>&1 || true";
    let seen = site.sh(&id, inside).await;
    assert!(seen.starts_with("65534 65534 4242 /bin inside 2048 with = and space\n"), "{seen}");
    for part in ["192.0.2.7", "\n99\n", "NoNewPrivs:\t1", "far.example", "ndots:3", "Read-only file system"] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
}

async fn names_on_networks_resolve(site: &mut Site) {
    let back = Network { name: format!("{}_back", site.stack.name), internal: true, ..Network::default() };
    site.stack.networks.insert("back".to_owned(), back);
    let subnet = format!("10.{}.77.0/24", if site.host.contains("newest") { 98 } else { 97 });
    let fixed = Network {
        name: format!("{}_fixed", site.stack.name),
        pools: vec![AddressPool { subnet: Some(subnet.clone()), ..AddressPool::default() }],
        ..Network::default()
    };
    let address = subnet.replace("0/24", "9");
    site.stack.networks.insert("fixed".to_owned(), fixed);
    let mut db = idle("db");
    let attachment =
        NetworkAttachment { aliases: vec!["store".to_owned()], priority: 5, ..Default::default() };
    db.networks.insert("back".to_owned(), attachment);
    let attachment = NetworkAttachment { ipv4_address: Some(address.clone()), ..Default::default() };
    db.networks.insert("fixed".to_owned(), attachment);
    let db_id = site.up(db).await;
    let mut api = idle("api");
    api.networks = [("back".to_owned(), NetworkAttachment::default())].into();
    let api_id = site.up(api).await;

    for name in ["db", "store", &site.name("db")] {
        site.sh(&api_id, &format!("nslookup {name} 127.0.0.11")).await;
    }
    let raw = site.raw(&format!("/containers/{db_id}/json"));
    let networks = &raw["NetworkSettings"]["Networks"];
    assert_eq!(networks.as_object().unwrap().len(), 3);
    assert_eq!(networks[format!("{}_fixed", site.stack.name)]["IPAddress"], address.as_str());
    // The network of the highest priority is the one it is reached on.
    let back = networks[format!("{}_back", site.stack.name)]["IPAddress"].as_str().unwrap();
    let seen = site.docker.observe(&site.stack.name).await.unwrap();
    let seen = seen.iter().find(|instance| instance.id.service.as_str() == "db").unwrap();
    assert_eq!(seen.address.unwrap().to_string(), back);
    assert_eq!(seen.name, site.name("db"));
}

async fn mounts_are_mounted(site: &mut Site) {
    let name = format!("{}_data", site.stack.name);
    site.stack.volumes.insert("data".to_owned(), Volume { name, ..Volume::default() });
    std::fs::write(site.directory.join("file"), "of the host").unwrap();
    let bind = |source: &str, create| MountKind::Bind {
        source: site.directory.join(source),
        create,
        propagation: None,
        selinux: None,
        recursive: None,
    };
    let volume =
        MountKind::Volume { key: "data".to_owned(), nocopy: false, subpath: None, labels: BTreeMap::new() };
    let kinds = [
        (volume, "/data", false),
        (MountKind::Anonymous, "/anonymous", false),
        (bind("file", false), "/file", true),
        (bind("made/for/it", true), "/made", false),
        (
            MountKind::Tmpfs {
                size: Some(1 << 20),
                mode: Some(0o750),
                options: vec!["uid=7".to_owned()],
                written: Some("size=1m,mode=750,uid=7".to_owned()),
            },
            "/memory",
            false,
        ),
    ];
    let mut api = idle("api");
    api.mounts = kinds
        .into_iter()
        .map(|(kind, target, read_only)| Mount { kind, target: target.to_owned(), read_only })
        .collect();
    let id = site.up(api).await;
    let seen = site
        .sh(&id, "cat /file; echo x > /data/x; echo x > /made/x; echo x > /anonymous/x; df -k /memory; stat -c '%a %u' /memory; touch /file 2>&1 || true")
        .await;
    assert!(seen.starts_with("of the host"), "{seen}");
    assert!(seen.contains("1024") && seen.contains("750 7\n"), "{seen}");
    assert!(seen.contains("Read-only file system"), "{seen}");
    assert!(site.directory.join("made/for/it/x").exists());

    let raw = site.raw(&format!("/containers/{id}/json"));
    let mounts = raw["Mounts"].as_array().unwrap();
    let anonymous = mounts.iter().find(|mount| mount["Destination"] == "/anonymous").unwrap();
    let anonymous = anonymous["Name"].as_str().unwrap();
    assert!(site.docker.has_volume(anonymous).await.unwrap());
    site.docker.remove(&id).await.unwrap();
    assert!(!site.docker.has_volume(anonymous).await.unwrap());
    assert!(site.docker.has_volume(&format!("{}_data", site.stack.name)).await.unwrap());
}

async fn secrets_and_configs_are_readable(site: &mut Site) {
    let file = site.directory.join("token");
    std::fs::write(&file, "from a file").unwrap();
    let from_file = FileObject { file: Some(file), ..FileObject::default() };
    let content = FileObject { content: Some(Secret::new("from text")), ..FileObject::default() };
    site.stack.secrets.insert("token".to_owned(), from_file);
    site.stack.configs.insert("settings".to_owned(), content);
    let grant = |source: &str, target: &str, mode| FileGrant {
        source: source.to_owned(),
        target: target.to_owned(),
        uid: Some("65534".to_owned()),
        gid: None,
        mode,
    };
    let mut api = idle("api");
    api.secrets = vec![grant("token", "/run/secrets/token", None)];
    api.configs = vec![grant("settings", "/etc/deep/settings", Some(0o400))];
    let id = site.create(api).await.unwrap();
    // Made in several requests, and still under its own name.
    assert_eq!(site.only().await.name, site.name("api"));
    assert_eq!(site.only().await.state, mainstay_model::InstanceState::Created);
    site.docker.start(&id).await.unwrap();
    let seen = site
        .sh(
            &id,
            "cat /run/secrets/token; echo; cat /etc/deep/settings; echo; stat -c '%a %u' /etc/deep/settings",
        )
        .await;
    assert_eq!(seen, "from a file\nfrom text\n400 65534");
}

async fn compose_labels_and_healthcheck_are_set(site: &mut Site) {
    let mut api = idle("api");
    api.labels.insert("team".to_owned(), "blue".to_owned());
    api.config_hash = Some(ConfigHash::Fixed("composes".to_owned()));
    api.more.written.healthcheck = Some(WrittenCheck {
        test: ["CMD-SHELL", "exit 0"].map(str::to_owned).into(),
        interval: Some(Duration::from_millis(1500)),
        retries: Some(4),
        start_interval: Some(Duration::from_secs(1)),
        ..WrittenCheck::default()
    });
    let id = site.create(api).await.unwrap();
    let raw = site.raw(&format!("/containers/{id}/json"));
    let check = &raw["Config"]["Healthcheck"];
    assert_eq!(check["Test"], serde_json::json!(["CMD-SHELL", "exit 0"]));
    assert_eq!(check["Interval"], 1_500_000_000);
    assert_eq!(check["Retries"], 4);
    let labels = &raw["Config"]["Labels"];
    let expected = [
        ("team", "blue"),
        ("com.docker.compose.project", site.stack.name.as_str()),
        ("com.docker.compose.service", "api"),
        ("com.docker.compose.container-number", "1"),
        ("com.docker.compose.oneoff", "False"),
        ("com.docker.compose.project.working_dir", site.directory.to_str().unwrap()),
        ("com.docker.compose.depends_on", ""),
        ("mainstay.instance", "api.1.1"),
        ("mainstay.release", "1"),
    ];
    for (label, value) in expected {
        assert_eq!(labels[label], value, "{label}");
    }
    assert_eq!(labels["com.docker.compose.image"], raw["Image"]);
    assert_eq!(labels["com.docker.compose.config-hash"], "composes");
}

async fn an_empty_command_is_not_the_images(site: &mut Site) {
    let mut api = service("api", "");
    api.entrypoint = Some(["/bin/echo", "only"].map(str::to_owned).into());
    api.command = Some(Vec::new());
    let id = site.up(api).await;
    site.docker.wait(&id).await.unwrap();
    assert_eq!(site.log(&id, false).await, ["only"]);
}

async fn a_network_can_be_shared_with_a_service(site: &mut Site) {
    let api = site.up(idle("api")).await;
    let mut side = idle("side");
    side.networks.clear();
    side.network_mode = Some("service:api".to_owned());
    let side = site.up(side).await;
    let raw = site.raw(&format!("/containers/{side}/json"));
    assert_eq!(raw["HostConfig"]["NetworkMode"], format!("container:{api}"));
}
