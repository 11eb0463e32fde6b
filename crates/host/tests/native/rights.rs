//! Users, groups and limits. Most of it takes root; without, the tests say what they skipped.

use crate::support::*;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn skipped() -> bool {
    if !is_root() {
        eprintln!("skipped: takes root");
    }
    !is_root()
}

/// The file in whichever group of the instance has it.
fn group_file(host: &Host, id: &mainstay_model::InstanceId, names: [&str; 2]) -> String {
    let groups = host.status(id)["cgroups"].clone();
    let dirs = groups.as_array().unwrap().iter().map(|dir| PathBuf::from(dir.as_str().unwrap()));
    let files = dirs.flat_map(|dir| names.map(|name| dir.join(name)));
    let texts: Vec<String> = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
    texts.first().unwrap_or_else(|| panic!("none of {names:?} in {groups}")).trim().to_owned()
}

#[tokio::test]
async fn the_user_and_groups_are_taken_before_the_command_runs() {
    if skipped() {
        return;
    }
    let host = Host::new();
    let mut service = shell("id -u; id -g; id -G; echo $HOME; ulimit -n; umask; pwd");
    service.user = Some("nobody".into());
    service.group_add = vec!["4".into()];
    service.working_dir = Some("/usr".into());
    service.ulimits.insert("nofile".into(), mainstay_model::Ulimit { soft: 123, hard: 456 });
    let id = host.start(&service).await;
    let lines: Vec<String> = host.log_to_the_end(&id).await.into_iter().map(|line| line.line).collect();
    assert_eq!(lines[..2], ["65534", "65534"]);
    let mut groups: Vec<&str> = lines[2].split(' ').collect();
    groups.sort_unstable();
    assert_eq!(groups, ["4", "65534"]);
    assert_eq!(lines[3..], ["/nonexistent", "123", "0022", "/usr"]);
}

#[tokio::test]
async fn limits_are_in_force_and_their_groups_go_with_the_instance() {
    if skipped() {
        return;
    }
    let host = Host::new();
    let mut service = shell("echo up; while :; do sleep 0.01; done");
    service.resources.memory = Some(64 << 20);
    service.resources.nano_cpus = Some(250_000_000);
    service.resources.pids = Some(33);
    let id = host.start(&service).await;
    host.line(&id, |line| line == "up").await;
    assert_eq!(host.native.not_in_force(&host.stack, &id).await.unwrap(), Vec::<String>::new());
    assert_eq!(group_file(&host, &id, ["memory.limit_in_bytes", "memory.max"]), (64 << 20).to_string());
    let quota = group_file(&host, &id, ["cpu.cfs_quota_us", "cpu.max"]);
    assert_eq!(quota.split(' ').next(), Some("25000"));
    assert_eq!(group_file(&host, &id, ["pids.max", "pids.max"]), "33");
    let members = group_file(&host, &id, ["cgroup.procs", "cgroup.procs"]);
    assert!(members.lines().any(|pid| pid == host.child(&id).to_string()));
    assert!(!members.lines().any(|pid| pid == host.shim(&id).to_string()));

    let used = host.native.stats(&host.stack, &id).await.unwrap();
    assert_eq!(used.memory_limit, Some(64 << 20));
    assert!(used.memory > 0 && used.memory < 64 << 20 && used.cpu > 0 && used.processes >= 1, "{used:?}");

    let groups = host.status(&id)["cgroups"].clone();
    host.native.stop(&host.stack, &id, Some("KILL"), PATIENCE).await.unwrap();
    for dir in groups.as_array().unwrap() {
        assert!(!PathBuf::from(dir.as_str().unwrap()).exists(), "{dir}");
    }
}

#[tokio::test]
async fn want_of_memory_is_told_from_a_crash() {
    if skipped() {
        return;
    }
    let host = Host::new();
    let mut service = service(&["python3", "-c", "b = bytearray(200 << 20); print(len(b))"]);
    service.environment.insert("PATH".into(), mainstay_model::Secret::new("/usr/bin:/bin"));
    service.resources.memory = Some(32 << 20);
    assert_eq!(host.run(&service).await, (137, true));
}

#[tokio::test]
async fn a_process_beyond_the_limit_is_refused_to_the_instance_alone() {
    if skipped() {
        return;
    }
    let host = Host::new();
    let mut service = shell("for n in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all");
    service.resources.pids = Some(4);
    let id = host.start(&service).await;
    let (code, _) = host.end(&id).await;
    let lines = host.log_to_the_end(&id).await;
    assert_ne!(code, 0);
    assert!(lines.iter().all(|line| line.line != "all"), "{lines:?}");
}

/// As somebody who may not make control groups: the instance runs, and says what is missing.
#[tokio::test]
async fn limits_that_cannot_be_put_are_named() {
    let host = Host::new();
    let mut service = shell("echo up; sleep 1000");
    service.resources.memory = Some(64 << 20);
    service.resources.pids = Some(10);
    let id = host.create(&service, None).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-test-process"));
    command.args(["starter", host.dir.path().to_str().unwrap(), host.stack.as_str(), &id.to_string()]);
    if is_root() {
        let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(host.dir.path()).status();
        assert!(owned.unwrap().success());
        command.uid(65534).gid(65534);
    }
    let mut starter = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(starter.stdout.take().unwrap()), &mut said)
        .unwrap();
    starter.kill().unwrap();
    starter.wait().unwrap();
    assert_eq!(said, "started\n");
    let missing = host.native.not_in_force(&host.stack, &id).await.unwrap();
    assert_eq!(missing.len(), 3, "{missing:?}");
    for limit in ["memory limit is not in force: ", "memswap_limit", "pids limit is not in force: "] {
        assert!(missing.iter().any(|said| said.starts_with(limit)), "{missing:?}");
    }
    let used = host.native.stats(&host.stack, &id).await.unwrap();
    assert!(used.memory > 0 && used.processes >= 1, "{used:?}");
    host.native.remove(&host.stack, &id).await.unwrap();
}

#[tokio::test]
async fn only_root_may_choose_a_user() {
    let host = Host::new();
    let mut service = shell("true");
    service.user = Some("root".into());
    let id = host.create(&service, None).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-test-process"));
    command.args(["starter", host.dir.path().to_str().unwrap(), host.stack.as_str(), &id.to_string()]);
    if is_root() {
        let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(host.dir.path()).status();
        assert!(owned.unwrap().success());
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("can be chosen only by root"), "{said}");
}
