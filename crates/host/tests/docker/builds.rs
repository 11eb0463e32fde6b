//! Building images, and saying why one could not be built.

use super::harness::{IMAGE, Site, service};
use mainstay_host::docker::{BuildOrder, BuildProgress, DockerError, Output, StepState};
use mainstay_model::{Build, BuildMore, FileGrant, FileObject, Secret, ServiceName, Ulimit};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};

super::on_both_engines!(
    a_build_with_cache_mount_args_and_target,
    a_failing_step_is_named_with_its_last_lines,
    a_mistake_in_the_dockerfile_is_told,
    a_dockerfile_outside_the_context_and_one_inline,
    ignored_files_are_not_in_the_image,
    a_context_of_many_pieces_arrives_whole,
    what_steps_may_use_is_as_the_file_says,
    secrets_contexts_and_rights_beyond_the_engines_own_request,
    an_archive_on_another_machine_is_a_context,
);

/// Builds `build` under a name of the site's own; gives the image's id and the news.
async fn run(site: &Site, build: &Build) -> Result<(String, Vec<BuildProgress>), DockerError> {
    let mut news = Vec::new();
    let tag = tag(site);
    let order = BuildOrder {
        stack: &site.stack.name,
        service: &ServiceName::new("web").unwrap(),
        build,
        tag: &tag,
        platform: None,
        no_cache: false,
        pull: false,
        secrets: &site.stack.secrets,
    };
    let id = site.docker.build(&order, |one| news.push(one)).await?;
    assert_eq!(site.docker.image_id(&tag).await.unwrap(), id);
    Ok((id, news))
}

fn tag(site: &Site) -> String {
    format!("mainstay-test/{}:1", site.stack.name)
}

fn build(site: &Site, dockerfile: &str) -> Build {
    fs::write(site.directory.join("Dockerfile"), dockerfile).unwrap();
    Build {
        context: site.directory.clone(),
        dockerfile: "Dockerfile".into(),
        dockerfile_inline: None,
        args: BTreeMap::new(),
        target: None,
        more: Box::default(),
    }
}

/// What a container of the built image writes.
async fn said_by(site: &mut Site, script: &str) -> Vec<String> {
    let mut web = service("web", script);
    web.image = Some(tag(site));
    let id = site.up(web).await;
    site.docker.wait(&id).await.unwrap();
    let said = site.log(&id, false).await;
    site.docker.remove(&id).await.unwrap();
    site.docker.remove_image(&tag(site)).await.unwrap();
    said
}

async fn a_build_with_cache_mount_args_and_target(site: &mut Site) {
    let mut build = build(
        site,
        &format!(
            "FROM {IMAGE} AS wanted\nARG WORD=none\n\
             RUN --mount=type=cache,target=/cache echo step says $WORD && echo $WORD > /cache/f && cat /cache/f > /made\n\
             COPY file /copied\n\
             FROM wanted AS later\nRUN false\n"
        ),
    );
    fs::write(site.directory.join("file"), site.stack.name.as_str()).unwrap();
    build.args.insert("WORD".to_owned(), site.stack.name.to_string());
    build.target = Some("wanted".to_owned());
    let (id, news) = run(site, &build).await.unwrap();
    assert!(id.starts_with("sha256:"));

    let is_ours = |name: &str| name.contains("RUN --mount");
    let said = news.iter().any(|one| {
        matches!(one, BuildProgress::Log { step, stream: Output::Stdout, line }
        if is_ours(step) && *line == format!("step says {}", site.stack.name))
    });
    let states: Vec<_> = news
        .iter()
        .filter_map(|one| match one {
            BuildProgress::Step { name, state } if is_ours(name) => Some(state),
            _ => None,
        })
        .collect();
    match states.as_slice() {
        [StepState::Started, StepState::Done { .. }] => assert!(said, "{news:?}"),
        // An earlier run of this test has left its result.
        [StepState::Cached] => {}
        other => panic!("{other:?}"),
    }
    assert!(
        !news.iter().any(|one| matches!(one, BuildProgress::Step { name, .. } if name.contains("RUN false")))
    );

    let labels = &site.raw(&format!("/images/{}/json", tag(site)))["Config"]["Labels"];
    assert_eq!(labels["com.docker.compose.service"], "web");

    let (_, again) = run(site, &build).await.unwrap();
    let cached = |one: &BuildProgress| matches!(one, BuildProgress::Step { name, state: StepState::Cached } if is_ours(name));
    assert!(again.iter().any(cached), "{again:?}");
    let name = site.stack.name.to_string();
    assert_eq!(said_by(site, "cat /made /copied").await, [name.clone(), name]);
}

async fn a_failing_step_is_named_with_its_last_lines(site: &mut Site) {
    let script =
        "i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo line $i; done; echo no such thing >&2; exit 9";
    let build = build(site, &format!("FROM {IMAGE}\nRUN {script}\n"));
    let error = run(site, &build).await.unwrap_err();
    let DockerError::BuildFailed { tag: named, step: Some(step), log, message } = error else {
        panic!("{error:?}")
    };
    assert_eq!(named, tag(site));
    assert!(step.contains("RUN i=0;"), "{step}");
    assert_eq!(log.len(), 20);
    // Two pipes have no order between them.
    assert!(log.contains(&"no such thing".to_owned()), "{log:?}");
    assert!(log.contains(&"line 50".to_owned()) && !log.contains(&"line 1".to_owned()));
    assert!(message.contains("exit code: 9"), "{message}");
}

async fn a_mistake_in_the_dockerfile_is_told(site: &mut Site) {
    let build = build(site, &format!("FROM {IMAGE}\nRUNN true\n"));
    let error = run(site, &build).await.unwrap_err();
    assert!(matches!(&error, DockerError::BuildFailed { .. }), "{error:?}");
    assert!(error.to_string().contains("RUNN"), "{error}");

    let mut lost = build;
    lost.dockerfile = "Nowhere".into();
    let error = run(site, &lost).await.unwrap_err();
    assert!(matches!(&error, DockerError::Unreadable { path, .. } if path.ends_with("Nowhere")), "{error:?}");
}

async fn a_dockerfile_outside_the_context_and_one_inline(site: &mut Site) {
    let mut build = build(site, "FROM scratch\n");
    let context = site.directory.join("context");
    fs::create_dir_all(&context).unwrap();
    fs::write(context.join("file"), "outside").unwrap();
    fs::write(site.directory.join("Dockerfile"), format!("FROM {IMAGE}\nCOPY file /f\n")).unwrap();
    build.context.clone_from(&context);
    build.dockerfile = "../Dockerfile".into();
    run(site, &build).await.unwrap();
    assert_eq!(said_by(site, "cat /f").await, ["outside"]);

    fs::write(context.join("file"), "inline").unwrap();
    build.dockerfile_inline = Some(format!("FROM {IMAGE}\nCOPY file /f\n"));
    run(site, &build).await.unwrap();
    assert_eq!(said_by(site, "cat /f").await, ["inline"]);
}

async fn ignored_files_are_not_in_the_image(site: &mut Site) {
    let build = build(site, &format!("FROM {IMAGE}\nCOPY . /all\n"));
    for (path, text) in [(".dockerignore", "secret\n.docker*\n"), ("secret", "s"), ("kept/a", "a")] {
        fs::create_dir_all(site.directory.join(path).parent().unwrap()).unwrap();
        fs::write(site.directory.join(path), text).unwrap();
    }
    std::os::unix::fs::symlink("a", site.directory.join("kept/link")).unwrap();
    run(site, &build).await.unwrap();
    let said = said_by(site, "cd /all; find . | sort; readlink kept/link").await;
    assert_eq!(said, [".", "./Dockerfile", "./kept", "./kept/a", "./kept/link", "a"]);
}

async fn a_context_of_many_pieces_arrives_whole(site: &mut Site) {
    let build = build(site, &format!("FROM {IMAGE}\nCOPY big /big\n"));
    let big: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(site.directory.join("big"), &big).unwrap();
    let here = std::process::Command::new("md5sum").arg(site.directory.join("big")).output().unwrap();
    let here = String::from_utf8(here.stdout).unwrap();
    run(site, &build).await.unwrap();
    let there = said_by(site, "md5sum /big").await;
    assert_eq!(there[0].split(' ').next(), here.split(' ').next());
}

/// The lines that steps of a build wrote.
fn lines(news: &[BuildProgress]) -> Vec<&str> {
    news.iter()
        .filter_map(|one| match one {
            BuildProgress::Log { line, .. } => Some(line.as_str()),
            _ => None,
        })
        .collect()
}

async fn what_steps_may_use_is_as_the_file_says(site: &mut Site) {
    let script = "cat /etc/hosts; ulimit -n; df -k /dev/shm | tail -1 | awk '{print $2}'; ls /sys/class/net";
    let mut build = build(site, &format!("FROM {IMAGE}\nRUN {script}\n"));
    let other = format!("mainstay-test/{}:other", site.stack.name);
    *build.more = BuildMore {
        labels: [("of".to_owned(), "file".to_owned())].into(),
        tags: vec![other.clone()],
        extra_hosts: [("db.test".to_owned(), vec!["10.0.0.7".to_owned()])].into(),
        ulimits: [("nofile".to_owned(), Ulimit { soft: 321, hard: 654 })].into(),
        shm_size: Some(3 << 20),
        network: Some("none".to_owned()),
        no_cache: true,
        ..BuildMore::default()
    };
    let (id, news) = run(site, &build).await.unwrap();
    let said = lines(&news);
    assert!(said.iter().any(|line| line.contains("10.0.0.7") && line.contains("db.test")), "{said:?}");
    // The BuildKit of 20.10 knows no such limits, whoever asks.
    if site.host.contains("newest") {
        assert!(said.contains(&"321") && said.contains(&"3072"), "{said:?}");
    }
    assert!(!said.contains(&"eth0"), "{said:?}");
    assert_eq!(site.docker.image_id(&other).await.unwrap(), id);
    let labels = &site.raw(&format!("/images/{other}/json"))["Config"]["Labels"];
    assert_eq!(
        (labels["of"].as_str(), labels["com.docker.compose.service"].as_str()),
        (Some("file"), Some("web"))
    );
    site.docker.remove_image(&other).await.unwrap();
    site.docker.remove_image(&tag(site)).await.unwrap();
}

async fn secrets_contexts_and_rights_beyond_the_engines_own_request(site: &mut Site) {
    // The BuildKit of 20.10 knows no named contexts, and says so.
    let knows_contexts = site.host.contains("newest");
    let beside = site.directory.join("beside");
    fs::create_dir_all(&beside).unwrap();
    fs::write(beside.join("file"), "from beside").unwrap();
    fs::write(site.directory.join("key"), "in a file").unwrap();
    let mut build = build(
        site,
        &format!(
            "FROM {IMAGE}\nRUN --mount=type=secret,id=word cat /run/secrets/word > /word && wc -c < /run/secrets/word\n\
             RUN --mount=type=secret,id=file,target=/f cat /f > /file\n{}",
            if knows_contexts {
                "COPY --from=beside file /beside\n"
            } else {
                "RUN echo -n from beside > /beside\n"
            }
        ),
    );
    let grant = |source: &str, target: &str| FileGrant {
        source: source.to_owned(),
        target: target.to_owned(),
        uid: None,
        gid: None,
        mode: None,
    };
    let object =
        FileObject { file: None, content: None, external: false, name: None, labels: BTreeMap::new() };
    site.stack.secrets = [
        ("word".to_owned(), FileObject { content: Some(Secret::new("s3cret word")), ..object.clone() }),
        ("key".to_owned(), FileObject { file: Some(site.directory.join("key")), ..object }),
    ]
    .into();
    *build.more = BuildMore {
        secrets: vec![grant("word", "word"), grant("key", "file")],
        additional_contexts: if knows_contexts {
            [("beside".to_owned(), beside.display().to_string())].into()
        } else {
            BTreeMap::new()
        },
        no_cache: true,
        ..BuildMore::default()
    };
    let (_, news) = run(site, &build).await.unwrap();
    assert!(lines(&news).contains(&"11"), "{news:?}");
    assert!(!format!("{news:?}").contains("s3cret"));
    let history = site.raw(&format!("/images/{}/history", tag(site)));
    assert!(!history.to_string().contains("s3cret"));
    assert_eq!(
        said_by(site, "cat /word; echo; cat /file; echo; cat /beside").await,
        ["s3cret word", "in a file", "from beside"]
    );

    fs::write(
        site.directory.join("Dockerfile"),
        format!("FROM {IMAGE}\nRUN echo no such thing >&2; exit 7\n"),
    )
    .unwrap();
    let error = run(site, &build).await.unwrap_err();
    let DockerError::BuildFailed { step: Some(step), log, .. } = &error else { panic!("{error:?}") };
    assert!(step.contains("RUN echo") && log.contains(&"no such thing".to_owned()), "{error:?}");
}

async fn an_archive_on_another_machine_is_a_context(site: &mut Site) {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in
        [("Dockerfile", format!("FROM {IMAGE}\nCOPY file /f\n")), ("file", "from afar".to_owned())]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    let archive = archive.into_inner().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                archive.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&archive));
        }
    });
    let mut build = build(site, "FROM nothing-of-this-is-used\n");
    build.context = format!("http://{address}/context.tar").into();
    run(site, &build).await.unwrap();
    assert_eq!(said_by(site, "cat /f").await, ["from afar"]);
}
