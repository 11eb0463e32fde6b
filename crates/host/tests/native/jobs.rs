//! Jobs run to an end, once.

use crate::support::*;
use mainstay_host::native::{Exit, NativeError, job_id};
use mainstay_model::Service;
use tokio::sync::mpsc;

async fn run(host: &Host, service: &Service, script: &str) -> (Result<Exit, NativeError>, Vec<String>) {
    let (sender, mut receiver) = mpsc::channel(1000);
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let end = host.native.run_job(&host.stack, service, 7, argv, sender).await;
    let mut lines = Vec::new();
    while let Some(line) = receiver.recv().await {
        lines.push(line.line);
    }
    (end, lines)
}

#[tokio::test]
async fn a_job_runs_once_with_its_service_s_environment() {
    let host = Host::new();
    let service = with_env(shell("true"), "COLOUR", "blue");
    let script = "echo $COLOUR; echo ran >> $MARK; exit 4";
    let mark = host.dir.path().join("mark");
    let service = with_env(service, "MARK", mark.to_str().unwrap());
    let (end, lines) = run(&host, &service, script).await;
    assert_eq!((end.unwrap().code, lines), (4, vec!["blue".to_owned()]));
    assert!(host.native.observe(&host.stack).await.unwrap().is_empty(), "a job is no instance");
    assert_eq!(host.native.jobs(&host.stack).await.unwrap(), [job_id(&service, 7)]);

    let (again, lines) = run(&host, &service, script).await;
    assert_eq!((again.unwrap().code, lines), (4, vec!["blue".to_owned()]));
    assert_eq!(std::fs::read_to_string(&mark).unwrap(), "ran\n");

    host.native.remove(&host.stack, &job_id(&service, 7)).await.unwrap();
    let (anew, _) = run(&host, &service, script).await;
    assert_eq!(anew.unwrap().code, 4);
    assert_eq!(std::fs::read_to_string(&mark).unwrap(), "ran\nran\n");
}

#[tokio::test]
async fn a_job_that_cannot_start_says_why() {
    let host = Host::new();
    let (sender, _lines) = mpsc::channel(10);
    let argv = vec!["no-such-migration".to_owned()];
    let error = host.native.run_job(&host.stack, &shell("true"), 7, argv, sender).await.unwrap_err();
    assert!(matches!(error, NativeError::Start { code: 127, .. }), "{error:?}");
}

#[tokio::test]
async fn nobody_listening_does_not_stop_a_job() {
    let host = Host::new();
    let (sender, lines) = mpsc::channel(1);
    drop(lines);
    let argv = ["/bin/sh", "-c", "echo a; echo b; echo c; exit 2"].map(str::to_owned).to_vec();
    let end = host.native.run_job(&host.stack, &shell("true"), 7, argv, sender).await.unwrap();
    assert_eq!((end.code, end.oom), (2, false));
}
