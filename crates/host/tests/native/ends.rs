//! Exit codes, as Docker gives them.

use crate::support::*;
use mainstay_host::native::NativeError;
use mainstay_model::{InstanceState, Service};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The sentence and the code with which `service` is refused; the instance shows the same code.
async fn refused(service: &Service) -> (String, i32) {
    let host = Host::new();
    let (said, said_code) = match host.try_start(service).await {
        Err(NativeError::Start { why, code, .. }) => (why, code),
        other => panic!("{other:?}"),
    };
    let state = host.instance(&id("app", 1)).await.state;
    assert!(matches!(state, InstanceState::Exited { code, .. } if code == said_code), "{state:?}");
    (said, said_code)
}

#[tokio::test]
async fn codes_of_the_command_and_of_signals() {
    assert_eq!(Host::new().run(&shell("exit 0")).await, (0, false));
    assert_eq!(Host::new().run(&shell("exit 42")).await, (42, false));
    assert_eq!(Host::new().run(&shell("kill -SEGV $$")).await, (139, false));
    assert_eq!(Host::new().run(&shell("kill -KILL $$")).await, (137, false));
}

#[tokio::test]
async fn a_missing_command_is_127_and_named() {
    assert_eq!(
        refused(&service(&["no-such-command"])).await,
        ("command `no-such-command` not found in PATH".into(), 127)
    );
    let (why, code) = refused(&service(&["./bin/nothing"])).await;
    assert_eq!((why.as_str(), code), ("command /./bin/nothing not found", 127));
}

#[tokio::test]
async fn what_cannot_be_executed_is_126() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    fs::write(&plain, "#!/bin/sh\n").unwrap();
    let (why, code) = refused(&service(&[plain.to_str().unwrap()])).await;
    assert_eq!(code, 126);
    assert!(why.contains("plain is not executable"), "{why}");
    assert_eq!(refused(&service(&["/etc"])).await.1, 126);
}

#[tokio::test]
async fn a_missing_interpreter_is_hinted_at() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let (why, code) = refused(&service(&[script.to_str().unwrap()])).await;
    assert_eq!(code, 127);
    assert!(why.contains("interpreter"), "{why}");
}

#[tokio::test]
async fn a_missing_user_or_directory_is_named() {
    let mut nobody = shell("true");
    nobody.user = Some("no-such-user".into());
    assert_eq!(refused(&nobody).await, ("there is no user `no-such-user` in /etc/passwd".into(), 128));
    let mut nowhere = shell("true");
    nowhere.working_dir = Some("/no/such/dir".into());
    assert_eq!(refused(&nowhere).await, ("working_dir /no/such/dir is not a directory".into(), 128));
}

#[tokio::test]
async fn what_only_a_container_can_have_is_refused_by_key() {
    let host = Host::new();
    let mut service = shell("true");
    service.read_only = true;
    service.cap_add.push("NET_ADMIN".into());
    let error = host.native.create(&host.stack, &service, &id("app", 1), "hash", None).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`cap_add`") && text.contains("`read_only`"), "{text}");
    let empty =
        host.native.create(&host.stack, &self::service(&[]), &id("app", 1), "hash", None).await.unwrap_err();
    assert!(matches!(empty, NativeError::NoCommand(_)));
    assert!(host.native.observe(&host.stack).await.unwrap().is_empty());
}
