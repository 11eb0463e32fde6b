//! What is printed can be read, at once, across rotations.

use crate::support::*;
use mainstay_host::native::Stream;
use mainstay_model::{Logging, Timestamp};

fn texts(lines: &[mainstay_host::native::LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.line.as_str()).collect()
}

#[tokio::test]
async fn both_streams_bytes_and_unfinished_lines_are_kept() {
    let host = Host::new();
    let id = host.start(&shell(r"echo out; echo err >&2; printf 'bad \377 byte\n'; printf 'no end'")).await;
    let lines = host.log_to_the_end(&id).await;
    let of = |stream| lines.iter().filter(|line| line.stream == stream).cloned().collect::<Vec<_>>();
    assert_eq!(texts(&of(Stream::Stdout)), ["out", "bad \u{fffd} byte", "no end"]);
    assert_eq!(texts(&of(Stream::Stderr)), ["err"]);
}

#[tokio::test]
async fn following_misses_nothing_while_files_rotate() {
    let host = Host::new();
    let mut service =
        shell("n=0; while [ $n -lt 3000 ]; do echo line $n; n=$((n+1)); done; read go; echo end");
    service.stdin_open = true;
    let options = [("max-size", "5k"), ("max-file", "200")];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    service.logging = Some(Logging { driver: None, options: options.into() });
    let id = host.start(&service).await;
    let mut stream = host.native.logs(&host.stack, &id, true, None, None).await.unwrap();
    for number in 0..3000 {
        let line = tokio::time::timeout(PATIENCE, stream.next_line()).await.unwrap().unwrap().unwrap();
        assert_eq!(line.line, format!("line {number}"));
    }
    assert!(host.instance_dir(&id).join("log.9").exists());
    host.native.stop(&host.stack, &id, Some("KILL"), std::time::Duration::ZERO).await.unwrap();
    assert!(tokio::time::timeout(PATIENCE, stream.next_line()).await.unwrap().is_none());
}

#[tokio::test]
async fn rotation_keeps_as_many_files_as_asked_for() {
    let host = Host::new();
    let mut service = shell("n=0; while [ $n -lt 3000 ]; do echo line $n; n=$((n+1)); done");
    let options = [("max-size", "5k"), ("max-file", "3")];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    service.logging = Some(Logging { driver: Some("json-file".into()), options: options.into() });
    host.run(&service).await;
    let mut files: Vec<String> = std::fs::read_dir(host.instance_dir(&id("app", 1)))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("log"))
        .collect();
    files.sort();
    assert_eq!(files, ["log", "log.1", "log.2"]);
    let kept = host.log_to_the_end(&id("app", 1)).await;
    assert_eq!(kept.last().unwrap().line, "line 2999");
}

#[tokio::test]
async fn tail_and_since_choose_and_a_restart_appends() {
    let host = Host::new();
    let id = host.start(&shell("echo one; echo two; echo three")).await;
    let first = host.log_to_the_end(&id).await;
    host.native.start(&host.stack, &id).await.unwrap();
    assert_eq!(host.log_to_the_end(&id).await.len(), 6);
    let mut tail = host.native.logs(&host.stack, &id, false, None, Some(4)).await.unwrap();
    let mut seen = Vec::new();
    while let Some(line) = tail.next_line().await {
        seen.push(line.unwrap().line);
    }
    assert_eq!(seen, ["three", "one", "two", "three"]);
    let later = Timestamp(first[2].time.0 + 3_600_000);
    let mut none = host.native.logs(&host.stack, &id, false, Some(later), None).await.unwrap();
    assert!(none.next_line().await.is_none());
}

#[tokio::test]
async fn driver_none_keeps_nothing_and_an_unknown_one_is_refused() {
    let host = Host::new();
    let mut service = shell("echo gone");
    service.logging = Some(Logging { driver: Some("none".into()), options: Default::default() });
    host.run(&service).await;
    assert!(!host.instance_dir(&id("app", 1)).join("log").exists());
    service.logging = Some(Logging { driver: Some("gelf".into()), options: Default::default() });
    let error = host.native.create(&host.stack, &service, &id("app", 2), "hash", None).await.unwrap_err();
    assert!(error.to_string().contains("gelf"), "{error}");
}

#[tokio::test]
async fn a_terminal_is_given_where_asked_for() {
    let host = Host::new();
    let mut service = shell("test -t 0 && test -t 1 && test -t 2 && echo terminal $TERM");
    service.tty = true;
    let id = host.start(&service).await;
    let lines = host.log_to_the_end(&id).await;
    assert_eq!(texts(&lines), ["terminal xterm\r"]);
}

#[tokio::test]
async fn a_flood_on_one_stream_hides_neither_the_other_nor_the_end() {
    let host = Host::new();
    let id = host.start(&shell("yes & echo heard >&2; read go; kill -9 $$")).await;
    assert_eq!(host.end(&id).await, (137, false));
}

#[tokio::test]
async fn a_damaged_file_is_named_without_quoting_it() {
    let host = Host::new();
    let id = host.create(&with_env(shell("true"), "KEY", "hunter2"), None).await;
    let path = host.instance_dir(&id).join("launch.json");
    let text =
        std::fs::read_to_string(&path).unwrap().replace("{\"KEY\":\"hunter2\"", "\"hunter2\"; {\"K\":\"\"");
    std::fs::write(&path, text).unwrap();
    let error = host.native.start(&host.stack, &id).await.unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(said.contains("launch.json") && !said.contains("hunter2"), "{said}");
}
