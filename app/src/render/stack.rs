//! A stack as it runs: the table of `mainstay ps`.

use super::style;
use super::table::{Cell, Table};
use super::words;
use anstyle::Style;
use mainstay_api::{InstanceView, ServiceView, StackView};
use mainstay_model::Timestamp;

/// Columns of the table.
const HEAD: [&str; 10] =
    ["SERVICE", "INSTANCE", "STATE", "HEALTH", ">SINCE", ">RESTARTS", ">CPU", "MEMORY", ">RELEASE", "ROUTES"];

/// The whole view: a headline, the table, and what stands against trusting it. `all` shows ended instances, too.
pub fn text(view: &StackView, all: bool, now: Timestamp, width: Option<usize>) -> String {
    let mut out = headline(view);
    if let Some(blind) = &view.blind {
        out.push_str(&format!("{}\n", style::paint(style::BAD, format!("what follows may be old: {blind}"))));
    }
    if view.services.is_empty() {
        return out;
    }
    out.push_str(&table(view, all, now).render(width));
    for service in view.services.iter().filter(|s| !s.note.is_empty() && is_grave(&s.note)) {
        out.push_str(&format!(
            "{}: {}\n",
            style::paint(style::BUSY, &service.name),
            words::tame(&service.note)
        ));
    }
    out
}

/// `posthub · release 4 · 6 of 7 services ready`.
fn headline(view: &StackView) -> String {
    let ready = view.services.iter().filter(|s| is_as_wanted(s)).count();
    let release = view.release.map_or_else(|| "no release".to_owned(), |n| format!("release {n}"));
    let (look, state) = match (view.services.len(), ready) {
        (0, _) => (style::DIM, "nothing runs".to_owned()),
        (whole, ready) if whole == ready => {
            (style::GOOD, format!("{} as wanted", words::count(whole, "service")))
        }
        (whole, ready) => (style::BUSY, format!("{ready} of {whole} services as wanted")),
    };
    let on_trial = || view.back_to.map(|release| format!("on trial, or back to release {release}"));
    let deploy = view.deploy.clone().or_else(on_trial);
    let deploy = deploy.map(|d| format!(" · {}", style::paint(style::BUSY, &d))).unwrap_or_default();
    format!("{} · {release} · {}{deploy}\n", style::paint(style::BOLD, &view.name), style::paint(look, state))
}

/// Whether a service runs as the file says.
pub fn is_as_wanted(service: &ServiceView) -> bool {
    let works = |i: &&InstanceView| i.health == "ready" || i.state == "exited" && i.exit_code == Some(0);
    let working = service.instances.iter().filter(works).count();
    working >= usize::try_from(service.replicas).unwrap_or(usize::MAX) && !is_grave(&service.note)
}

fn is_grave(note: &str) -> bool {
    note.contains("crash") || note.contains("fail") || note.contains("wait")
}

/// The table alone.
pub fn table(view: &StackView, all: bool, now: Timestamp) -> Table {
    let mut table = Table::new(&HEAD);
    for service in &view.services {
        let shown: Vec<&InstanceView> =
            service.instances.iter().filter(|i| all || !is_over(i) || service.instances.len() == 1).collect();
        if shown.is_empty() {
            let mut cells: [Cell; 10] = Default::default();
            cells[0] = Cell::styled(style::BOLD, service.name.as_str());
            cells[2] = Cell::styled(style::DIM, state_without_instance(service));
            cells[9] = Cell::styled(style::HINT, urls(service).join(" "));
            table.row(cells);
        }
        for (place, instance) in shown.into_iter().enumerate() {
            table.row(row(service, instance, place == 0, now));
        }
    }
    table
}

fn state_without_instance(service: &ServiceView) -> String {
    if service.note.is_empty() { "none".into() } else { words::tame(&service.note) }
}

/// Ended by itself with status 0: a job that is done.
fn is_over(instance: &InstanceView) -> bool {
    instance.state == "exited" && instance.exit_code == Some(0)
}

fn row(service: &ServiceView, instance: &InstanceView, first: bool, now: Timestamp) -> [Cell; 10] {
    let state = match instance.exit_code {
        Some(code) if instance.state == "exited" => format!("exited ({code})"),
        _ => instance.state.clone(),
    };
    let health = match (instance.health.as_str(), instance.detail.as_str()) {
        ("", "") => String::new(),
        ("", detail) => words::tame(detail),
        (health, "") => health.to_owned(),
        ("unhealthy", detail) => format!("unhealthy: {}", super::table::cut(&words::tame(detail), 40)),
        (health, _) => health.to_owned(),
    };
    let memory = match (instance.memory, instance.memory_limit) {
        (None, _) => String::new(),
        (Some(used), None) => words::bytes(used),
        (Some(used), Some(limit)) => format!("{} of {}", words::bytes(used), words::bytes(limit)),
    };
    let restarts = match instance.restarts {
        0 => Cell::styled(style::DIM, "0"),
        n => Cell::styled(style::BUSY, n.to_string()),
    };
    let routes = if first { urls(service) } else { Vec::new() };
    [
        if first { Cell::styled(style::BOLD, service.name.as_str()) } else { Cell::default() },
        Cell::new(instance.name.as_str()),
        Cell::styled(look(instance), state),
        Cell::styled(look(instance), health),
        Cell::new(instance.since.map(|at| words::ago(at, now)).unwrap_or_default()),
        restarts,
        Cell::new(instance.cpu_percent.map(|p| format!("{p:.1}%")).unwrap_or_default()),
        Cell::styled(pressure(instance), memory),
        Cell::new(instance.id.release.to_string()),
        Cell::styled(style::HINT, routes.join(" ")),
    ]
}

fn urls(service: &ServiceView) -> Vec<&str> {
    service.routes.iter().map(|r| r.url.as_deref().unwrap_or(&r.from)).collect()
}

fn look(instance: &InstanceView) -> Style {
    match (instance.state.as_str(), instance.health.as_str(), instance.exit_code) {
        ("running", "ready", _) => style::GOOD,
        ("running", "unhealthy", _) | ("dead", _, _) => style::BAD,
        ("exited", _, Some(0)) => style::DIM,
        ("exited", _, _) => style::BAD,
        _ => style::BUSY,
    }
}

/// Memory is red from nine tenths of its limit on: the next peak may end it.
fn pressure(instance: &InstanceView) -> Style {
    match (instance.memory, instance.memory_limit) {
        (Some(used), Some(limit)) if used / 9 >= limit / 10 => style::BAD,
        (Some(used), Some(limit)) if used / 3 >= limit / 4 => style::BUSY,
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_api::RouteView;
    use mainstay_model::{InstanceId, RuntimeKind, ServiceName, StackName};

    fn instance(slot: u32, health: &str) -> InstanceView {
        InstanceView {
            id: InstanceId { service: ServiceName::new("api").unwrap(), release: 4, slot },
            name: format!("shop-api-{slot}"),
            handle: "abc".into(),
            state: "running".into(),
            health: health.into(),
            detail: String::new(),
            since: Some(Timestamp(1_000)),
            restarts: 0,
            exit_code: None,
            cpu_percent: Some(1.25),
            memory: Some(500 << 20),
            memory_limit: Some(512 << 20),
            network: None,
            block: None,
            pids: None,
            in_rotation: true,
        }
    }

    #[test]
    fn a_stack_fits_one_look() {
        let api = ServiceView {
            name: ServiceName::new("api").unwrap(),
            runtime: Some(RuntimeKind::Docker),
            image: Some("shop/api".into()),
            replicas: 2,
            note: String::new(),
            instances: vec![instance(1, "ready"), instance(2, "starting")],
            routes: vec![RouteView { from: "*/".into(), url: Some("http://localhost:8080/".into()) }],
        };
        let view = StackView {
            name: StackName::new("shop").unwrap(),
            release: Some(4),
            deploy: None,
            back_to: None,
            blind: None,
            services: vec![api],
        };
        let text = text(&view, false, Timestamp(193_000), None);
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r"
        shop · release 4 · 0 of 1 services as wanted
        SERVICE  INSTANCE    STATE    HEALTH     SINCE  RESTARTS   CPU  MEMORY        RELEASE  ROUTES
        api      shop-api-1  running  ready     3m 12s         0  1.2%  500M of 512M        4  http://localhost:8080/
                 shop-api-2  running  starting  3m 12s         0  1.2%  500M of 512M        4
        ");
    }
}
