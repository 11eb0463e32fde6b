//! Making, starting, stopping, looking.

use crate::support::*;
use mainstay_host::native::NativeError;
use mainstay_model::{InstanceState, StackName};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

#[tokio::test]
async fn an_instance_is_made_started_stopped_and_removed() {
    let host = Host::new();
    let id = host
        .create(&shell("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done"), Some(81))
        .await;
    let made = host.instance(&id).await;
    assert_eq!(
        (made.state, made.port, made.hash.as_str(), made.restarts),
        (InstanceState::Created, Some(81), "hash", 0)
    );
    let mode = std::fs::metadata(host.instance_dir(&id).join("launch.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    host.native.start(&host.stack, &id).await.unwrap();
    host.native.start(&host.stack, &id).await.unwrap();
    host.line(&id, |line| line == "up").await;
    let running = host.instance(&id).await;
    assert!(running.is_running());
    assert_eq!(running.restarts, 0);

    host.native.stop(&host.stack, &id, None, PATIENCE).await.unwrap();
    host.native.stop(&host.stack, &id, None, PATIENCE).await.unwrap();
    assert_eq!(host.end(&id).await, (3, false));
    let lines: Vec<String> = host.log_to_the_end(&id).await.into_iter().map(|line| line.line).collect();
    assert_eq!(lines, ["up", "bye"]);

    host.native.remove(&host.stack, &id).await.unwrap();
    host.native.remove(&host.stack, &id).await.unwrap();
    assert!(host.native.observe(&host.stack).await.unwrap().is_empty());
    assert!(matches!(host.native.start(&host.stack, &id).await, Err(NativeError::Missing(_))));
}

#[tokio::test]
async fn what_ignores_the_signal_is_killed_after_the_grace() {
    let host = Host::new();
    let id = host.start(&shell("trap '' TERM; echo up; while :; do sleep 0.01; done")).await;
    host.line(&id, |line| line == "up").await;
    host.native.stop(&host.stack, &id, None, Duration::from_millis(50)).await.unwrap();
    assert_eq!(host.end(&id).await, (137, false));
}

#[tokio::test]
async fn every_start_after_the_first_counts() {
    let host = Host::new();
    let id = host.start(&shell("exit 1")).await;
    host.end(&id).await;
    for restarts in 1..3 {
        host.native.start(&host.stack, &id).await.unwrap();
        host.end(&id).await;
        assert_eq!(host.instance(&id).await.restarts, restarts);
    }
}

#[tokio::test]
async fn stacks_do_not_see_each_other() {
    let host = Host::new();
    host.create(&shell("true"), None).await;
    let other = StackName::new("other").unwrap();
    assert!(host.native.observe(&other).await.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_left_running_below_the_command_survives_it() {
    let host = Host::new();
    // One stays in the session, one makes its own and is disowned.
    let script = "sleep 1000 & echo $!; setsid sh -c 'sleep 1000 & echo $!'; echo end";
    let id = host.start(&shell(script)).await;
    assert_eq!(host.end(&id).await, (0, false));
    let lines = host.log_to_the_end(&id).await;
    let pids: Vec<i32> = lines.iter().filter_map(|line| line.line.parse().ok()).collect();
    assert_eq!(pids.len(), 2);
    assert!(pids.into_iter().all(|pid| !alive(pid)));
}

#[tokio::test]
async fn environment_is_given_and_is_nowhere_to_be_seen() {
    let host = Host::new();
    let service = with_env(shell("echo $SECRET; echo $PORT $0; env | wc -l; read line"), "SECRET", "hunter2");
    let mut service = service;
    service.stdin_open = true;
    service.command.as_mut().unwrap().push("port=$PORT".to_owned());
    let id = host.create(&service, Some(4321)).await;
    host.native.start(&host.stack, &id).await.unwrap();
    host.line(&id, |line| line == "4321 port=4321").await;
    for pid in [host.child(&id), host.shim(&id)] {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(!String::from_utf8_lossy(&line).contains("hunter2"));
    }
    let environment = std::fs::read(format!("/proc/{}/environ", host.shim(&id))).unwrap();
    assert!(environment.is_empty(), "a shim has no environment");
    assert!(!host.status(&id).to_string().contains("hunter2"));
    host.native.stop(&host.stack, &id, Some("KILL"), Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn ports_are_free_and_differ() {
    let host = Host::new();
    let mut given = std::collections::BTreeSet::new();
    for slot in 1..20 {
        let port = host.native.free_port().await.unwrap();
        assert!(mainstay_host::native::PORTS.contains(&port) && given.insert(port), "{port} {given:?}");
        let listener = std::net::TcpListener::bind(("127.0.0.1", port));
        assert!(listener.is_ok(), "{port}");
        host.native.create(&host.stack, &shell("true"), &id("app", slot), "hash", Some(port)).await.unwrap();
    }
    // The last one begins a round of its own, and passes over what instances have.
    let other = mainstay_host::native::Native::new(host.dir.path(), "/unused");
    assert!(!given.contains(&other.free_port().await.unwrap()));
}

#[tokio::test]
async fn a_full_disk_loses_log_lines_but_not_the_exit_status() {
    if !is_root() {
        eprintln!("skipped: mounting a small tmpfs takes root");
        return;
    }
    let host = Host::new();
    let dir = host.dir.path().to_str().unwrap();
    let mount =
        |arguments: &[&str]| std::process::Command::new("mount").args(arguments).arg(dir).status().unwrap();
    assert!(mount(&["-t", "tmpfs", "-o", "size=200k", "tmpfs"]).success());
    let mut service = shell("n=0; while [ $n -lt 9000 ]; do echo line $n; n=$((n+1)); done; exit 6");
    let options = [("max-size".to_owned(), "50m".to_owned())];
    service.logging = Some(mainstay_model::Logging { driver: None, options: options.into() });
    let end = host.run(&service).await;
    assert!(mount(&["-o", "remount,size=20m"]).success());
    host.native.start(&host.stack, &id("app", 1)).await.unwrap();
    let lines = host.log_to_the_end(&id("app", 1)).await;
    host.native.remove(&host.stack, &id("app", 1)).await.unwrap();
    std::process::Command::new("umount").args(["-l", dir]).status().unwrap();
    assert_eq!(end, (6, false));
    assert_eq!(lines.first().unwrap().line, "line 0");
    assert_eq!(lines.last().unwrap().line, "line 8999");
}

#[tokio::test]
async fn a_command_starts_with_default_signals_and_three_descriptors() {
    let host = Host::new();
    // Left open on purpose, as a careless library does.
    let leak = rustix::io::dup(std::fs::File::open("/dev/null").unwrap()).unwrap();
    let id = host.start(&shell("grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/$$/fd; sleep 1000")).await;
    host.line(&id, |line| line == "2" || line == "10").await;
    for entry in std::fs::read_dir(format!("/proc/{}/fd", host.shim(&id))).unwrap() {
        let path = entry.unwrap().path();
        let number: i32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let target = std::fs::read_link(&path).unwrap();
        assert!(number < 3 || target.to_str() != Some("/dev/null"), "{number} is {target:?}");
    }
    drop(leak);
    host.native.stop(&host.stack, &id, Some("KILL"), Duration::ZERO).await.unwrap();
    let lines: Vec<String> = host.log_to_the_end(&id).await.into_iter().map(|line| line.line).collect();
    for line in &lines[..2] {
        // 32 and 33 are the C library's own; it lets nobody reset them.
        let set = u64::from_str_radix(line.rsplit_once('\t').unwrap().1, 16).unwrap();
        assert_eq!(set & 0x7fff_ffff, 0, "{line}");
    }
    // The shell may keep 10 for its own script.
    assert!(lines[2..].iter().all(|fd| ["0", "1", "2", "10"].contains(&fd.as_str())), "{lines:?}");
}

#[tokio::test]
async fn starting_at_once_from_several_places_starts_one() {
    let host = Host::new();
    let id = host.create(&shell("exec sleep 1000"), None).await;
    let starts = (0..4).map(|_| {
        let (native, stack, id) = (host.native.clone(), host.stack.clone(), id.clone());
        tokio::spawn(async move { native.start(&stack, &id).await })
    });
    for start in starts.collect::<Vec<_>>() {
        start.await.unwrap().unwrap();
    }
    let instance = host.instance(&id).await;
    assert!(instance.is_running());
    assert_eq!(instance.restarts, 0);
    host.native.remove(&host.stack, &id).await.unwrap();
}
