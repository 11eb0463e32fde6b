//! One service.

use super::{Cx, build, health, hooks, mainstay, mounts, networks, outside, ports, resources};
use crate::diagnostic::{Code, Diagnostic};
use crate::node::{Entry, Node};
use crate::paths;
use mainstay_model::{
    AsWritten, Dependency, DependencyCondition, Logging, RestartPolicy, Service, ServiceMore, ServiceName,
};
use std::collections::BTreeMap;

/// Resolves a service. `None`: it cannot be run at all; that was reported.
pub fn service(name: &str, cx: &mut Cx<'_>) -> Option<Service> {
    let name = match ServiceName::new(name) {
        Ok(name) => name,
        Err(error) => {
            let finding = Diagnostic::error(Code::InvalidValue, error.to_string());
            cx.sink.push(finding.at(cx.key_span).path(&cx.path));
            return None;
        }
    };
    let is_native = cx.child("image").is_none() && cx.child("build").is_none();
    let ours = mainstay::service(cx);
    if mainstay::is_static(cx.node) {
        return None;
    }
    if is_native && cx.texts("command").is_empty() && cx.texts("entrypoint").is_empty() {
        let message = format!("service `{name}` is not started: it has no image, no build and no command");
        cx.sink.push(Diagnostic::warning(Code::NoEffect, message).at(cx.key_span).path(&cx.path));
        return None;
    }
    Some(resolved(name, cx, is_native, ours))
}

/// A container that is no service: a hook, whose image may be its service's.
pub fn container(name: ServiceName, cx: &mut Cx<'_>) -> Service {
    resolved(name, cx, false, mainstay::OfService::default())
}

#[allow(clippy::too_many_lines)] // One line for each field of the model, in its order.
fn resolved(name: ServiceName, cx: &mut Cx<'_>, is_native: bool, ours: mainstay::OfService) -> Service {
    let readiness = ours.readiness.unwrap_or_else(|| health::readiness(cx, is_native));
    let more = Box::new(more(cx, &name));
    Service {
        name,
        image: cx.text("image"),
        build: build::build(cx),
        pull_policy: cx.text("pull_policy"),
        platform: cx.text("platform"),
        command: cx.argv("command"),
        entrypoint: cx.argv("entrypoint"),
        config_hash: (!is_native).then(|| cx.project.hash_of_container(cx.node)),
        environment: hooks::variables(cx.node),
        ports: ports::ports(cx),
        expose: ports::expose(cx),
        mounts: mounts::mounts(cx, cx.node, ""),
        networks: networks::attachments(cx, is_native),
        network_mode: cx.text("network_mode"),
        depends_on: depends_on(cx.node),
        readiness,
        restart: restart(cx),
        resources: resources::resources(cx),
        replicas: replicas(cx),
        logging: logging(cx),
        labels: cx.dict("labels"),
        user: cx.text("user"),
        group_add: cx.texts("group_add"),
        working_dir: working_dir(cx, is_native),
        init: cx.child("init").map(|_| cx.flag("init")),
        stop_signal: cx.text("stop_signal"),
        stop_grace_period: resources::duration(cx.node, "stop_grace_period").unwrap_or(resources::STOP_GRACE),
        container_name: cx.text("container_name").filter(|n| !n.is_empty()),
        hostname: cx.text("hostname"),
        domainname: cx.text("domainname"),
        extra_hosts: super::hosts(cx.node),
        dns: cx.texts("dns"),
        dns_search: cx.texts("dns_search"),
        dns_opt: cx.texts("dns_opt"),
        cap_add: cx.texts("cap_add"),
        cap_drop: cx.texts("cap_drop"),
        privileged: cx.flag("privileged"),
        read_only: cx.flag("read_only"),
        security_opt: cx.texts("security_opt"),
        sysctls: cx.dict("sysctls"),
        ulimits: resources::ulimits(cx.node),
        shm_size: resources::size(cx.node, "shm_size"),
        tty: cx.flag("tty"),
        stdin_open: cx.flag("stdin_open"),
        devices: devices(cx),
        pid: cx.text("pid"),
        ipc: cx.text("ipc"),
        more,
        secrets: mounts::grants(cx.node, "secrets", "/run/secrets"),
        configs: mounts::grants(cx.node, "configs", ""),
        profiles: cx.texts("profiles"),
        routes: ours.routes,
        release_job: ours.release,
    }
}

/// What few files say.
fn more(cx: &mut Cx<'_>, name: &ServiceName) -> ServiceMore {
    ServiceMore {
        pull_refresh_after: cx.text("pull_refresh_after"),
        device_requests: resources::device_requests(cx),
        device_cgroup_rules: cx.texts("device_cgroup_rules"),
        uts: cx.text("uts"),
        userns_mode: cx.text("userns_mode"),
        cgroup: cx.text("cgroup"),
        cgroup_parent: cx.text("cgroup_parent"),
        runtime: cx.text("runtime"),
        isolation: cx.text("isolation"),
        credential_spec: cx.child("credential_spec").map(outside::credential_spec),
        mac_address: cx.text("mac_address"),
        storage_opt: cx.dict("storage_opt"),
        annotations: cx.dict("annotations"),
        volumes_from: cx.texts("volumes_from"),
        links: cx.texts("links"),
        external_links: cx.texts("external_links"),
        attach: cx.child("attach").map(|_| cx.flag("attach")),
        use_api_socket: cx.flag("use_api_socket"),
        pre_start: hooks::pre_start(cx, name),
        post_start: hooks::hooks(cx.node.items("post_start")),
        pre_stop: hooks::hooks(cx.node.items("pre_stop")),
        watch: hooks::watch(cx.node),
        models: outside::model_uses(cx.node),
        written: written(cx),
    }
}

fn written(cx: &Cx<'_>) -> AsWritten {
    let policy = cx.child("deploy").is_some_and(|deploy| deploy.get("restart_policy").is_some());
    let no_value = |(name, entry): (&String, &Entry)| entry.node.is_null().then(|| name.clone());
    AsWritten {
        healthcheck: health::written(cx),
        restart: policy || cx.text("restart").is_some_and(|restart| !restart.is_empty()),
        stop_grace_period: cx.child("stop_grace_period").is_some(),
        unset: cx.node.entries("environment").filter_map(no_value).collect(),
    }
}

/// What has to be there first.
pub fn depends_on(service: &Node) -> BTreeMap<ServiceName, Dependency> {
    let dependency = |node: &Node| Dependency {
        condition: match node.get_text("condition") {
            Some("service_healthy") => DependencyCondition::ServiceHealthy,
            Some("service_completed_successfully") => DependencyCondition::ServiceCompletedSuccessfully,
            _ => DependencyCondition::ServiceStarted,
        },
        restart: node.get_flag("restart"),
        required: node.get_flag("required"),
    };
    service
        .entries("depends_on")
        .filter_map(|(name, entry)| Some((ServiceName::new(name.clone()).ok()?, dependency(&entry.node))))
        .collect()
}

/// `restart`, which `deploy.restart_policy` overrules, as in Compose.
fn restart(cx: &mut Cx<'_>) -> RestartPolicy {
    if let Some(policy) = cx.child("deploy").and_then(|d| d.get("restart_policy")) {
        let max_retries =
            policy.get_int("max_attempts").and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        return match policy.get_text("condition").unwrap_or("any") {
            "none" | "no" => RestartPolicy::No,
            "on-failure" => RestartPolicy::OnFailure { max_retries },
            "unless-stopped" => RestartPolicy::UnlessStopped,
            "any" | "always" | "" => RestartPolicy::Always,
            other => {
                let message = format!("`{other}` is not a restart condition: use none, on-failure or any");
                cx.error(Code::InvalidValue, message, policy, "deploy.restart_policy.condition");
                RestartPolicy::Always
            }
        };
    }
    let Some(node) = cx.child("restart") else { return RestartPolicy::No };
    let text = node.as_text().unwrap_or_default();
    let (policy, retries) = text.split_once(':').map_or((text, None), |(p, r)| (p, Some(r)));
    match (policy, retries) {
        ("no" | "", None) => RestartPolicy::No,
        ("always", None) => RestartPolicy::Always,
        ("unless-stopped", None) => RestartPolicy::UnlessStopped,
        ("on-failure", None) => RestartPolicy::OnFailure { max_retries: None },
        ("on-failure", Some(retries)) if retries.parse::<u32>().is_ok() => {
            RestartPolicy::OnFailure { max_retries: retries.parse().ok().filter(|n| *n > 0) }
        }
        _ => {
            let message =
                format!("`{text}` is not a restart policy: use no, always, unless-stopped or on-failure[:N]");
            cx.error(Code::InvalidValue, message, node, "restart");
            RestartPolicy::No
        }
    }
}

fn replicas(cx: &mut Cx<'_>) -> u32 {
    let deploy = cx.child("deploy");
    if let Some(mode) = deploy.and_then(|d| d.get("mode")) {
        match mode.as_text() {
            Some("replicated" | "") => {}
            Some("global") => cx.warn(
                Code::NoEffect,
                "there is one server, so `global` means one copy",
                mode,
                "deploy.mode",
            ),
            _ => cx.error(Code::NotSupported, "use `replicated`", mode, "deploy.mode"),
        }
    }
    let count = cx.node.get_int("scale").or_else(|| deploy.and_then(|d| d.get_int("replicas"))).unwrap_or(1);
    u32::try_from(count).unwrap_or(1)
}

fn logging(cx: &Cx<'_>) -> Option<Logging> {
    let node = cx.child("logging")?;
    Some(Logging {
        driver: node.get_text("driver").map(str::to_owned),
        options: super::dict(node, "options"),
    })
}

/// A native service runs in the project directory unless it says otherwise.
fn working_dir(cx: &Cx<'_>, is_native: bool) -> Option<String> {
    let given = cx.text("working_dir");
    if !is_native {
        return given;
    }
    let directory = paths::absolute(&cx.project.directory, given.as_deref().unwrap_or("."), None);
    Some(directory.to_string_lossy().into_owned())
}

/// As the Engine's command line writes them: `source:target:permissions`.
fn devices(cx: &Cx<'_>) -> Vec<String> {
    cx.node
        .items("devices")
        .iter()
        .map(|device| {
            let source = device.get_text("source").unwrap_or_default();
            let target = device.get_text("target").filter(|t| !t.is_empty()).unwrap_or(source);
            let permissions = device.get_text("permissions").filter(|p| !p.is_empty()).unwrap_or("rwm");
            format!("{source}:{target}:{permissions}")
        })
        .collect()
}
