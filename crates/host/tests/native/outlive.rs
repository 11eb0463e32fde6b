//! Instances outlive whoever started them, and nobody mistakes another process for one.

use crate::support::*;
use mainstay_model::InstanceState;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

#[tokio::test]
async fn an_instance_outlives_its_starter_and_is_found_by_looking() {
    let host = Host::new();
    let id = host
        .create(&shell("trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.01; done"), Some(83))
        .await;
    let mut starter = Command::new(env!("CARGO_BIN_EXE_host-test-process"))
        .args(["starter", host.dir.path().to_str().unwrap(), host.stack.as_str(), &id.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(starter.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "started\n");
    let child = host.child(&id);
    host.line(&id, |line| line == "up").await;
    starter.kill().unwrap();
    starter.wait().unwrap();

    let found = host.instance(&id).await;
    assert!(found.is_running());
    assert_eq!((found.port, found.restarts), (Some(83), 0));
    host.native.start(&host.stack, &id).await.unwrap();
    assert_eq!(host.child(&id), child, "what runs is not started again");
    host.native.stop(&host.stack, &id, None, PATIENCE).await.unwrap();
    assert_eq!(host.end(&id).await, (5, false));
}

#[tokio::test]
async fn a_shim_shares_nothing_with_its_starter() {
    let host = Host::new();
    let id = host.start(&shell("echo up; sleep 1000")).await;
    host.line(&id, |line| line == "up").await;
    let shim = host.shim(&id);
    for stream in 0..3 {
        assert_eq!(
            fs::read_link(format!("/proc/{shim}/fd/{stream}")).unwrap().to_str().unwrap(),
            "/dev/null"
        );
    }
    let session = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap().parse::<i32>().unwrap()
    };
    assert_eq!(session(shim), shim);
    assert_eq!(session(host.child(&id)), host.child(&id));
    host.native.remove(&host.stack, &id).await.unwrap();
}

#[tokio::test]
async fn a_killed_shim_takes_its_command_along_and_leaves_137() {
    let host = Host::new();
    let id = host.start(&shell("sleep 1000 & echo $!; exec sleep 1000")).await;
    let orphan: i32 = host.line(&id, |_| true).await.parse().unwrap();
    let child = host.child(&id);
    kill(host.shim(&id));
    gone(child).await;
    assert!(matches!(host.instance(&id).await.state, InstanceState::Exited { code: 137, oom: false, .. }));
    // What the command had started is swept away before the next start, and by removing.
    host.native.start(&host.stack, &id).await.unwrap();
    assert!(!alive(orphan));
    assert_eq!(host.instance(&id).await.restarts, 1);
    host.native.remove(&host.stack, &id).await.unwrap();
}

#[tokio::test]
async fn another_process_of_the_same_number_is_not_the_instance() {
    let host = Host::new();
    let id = host.start(&shell("exec sleep 1000")).await;
    let path = host.instance_dir(&id).join("status.json");
    let true_status = fs::read(&path).unwrap();
    for (part, field) in [("both", "ticks"), ("boot", "boot")] {
        let mut status = host.status(&id);
        // What is in the instance's own control groups would be its own, whatever its number.
        status["cgroups"] = serde_json::json!([]);
        if part == "boot" {
            status[field] = "another".into();
        } else {
            for process in ["shim", "child"] {
                let ticks = status[process]["ticks"].as_u64().unwrap();
                status[process]["ticks"] = (ticks + 1).into();
            }
        }
        fs::write(&path, serde_json::to_vec(&status).unwrap()).unwrap();
        let state = host.instance(&id).await.state;
        assert!(matches!(state, InstanceState::Exited { code: 137, .. }), "{part}: {state:?}");
        host.native.stop(&host.stack, &id, Some("KILL"), Duration::ZERO).await.unwrap();
        let child =
            serde_json::from_slice::<serde_json::Value>(&true_status).unwrap()["child"]["pid"].as_i64();
        assert!(alive(i32::try_from(child.unwrap()).unwrap()), "{part}: a stranger was killed");
    }
    fs::write(&path, true_status).unwrap();
    assert!(host.instance(&id).await.is_running());
    host.native.remove(&host.stack, &id).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_not_an_absence() {
    let host = Host::new();
    let id = host.create(&shell("true"), None).await;
    fs::write(host.instance_dir(&id).join("launch.json"), "{").unwrap();
    let error = host.native.observe(&host.stack).await.unwrap_err();
    assert!(error.to_string().contains("launch.json is damaged"), "{error}");
}
