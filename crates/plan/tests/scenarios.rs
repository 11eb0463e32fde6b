//! The main situations as stories: what is decided, in which order, and why. The recorded output is in `snapshots`.

use insta::assert_snapshot;
use mainstay_model::DependencyCondition::{ServiceHealthy, ServiceStarted};
use mainstay_model::table::{Listener, Passthrough};
use mainstay_model::{HostPattern, ProxyVersion, Route, Service, TcpRoute, Timestamp, Transition};
use mainstay_testkit::fixture::{ServiceExt, name, service, stack};
use mainstay_testkit::{Behaviour, Scenario};
use std::collections::BTreeSet;
use std::fmt::Write;

fn db() -> Service {
    service("db").with_volume("data")
}

fn api(version: u64, replicas: u32) -> Service {
    let api = service("api").routed("shop.test").needs("db", ServiceHealthy).version(version);
    Service { replicas, ..api }
}

fn beat(version: u64) -> Service {
    let command = ["celery", "-A", "shop", "beat"].map(String::from).to_vec();
    Service { command: Some(command), ..service("beat").needs("api", ServiceStarted).version(version) }
}

/// The stack of most stories is up, and what it took is not told again.
fn running() -> Scenario {
    let mut scenario = Scenario::default();
    scenario.up([db(), api(1, 2)]);
    scenario.forget_story();
    scenario
}

#[test]
fn first_up_waits_for_what_it_depends_on_and_runs_the_release_job_before_traffic() {
    let mut scenario = Scenario::default();
    scenario.up([db(), Service { release_job: Some(vec!["migrate".into()]), ..api(1, 2) }]);
    assert_snapshot!(scenario.story());
}

#[test]
fn a_redeploy_proves_the_new_beside_the_old() {
    let mut scenario = running();
    scenario.up([db(), api(2, 2)]);
    assert_snapshot!(scenario.story());
}

#[test]
fn a_database_is_swapped_in_place() {
    let mut scenario = running();
    scenario.up([db().version(2), api(1, 2)]);
    assert_snapshot!(scenario.story());
}

#[test]
fn a_beat_is_swapped_after_what_can_be_proven_without_it() {
    let mut scenario = Scenario::default();
    scenario.up([db(), api(1, 1), beat(1)]);
    scenario.forget_story();
    scenario.up([db(), api(2, 1), beat(2)]);
    assert_snapshot!(scenario.story());
}

#[test]
fn scaling_up_and_down_leaves_the_others_alone() {
    let mut scenario = running();
    scenario.up([db(), api(1, 3)]);
    scenario.up([db(), api(1, 1)]);
    assert_snapshot!(scenario.story());
}

#[test]
fn a_new_instance_that_fails_is_undone() {
    let mut scenario = running();
    scenario.behaves("api", 2, Behaviour::NeverReady);
    scenario.up([db(), api(2, 2)]);
    assert_snapshot!(scenario.story());
}

#[test]
fn a_swap_that_fails_brings_the_old_back() {
    let mut scenario = running();
    scenario.behaves("db", 2, Behaviour::NeverReady);
    scenario.up([db().version(2), api(1, 2)]);
    assert_snapshot!(scenario.story());
}

#[test]
fn an_unhealthy_instance_is_replaced_by_one_that_is_proven() {
    let mut scenario = Scenario::default();
    scenario.behaves("api", 1, Behaviour::TurnsSick { after: 100, sick: 20_000 });
    scenario.up([db(), api(1, 1)]);
    assert_snapshot!(scenario.story());
}

#[test]
fn stop_and_start() {
    let mut scenario = running();
    let services = BTreeSet::from([name("api")]);
    scenario.command(Transition::Stop { services: services.clone() });
    let at = Timestamp(scenario.world.now().0 + 1);
    scenario.command(Transition::Start { services, at });
    assert_snapshot!(scenario.story());
}

#[test]
fn a_rollback_is_a_deploy_of_an_old_release() {
    let mut scenario = running();
    scenario.up([db(), api(2, 2)]);
    scenario.forget_story();
    scenario.command(Transition::Begin { to: 1, at: scenario.world.now() });
    assert_snapshot!(scenario.story());
}

#[test]
fn down_stops_dependants_first() {
    let mut scenario = running();
    scenario.command(Transition::Down { volumes: false, at: scenario.world.now() });
    assert_snapshot!(scenario.story());
}

#[test]
fn nothing_is_decided_while_nothing_can_be_seen() {
    let mut scenario = running();
    scenario.world.blind_until = u64::MAX;
    scenario.command(Transition::Begin { to: 1, at: scenario.world.now() });
    assert!(scenario.plan().steps.is_empty());
    assert_snapshot!(scenario.story());
}

#[test]
fn a_release_whose_answers_fail_is_left_again() {
    let mut scenario = running();
    scenario.behaves("api", 2, Behaviour::Wrong { after: 100 });
    scenario.up([db(), api(2, 2)]);
    assert_eq!(scenario.state.current, Some(1));
    assert_eq!(scenario.state.watch, None, "what was gone back to is not on trial");
    assert_snapshot!(scenario.story());
}

#[test]
fn a_release_that_keeps_ending_after_it_took_over_is_left_again() {
    let mut scenario = running();
    // The trial's end is the next thing that would happen by itself.
    scenario.stop_at_rest_of_deploy = true;
    scenario.up([db(), api(2, 1)]);
    scenario.stop_at_rest_of_deploy = false;
    let id = scenario.world.bodies.keys().find(|id| id.service.as_str() == "api").cloned().unwrap();
    for _ in 0..3 {
        scenario.world.kill(&id);
    }
    scenario.say("api.2.1 is killed three times");
    scenario.run();
    assert_eq!(scenario.state.current, Some(1));
    assert_snapshot!(scenario.story());
}

#[test]
fn a_release_that_was_asked_for_again_is_no_reason_to_leave_a_service_it_did_not_change() {
    let mut scenario = Scenario::default();
    scenario.behaves("api", 1, Behaviour::Wrong { after: 100 });
    scenario.up([db(), api(1, 1), beat(1)]);
    scenario.up([db(), api(1, 1), beat(2)]);
    assert_eq!(scenario.state.current, Some(2), "{}", scenario.story());
}

#[test]
fn a_stack_that_is_given_to_compose_changes_what_publishes_ports_alone() {
    let mut scenario = Scenario::default();
    scenario.up([db(), api(1, 1), service("web").publishes(80).version(1)]);
    scenario.up([db(), api(1, 1), service("web").publishes(80).version(2)]);
    scenario.forget_story();
    scenario.command(Transition::Eject);
    assert!(scenario.plan().steps.is_empty());
    assert_snapshot!(scenario.story());
}

#[test]
fn hooks_belong_to_a_start_and_those_before_it_run_once_for_all_copies() {
    let mut scenario = Scenario::default();
    scenario.up([db(), api(1, 2).hooked(), beat(1)]);
    assert_snapshot!(scenario.story());
}

#[test]
fn what_is_created_is_made_in_full_and_started_by_whoever_comes_next() {
    let mut scenario = Scenario::default();
    scenario.create([db(), api(1, 2)]);
    scenario.up([db(), api(1, 2)]);
    assert_snapshot!(scenario.story());
}

#[test]
fn an_agent_that_died_before_the_hooks_runs_them_before_any_request_comes() {
    let mut scenario = Scenario::default();
    scenario.dies_before_hooks = true;
    scenario.up([service("api").routed("shop.test").hooked()]);
    assert_snapshot!(scenario.story());
}

#[test]
fn a_release_is_not_left_while_a_service_is_stopped_by_command() {
    let mut scenario = running();
    scenario.stop_at_rest_of_deploy = true;
    scenario.behaves("web", 2, Behaviour::Wrong { after: 100 });
    scenario.up([db(), api(2, 1), service("web").routed("*").version(2)]);
    let services = BTreeSet::from([name("api")]);
    scenario.command(Transition::Stop { services });
    scenario.stop_at_rest_of_deploy = false;
    scenario.run();
    assert_eq!(scenario.state.current, Some(2), "{}", scenario.story());
    assert!(scenario.plan().steps.is_empty());
}

#[test]
fn what_is_passed_on_unseen_has_listeners_names_and_upstreams() {
    let host = |text: &str| HostPattern::try_from(text.to_owned()).unwrap();
    let mut api = api(1, 1);
    let passed =
        Route { host: host("tls.test"), port: Some(8443), passthrough: true, ..api.routes[0].clone() };
    api.routes.push(passed);
    let mut stack = stack([db(), api]);
    let entry = |listen: &str, names: &[&str], to: &[&str], send_proxy| TcpRoute {
        listen: listen.parse().unwrap(),
        names: names.iter().map(|name| host(name)).collect(),
        to: to.iter().map(|to| (*to).to_owned()).collect(),
        send_proxy,
    };
    stack.edge.tcp = vec![
        entry("0.0.0.0:5432", &[], &["db:5432"], None),
        entry(
            "0.0.0.0:993",
            &["a.test", "*.b.test"],
            &["10.0.0.1:993", "10.0.0.2:993"],
            Some(ProxyVersion::V2),
        ),
        entry("0.0.0.0:993", &[], &["api:993"], None),
    ];
    let mut scenario = Scenario::default();
    scenario.up_stack(stack);
    let table = &scenario.world.table;
    let mut shown = String::new();
    for Listener { address, kind, .. } in &table.listeners {
        writeln!(shown, "listen on {address}: {kind:?}").unwrap();
    }
    for Passthrough { on, host, upstream } in &table.passthrough {
        let on = on.map_or("wherever TLS is spoken".to_owned(), |on| on.to_string());
        writeln!(shown, "{host} on {on}: {upstream}").unwrap();
    }
    for (key, upstream) in &table.upstreams {
        let targets: Vec<_> = upstream.targets.iter().map(|target| target.instance.as_str()).collect();
        writeln!(shown, "{key}: {targets:?} {:?}", upstream.transport.send_proxy).unwrap();
    }
    assert_snapshot!(shown);
}
