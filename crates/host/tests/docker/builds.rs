//! Building images, and saying why one could not be built.

use super::harness::{IMAGE, Site, service};
use mainstay_host::docker::{BuildOrder, BuildProgress, DockerError, Output, StepState};
use mainstay_model::{Build, ServiceName};
use std::collections::BTreeMap;
use std::fs;

super::on_both_engines!(
    a_build_with_cache_mount_args_and_target,
    a_failing_step_is_named_with_its_last_lines,
    a_mistake_in_the_dockerfile_is_told,
    a_dockerfile_outside_the_context_and_one_inline,
    ignored_files_are_not_in_the_image,
    a_context_of_many_pieces_arrives_whole,
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
