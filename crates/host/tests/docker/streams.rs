//! Logs, commands inside, probes.

use super::harness::{Site, idle, service};
use mainstay_host::docker::{DockerError, ExecRequest, LogRequest, OneOff, Output};
use mainstay_model::Secret;
use std::time::Duration;

super::on_both_engines!(
    logs_are_followed_to_the_end,
    logs_can_be_cut_by_tail_and_time,
    a_long_line_is_one_line,
    logs_of_a_terminal,
    exec_has_input_output_and_an_exit_status,
    exec_on_a_terminal_knows_its_size,
    a_probe_gives_status_and_output,
    a_probe_that_hangs_is_ended,
    nothing_runs_in_a_stopped_container,
    a_one_off_container_has_our_streams,
);

async fn logs_are_followed_to_the_end(site: &mut Site) {
    let id = site
        .up(service("api", "trap 'echo bye >&2; exit 0' TERM; echo ready; while :; do sleep 60 & wait; done"))
        .await;
    let request = LogRequest { follow: true, ..LogRequest::default() };
    let mut log = site.docker.logs(&id, &request).await.unwrap();
    let first = log.next().await.unwrap().unwrap();
    assert_eq!((first.text.as_str(), first.stream), ("ready", Output::Stdout));
    site.docker.stop(&id, None, Duration::from_secs(60)).await.unwrap();
    let mut rest = Vec::new();
    while let Some(line) = log.next().await.unwrap() {
        assert!(line.time.unwrap() >= first.time.unwrap());
        rest.push((line.text, line.stream));
    }
    assert_eq!(rest, [("bye".to_owned(), Output::Stderr)]);
}

async fn logs_can_be_cut_by_tail_and_time(site: &mut Site) {
    let id = site.up(service("api", "echo one; echo two; echo three")).await;
    site.docker.wait(&id).await.unwrap();
    assert_eq!(site.log(&id, false).await, ["one", "two", "three"]);
    let read = async |request: &LogRequest| {
        let mut log = site.docker.logs(&id, request).await.unwrap();
        let mut lines = Vec::new();
        while let Some(line) = log.next().await.unwrap() {
            lines.push(line);
        }
        lines
    };
    let last = read(&LogRequest { tail: Some(1), ..LogRequest::default() }).await;
    assert_eq!(last.len(), 1);
    assert_eq!(last[0].text, "three");
    let later = last[0].time.unwrap() + Duration::from_secs(3600);
    assert_eq!(read(&LogRequest { since: Some(later), ..LogRequest::default() }).await, []);
    assert_eq!(read(&LogRequest { until: Some(later), ..LogRequest::default() }).await.len(), 3);
}

async fn a_long_line_is_one_line(site: &mut Site) {
    // Three of the Engine's pieces of 16 KiB.
    let id = site
        .up(service("api", "dd if=/dev/zero bs=1024 count=40 2>/dev/null | tr '\\000' x; echo; echo end"))
        .await;
    site.docker.wait(&id).await.unwrap();
    let lines = site.log(&id, false).await;
    assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [40 * 1024, 3]);
}

async fn logs_of_a_terminal(site: &mut Site) {
    let mut api = service("api", "echo one; echo two >&2");
    api.tty = true;
    let id = site.up(api).await;
    site.docker.wait(&id).await.unwrap();
    assert_eq!(site.log(&id, true).await, ["one", "two"]);
}

async fn exec_has_input_output_and_an_exit_status(site: &mut Site) {
    let id = site.up(idle("api")).await;
    let request = ExecRequest {
        argv: ["/bin/sh", "-c", "cat; echo $WORD in $(pwd) as $(id -u) >&2; exit 3"]
            .map(str::to_owned)
            .into(),
        env: [("WORD".to_owned(), Secret::new("well"))].into(),
        user: Some("65534".to_owned()),
        workdir: Some("/bin".to_owned()),
        stdin: true,
        ..ExecRequest::default()
    };
    let mut session = site.docker.exec(&id, &request).await.unwrap();
    session.input.write(b"first ").await.unwrap();
    session.input.write(b"second").await.unwrap();
    session.input.close().await.unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some((stream, bytes)) = session.output.next().await.unwrap() {
        match stream {
            Output::Stdout => out.extend_from_slice(&bytes),
            Output::Stderr => err.extend_from_slice(&bytes),
        }
    }
    assert_eq!(String::from_utf8(out).unwrap(), "first second");
    assert_eq!(String::from_utf8(err).unwrap(), "well in /bin as 65534\n");
    assert_eq!(site.docker.settled(&session.id).await.unwrap(), 3);
    assert_eq!(site.docker.exec_exit(&session.id).await.unwrap(), Some(3));
}

async fn exec_on_a_terminal_knows_its_size(site: &mut Site) {
    let id = site.up(idle("api")).await;
    let request = ExecRequest {
        argv: ["/bin/sh", "-c", "echo up; read line; stty size"].map(str::to_owned).into(),
        tty: true,
        stdin: true,
        ..ExecRequest::default()
    };
    let mut session = site.docker.exec(&id, &request).await.unwrap();
    let mut text = String::new();
    let mut told = false;
    while let Some((_, bytes)) = session.output.next().await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&bytes));
        if text.contains("up") && !told {
            told = true;
            site.docker.exec_resize(&session.id, 17, 71).await.unwrap();
            session.input.write(b"go\n").await.unwrap();
        }
    }
    assert!(text.contains("17 71"), "{text:?}");
}

async fn a_probe_gives_status_and_output(site: &mut Site) {
    let id = site.up(idle("api")).await;
    let probe = async |script: &str| {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned);
        site.docker.probe(&id, &argv, Duration::from_secs(60)).await.unwrap()
    };
    let well = probe("echo fine").await;
    assert_eq!((well.exit, well.output.as_str()), (Some(0), "fine"));
    let ill = probe("echo not well >&2; exit 1").await;
    assert_eq!((ill.exit, ill.output.as_str()), (Some(1), "not well"));
    let talker = probe("dd if=/dev/zero bs=1024 count=64 2>/dev/null | tr '\\000' x").await;
    assert_eq!((talker.exit, talker.output.len()), (Some(0), 4096));
}

async fn a_probe_that_hangs_is_ended(site: &mut Site) {
    let id = site.up(idle("api")).await;
    let argv = ["/bin/sleep", "4242"].map(str::to_owned);
    let probed = site.docker.probe(&id, &argv, Duration::from_millis(300)).await.unwrap();
    assert_eq!(probed.exit, None);
    // Gone once its kill has been noticed; the harness bounds the wait.
    while site.sh(&id, "ps").await.contains("4242") {}
}

async fn nothing_runs_in_a_stopped_container(site: &mut Site) {
    let id = site.create(idle("api")).await.unwrap();
    let argv = ["/bin/true".to_owned()];
    let error = site.docker.probe(&id, &argv, Duration::from_secs(60)).await.unwrap_err();
    assert!(matches!(error, DockerError::Conflict { .. }), "{error:?}");
}

async fn a_one_off_container_has_our_streams(site: &mut Site) {
    site.prepare().await;
    let mut tool = service("tool", "echo begun; cat; exit 4");
    tool.stdin_open = true;
    let image = site.docker.image_id(super::harness::IMAGE).await.unwrap();
    let name = format!("{}-tool-run-1", site.stack.name);
    let wanted = OneOff { stack: &site.stack, service: &tool, name: &name, image: &image, aliases: false };
    let mut attached = site.docker.attach_one_off(&wanted).await.unwrap();
    site.docker.start(&attached.container).await.unwrap();
    attached.input.write(b"through").await.unwrap();
    attached.input.close().await.unwrap();
    let mut seen = Vec::new();
    while let Some((_, bytes)) = attached.output.next().await.unwrap() {
        seen.extend_from_slice(&bytes);
    }
    assert_eq!(String::from_utf8(seen).unwrap(), "begun\nthrough");
    assert_eq!(site.docker.wait(&attached.container).await.unwrap(), 4);
    assert_eq!(site.docker.observe(&site.stack.name).await.unwrap(), []);
}
