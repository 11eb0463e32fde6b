//! Pulling, from a registry of the test's own: one image, behind a login or not.

use super::harness::Site;
use base64::Engine as _;
use mainstay_host::docker::{BuildOrder, DockerError, PullProgress};
use mainstay_model::{Build, ServiceName};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

super::on_both_engines!(
    a_pull_tells_its_progress,
    what_the_registry_does_not_have_is_unknown,
    a_registry_that_is_not_there_is_no_unknown_image,
    a_login_is_used_to_pull,
    a_base_image_behind_a_login_can_be_built_on,
);

/// `me:pw`, as HTTP has it.
const LOGIN: &str = "bWU6cHc=";

/// Bytes that only a layer has more of.
const LARGE: usize = 100_000;

/// A registry with the image `x:1`.
struct Registry {
    address: String,
    task: tokio::task::JoinHandle<()>,
}

impl Registry {
    async fn open(login: bool) -> Self {
        Self::open_held(login, None).await
    }

    /// One that keeps the second half of every large answer back until `release` is notified.
    async fn open_held(login: bool, release: Option<Arc<Notify>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        // A name of its own in the image, or the Engine would know its layers from before.
        let content = content(&address);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (content, release) = (content.clone(), release.clone());
                connections.spawn(async move {
                    let _ = serve(stream, &content, login, release).await;
                });
            }
        });
        Self { address, task }
    }

    fn image(&self) -> String {
        format!("{}/x:1", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Media type and bytes, by path.
type Content = BTreeMap<String, (&'static str, Vec<u8>)>;

fn content(name: &str) -> Content {
    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    let digest = |bytes: &[u8]| {
        let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hash}")
    };
    let mut archive = tar::Builder::new(Vec::new());
    let text = name.repeat(200_000);
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, "name", text.as_bytes()).unwrap();
    let layer = archive.into_inner().unwrap();
    let config = json!({
        "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        "config": { "StopSignal": "SIGINT", "ExposedPorts": { "80/tcp": {} }, "Entrypoint": ["/name"],
                    "Healthcheck": { "Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000_u64 } },
    });
    let config = config.to_string().into_bytes();
    let described = |media: &str, bytes: &[u8]| json!({ "mediaType": media, "digest": digest(bytes), "size": bytes.len() });
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST,
                           "config": described(CONFIG, &config), "layers": [described(LAYER, &layer)] });
    let manifest = manifest.to_string().into_bytes();
    [
        ("/v2/".to_owned(), ("application/json", b"{}".to_vec())),
        ("/v2/x/manifests/1".to_owned(), (MANIFEST, manifest.clone())),
        (format!("/v2/x/manifests/{}", digest(&manifest)), (MANIFEST, manifest)),
        (format!("/v2/x/blobs/{}", digest(&config)), ("application/octet-stream", config)),
        (format!("/v2/x/blobs/{}", digest(&layer)), ("application/octet-stream", layer)),
    ]
    .into()
}

async fn serve(
    stream: TcpStream,
    content: &Content,
    login: bool,
    release: Option<Arc<Notify>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        match stream.fill_buf().await?.first() {
            None => return Ok(()),
            // Engines try TLS first, and ask again without it where the answer is plain HTTP.
            Some(first) if !first.is_ascii_uppercase() => {
                return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
            }
            Some(_) => {}
        }
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_until(b'\n', &mut head).await? == 0 {
                return Ok(());
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let allowed = !login || head.contains(&format!("Basic {LOGIN}"));
        let unknown = (
            "application/json",
            br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.to_vec(),
        );
        let (status, (media, body)) = match (allowed, content.get(path)) {
            (false, _) => {
                ("401 Unauthorized\r\nWww-Authenticate: Basic realm=\"x\"", ("text/plain", Vec::new()))
            }
            (true, Some(found)) => ("200 OK", found.clone()),
            (true, None) => ("404 Not Found", unknown),
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        if method != "HEAD" {
            let (first, second) = body.split_at(if length > LARGE { length / 2 } else { length });
            stream.write_all(first).await?;
            if let (Some(release), false) = (&release, second.is_empty()) {
                stream.flush().await?;
                release.notified().await;
            }
            stream.write_all(second).await?;
        }
        stream.flush().await?;
    }
}

async fn pull(site: &Site, image: &str) -> Result<Vec<PullProgress>, DockerError> {
    let mut news = Vec::new();
    site.docker.pull(image, None, |one| news.push(one)).await?;
    Ok(news)
}

async fn a_pull_tells_its_progress(site: &mut Site) {
    // The rest of the layer comes once there was news of its first half.
    let seen = Arc::new(Notify::new());
    let registry = Registry::open_held(false, Some(seen.clone())).await;
    let mut news = Vec::new();
    let image = registry.image();
    let pulled = site.docker.pull(&image, None, |one| {
        if one.current > Some(0) {
            seen.notify_one();
        }
        news.push(one);
    });
    pulled.await.unwrap();
    assert!(news.iter().any(|one| one.status == "Pull complete" && !one.layer.is_empty()), "{news:?}");
    assert!(news.iter().any(|one| one.current > Some(0) && one.total > one.current), "{news:?}");
    let image = site.docker.image(&registry.image()).await.unwrap();
    assert_eq!(image.stop_signal.as_deref(), Some("SIGINT"));
    assert_eq!(image.exposed, ["80/tcp"]);
    assert_eq!(image.entrypoint.as_deref(), Some(&["/name".to_owned()][..]));
    let check = image.healthcheck.unwrap();
    assert_eq!(check.test, ["/bin/sh", "-c", "true"]);
    assert_eq!((check.interval.as_secs(), check.timeout.as_secs(), check.retries), (5, 30, 3));
    site.docker.remove_image(&registry.image()).await.unwrap();
    site.docker.remove_image(&registry.image()).await.unwrap();
}

async fn what_the_registry_does_not_have_is_unknown(site: &mut Site) {
    let registry = Registry::open(false).await;
    let missing = format!("{}/y:1", registry.address);
    let error = pull(site, &missing).await.unwrap_err();
    assert!(matches!(&error, DockerError::ImageUnknown { image, .. } if *image == missing), "{error:?}");
}

async fn a_registry_that_is_not_there_is_no_unknown_image(site: &mut Site) {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = pull(site, &format!("{gone}/x:1")).await.unwrap_err();
    assert!(matches!(&error, DockerError::PullFailed { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}

/// Leaves a login for `registry` where `docker login` would.
fn log_in(site: &mut Site, registry: &Registry) {
    let config = json!({ "auths": { &registry.address: { "auth": LOGIN } } });
    fs::write(site.directory.join("config.json"), config.to_string()).unwrap();
    site.docker = site.docker.clone().with_logins(&site.directory);
}

async fn a_login_is_used_to_pull(site: &mut Site) {
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(LOGIN).unwrap(), b"me:pw");
    let registry = Registry::open(true).await;
    let error = pull(site, &registry.image()).await.unwrap_err();
    assert!(matches!(&error, DockerError::ImageUnknown { .. }), "{error:?}");
    log_in(site, &registry);
    pull(site, &registry.image()).await.unwrap();
    site.docker.remove_image(&registry.image()).await.unwrap();
}

async fn a_base_image_behind_a_login_can_be_built_on(site: &mut Site) {
    let registry = Registry::open(true).await;
    log_in(site, &registry);
    fs::write(site.directory.join("Dockerfile"), format!("FROM {}\nCOPY Dockerfile /\n", registry.image()))
        .unwrap();
    let build = Build {
        context: site.directory.clone(),
        dockerfile: "Dockerfile".into(),
        dockerfile_inline: None,
        args: BTreeMap::new(),
        target: None,
        more: Box::default(),
    };
    let (stack, service) = (&site.stack.name, &ServiceName::new("web").unwrap());
    let tag = format!("mainstay-test/{stack}:1");
    let order = BuildOrder {
        stack,
        service,
        build: &build,
        tag: &tag,
        platform: None,
        no_cache: false,
        pull: false,
        secrets: &BTreeMap::new(),
    };
    site.docker.build(&order, |_| {}).await.unwrap();
    site.docker.remove_image(&tag).await.unwrap();
    site.docker.remove_image(&registry.image()).await.unwrap();
}
