//! Running something inside an instance.

use crate::support::*;
use mainstay_host::native::{Exec, ExecInput, ExecOutput, ExecRequest, NativeError, ProbeResult, Stream};
use mainstay_model::{InstanceId, Secret};
use std::time::Duration;

fn request(script: &str) -> ExecRequest {
    ExecRequest { argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(), ..ExecRequest::default() }
}

async fn running(host: &Host) -> InstanceId {
    let service = with_env(shell("echo up; while :; do sleep 0.01; done"), "COLOUR", "green");
    let id = host.start(&service).await;
    host.line(&id, |line| line == "up").await;
    id
}

async fn gather(exec: &mut Exec) -> (String, String, i32) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        match tokio::time::timeout(PATIENCE, exec.output.recv()).await.unwrap().unwrap() {
            ExecOutput::Data(Stream::Stdout, bytes) => out.extend(bytes),
            ExecOutput::Data(Stream::Stderr, bytes) => err.extend(bytes),
            ExecOutput::Exited(code) => {
                return (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap(), code);
            }
        }
    }
}

#[tokio::test]
async fn input_output_environment_and_exit_code() {
    let host = Host::new();
    let id = running(&host).await;
    let mut request = request("cat; echo $COLOUR $EXTRA; pwd; echo oops >&2; exit 7");
    request.environment.insert("EXTRA".into(), Secret::new("more"));
    request.working_dir = Some("/usr".into());
    let mut exec = host.native.exec(&host.stack, &id, request).await.unwrap();
    exec.input.send(ExecInput::Data("hello\n".into())).await.unwrap();
    exec.input.send(ExecInput::End).await.unwrap();
    let seen = gather(&mut exec).await;
    assert_eq!(seen, ("hello\ngreen more\n/usr\n".into(), "oops\n".into(), 7));
}

#[tokio::test]
async fn a_terminal_with_a_size() {
    let host = Host::new();
    let id = running(&host).await;
    let request = ExecRequest { tty: true, ..request("read go; stty size; cat; exit 3") };
    let mut exec = host.native.exec(&host.stack, &id, request).await.unwrap();
    exec.input.send(ExecInput::Resize { rows: 33, columns: 111 }).await.unwrap();
    exec.input.send(ExecInput::Data("go\n".into())).await.unwrap();
    exec.input.send(ExecInput::End).await.unwrap();
    let (out, err, code) = gather(&mut exec).await;
    assert!(out.contains("33 111"), "{out}");
    assert_eq!((err.as_str(), code), ("", 3));
}

#[tokio::test]
async fn codes_of_what_cannot_run_and_of_what_is_not_running() {
    let host = Host::new();
    let id = running(&host).await;
    let missing = ExecRequest { argv: vec!["no-such-command".into()], ..ExecRequest::default() };
    let error = host.native.exec(&host.stack, &id, missing).await.unwrap_err();
    assert!(matches!(error, NativeError::Start { code: 127, .. }), "{error:?}");
    host.native.stop(&host.stack, &id, Some("KILL"), PATIENCE).await.unwrap();
    let error = host.native.exec(&host.stack, &id, request("true")).await.unwrap_err();
    assert!(matches!(error, NativeError::NotRunning(_)), "{error:?}");
}

#[tokio::test]
async fn it_ends_with_its_reader_and_with_its_instance() {
    let host = Host::new();
    let id = running(&host).await;
    let pid = |exec: &mut Exec| match exec.output.try_recv() {
        Ok(ExecOutput::Data(_, bytes)) => {
            String::from_utf8(bytes.to_vec()).unwrap().trim().parse::<i32>().ok()
        }
        _ => None,
    };
    for stops in ["reader", "instance"] {
        let mut exec = host.native.exec(&host.stack, &id, request("echo $$; exec sleep 1000")).await.unwrap();
        let pid = loop {
            if let Some(pid) = pid(&mut exec) {
                break pid;
            }
            tokio::task::yield_now().await;
        };
        assert!(alive(pid));
        if stops == "reader" {
            drop(exec);
        } else {
            host.native.stop(&host.stack, &id, Some("KILL"), PATIENCE).await.unwrap();
            assert_eq!(gather(&mut exec).await.2, 137);
        }
        gone(pid).await;
    }
}

#[tokio::test]
async fn what_it_leaves_behind_does_not_keep_it_from_ending() {
    let host = Host::new();
    let id = running(&host).await;
    let mut exec = host.native.exec(&host.stack, &id, request("sleep 1000 & echo done")).await.unwrap();
    assert_eq!(gather(&mut exec).await, ("done\n".into(), String::new(), 0));
}

#[tokio::test]
async fn probes_say_a_code_and_some_output() {
    let host = Host::new();
    let id = running(&host).await;
    let probe = |script: &str, timeout| {
        let (native, stack, id) = (host.native.clone(), host.stack.clone(), id.clone());
        let argv = request(script).argv;
        async move { native.probe_exec(&stack, &id, argv, timeout).await.unwrap() }
    };
    let well = probe("echo $COLOUR; exit 0", PATIENCE).await;
    assert_eq!(well, ProbeResult { code: Some(0), output: "green\n".into() });
    let ill = probe("echo no >&2; exit 1", PATIENCE).await;
    assert_eq!(ill, ProbeResult { code: Some(1), output: "no\n".into() });
    let long = probe("yes | head -c 100000", PATIENCE).await;
    assert_eq!((long.code, long.output.len()), (Some(0), 4096));
    let late = probe("exec sleep 1000", Duration::from_millis(50)).await;
    assert_eq!(late.code, None);
    let missing =
        host.native.probe_exec(&host.stack, &id, vec!["nothing-here".into()], PATIENCE).await.unwrap();
    assert_eq!(missing.code, Some(127));
}
