//! What flags, variables and places of files mean, on a file system in memory.

#![allow(clippy::unwrap_used)] // Tests.

use mainstay_config::{Loaded, MapSource, Request, Severity, Source, load};
use mainstay_model::{Readiness, RestartPolicy, RuntimeKind, ServiceName, Stack};
use std::path::PathBuf;

const PLAIN: &str = "services: { a: { image: i } }\n";

fn request() -> Request {
    Request { working_dir: "/home/u/Shop.Front".into(), ..Request::default() }
}

fn at(text: &str) -> MapSource {
    MapSource::default().file("/home/u/Shop.Front/compose.yaml", text)
}

fn stack(loaded: Loaded) -> Stack {
    assert!(!loaded.has_errors(), "{:#?}", loaded.diagnostics);
    loaded.stack.unwrap()
}

fn names(stack: &Stack) -> Vec<&str> {
    stack.services.keys().map(ServiceName::as_str).collect()
}

#[test]
fn the_name_comes_from_flag_variable_file_or_directory() {
    let name = |request: &Request, source: &dyn Source| stack(load(request, source)).name.as_str().to_owned();
    let named = format!("name: from-file\n{PLAIN}");
    assert_eq!(name(&request(), &at(PLAIN)), "shopfront");
    assert_eq!(name(&request(), &at(&named)), "from-file");
    assert_eq!(name(&request(), &at(&named).set("COMPOSE_PROJECT_NAME", "from-env")), "from-env");
    let flag = Request { project_name: Some("from-flag".into()), ..request() };
    assert_eq!(name(&flag, &at(&named).set("COMPOSE_PROJECT_NAME", "from-env")), "from-flag");
}

#[test]
fn files_are_looked_for_in_the_directories_above() {
    let below = Request { working_dir: "/home/u/Shop.Front/src/deep".into(), ..Request::default() };
    let source =
        at(PLAIN).file("/home/u/Shop.Front/compose.override.yaml", "services: { a: { user: me } }\n");
    let stack = stack(load(&below, &source));
    assert_eq!(stack.directory, PathBuf::from("/home/u/Shop.Front"));
    assert_eq!(stack.files.len(), 2);
    assert_eq!(stack.services.values().next().unwrap().user.as_deref(), Some("me"));
}

#[test]
fn no_file_is_one_clear_error() {
    let loaded = load(&request(), &MapSource::default());
    assert_eq!(loaded.diagnostics.len(), 1);
    assert_eq!(loaded.diagnostics[0].code.id(), "C0001");
}

#[test]
fn the_environment_goes_before_dotenv_files() {
    let source = at("services: { a: { image: \"${A}-${B}\" } }\n")
        .file("/home/u/Shop.Front/.env", "A=file\nB=file\n")
        .set("A", "shell");
    let image =
        |source: &dyn Source| stack(load(&request(), source)).services.values().next().unwrap().image.clone();
    assert_eq!(image(&source).as_deref(), Some("shell-file"));
    assert_eq!(image(&source.clone().set("COMPOSE_DISABLE_ENV_FILE", "1")).as_deref(), Some("shell-"));
}

#[test]
fn a_named_service_brings_its_profile() {
    let text = "services: { a: { image: i }, b: { image: i, profiles: [p] }, c: { image: i, profiles: [p] }, d: { image: i, profiles: [q] } }\n";
    assert_eq!(names(&stack(load(&request(), &at(text)))), ["a"]);
    let named = Request { services: vec!["b".into()], ..request() };
    assert_eq!(names(&stack(load(&named, &at(text)))), ["a", "b", "c"]);
    let unknown = load(&Request { services: vec!["bb".into()], ..request() }, &at(text));
    assert_eq!(unknown.diagnostics[0].code.id(), "C0613");
    assert!(unknown.stack.is_none());
}

#[test]
fn a_service_without_image_is_native() {
    let stack = stack(load(&request(), &at("services: { a: { command: ./run --fast, restart: always } }\n")));
    let service = stack.services.values().next().unwrap();
    assert_eq!(service.runtime(), RuntimeKind::Native);
    assert_eq!(service.command.as_deref().unwrap(), ["./run", "--fast"]);
    assert_eq!(service.working_dir.as_deref(), Some("/home/u/Shop.Front"));
    assert_eq!(service.restart, RestartPolicy::Always);
    assert_eq!(service.readiness, Readiness::Running);
    assert!(service.networks.is_empty() && stack.networks.is_empty());
}

#[test]
fn a_variable_that_is_not_set_is_warned_about_once() {
    let loaded = load(&request(), &at("services: { a: { image: i$X, user: $X, hostname: \"${Y}\" } }\n"));
    let warnings: Vec<_> = loaded.diagnostics.iter().map(|d| (d.severity, d.span.unwrap().column)).collect();
    assert_eq!(warnings, [(Severity::Warning, 26), (Severity::Warning, 51)]);
}

#[test]
fn debug_output_holds_no_secret() {
    let text = "services: { a: { image: i, environment: { P: hunter2 }, secrets: [s] } }\nsecrets: { s: { environment: S } }\n";
    let loaded = load(&request(), &at(text).set("S", "hunter2"));
    assert!(loaded.stack.is_some());
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

#[test]
fn a_file_that_is_not_text_is_an_error() {
    let loaded =
        load(&request(), &MapSource::default().file("/home/u/Shop.Front/compose.yaml", [0xff, 0xfe]));
    assert_eq!(loaded.diagnostics[0].code.id(), "C0002");
}

#[test]
fn what_the_edge_reads_from_files_is_read_with_the_stack() {
    let text = "services: { a: { image: i, expose: [80], x-mainstay: { routes: [{ host: h }] } } }
x-mainstay:
  edge:
    trusted_proxies: cloudflare
    cloudflare_ranges: ./ranges.txt
    maintenance: { page: closed.html }
    tls: { internal: true, client_ca: ca.pem }
    access: { basic: { file: users }, webhook: { github: { file: secret } } }
";
    let hash = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";
    let source = at(text)
        .file("/home/u/Shop.Front/ranges.txt", "# of today\n192.0.2.0/24\n\n2001:db8::/32\n")
        .file("/home/u/Shop.Front/closed.html", "<h1>closed</h1>")
        .file("/home/u/Shop.Front/users", format!("# staff\nann:{hash}\n"))
        .file("/home/u/Shop.Front/ca.pem", "-----BEGIN CERTIFICATE-----\n")
        .file("/home/u/Shop.Front/secret", "s3cret\n");
    let site = stack(load(&request(), &source)).edge.site;
    let networks: Vec<String> = site.cloudflare.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["192.0.2.0/24", "2001:db8::/32"]);
    assert_eq!(site.maintenance.unwrap().page.as_deref(), Some("<h1>closed</h1>"));
    assert_eq!(site.client_ca.as_deref(), Some("-----BEGIN CERTIFICATE-----\n"));
    let access = site.access.unwrap();
    assert_eq!(access.basic.unwrap().users["ann"].expose(), hash);
    assert_eq!(access.webhook.unwrap().secrets[0].expose(), "s3cret");
}
