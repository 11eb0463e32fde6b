//! The simulation's model held against real Engines: the same seeded steps in both end in the same observation.

use crate::harness::{IMAGE, Site, idle};
use crate::on_both_engines;
use mainstay_host::docker::Creation;
use mainstay_model::{Instance, InstanceId, InstanceState, RestartPolicy, Service, Step};
use mainstay_plan::Blueprint;
use mainstay_testkit::world::World;
use mainstay_testkit::{Behaviour, Rng, fixture};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

on_both_engines!(the_model_and_the_engine_end_in_the_same_observation);

/// Sequences, and steps in each: every kind of step follows every other somewhere.
const SEEDS: u64 = 8;
const STEPS: usize = 16;
/// More than a command needs that ends at SIGTERM.
const GRACE: Duration = Duration::from_secs(10);
/// Holds once the first process ends at SIGTERM instead of ignoring it: the kernel says which signals it catches.
const LISTENS: &str = "until grep -q 'SigCgt:.*[4567cdef]...$' /proc/1/status; do :; done";

/// What both must agree on, by instance: name, state with exit status, restarts.
type Sight = BTreeMap<String, (String, String, u32)>;

fn seen<'i>(instances: impl IntoIterator<Item = &'i Instance>) -> Sight {
    let word = |instance: &Instance| match instance.state {
        InstanceState::Running { .. } => "running".to_owned(),
        InstanceState::Exited { code, .. } => format!("exited {code}"),
        ref other => format!("{other:?}"),
    };
    instances.into_iter().map(|i| (i.id.to_string(), (i.name.clone(), word(i), i.restarts))).collect()
}

/// A step of the agent, or a death that nobody asked for.
#[derive(Debug)]
enum Event {
    Step(Step),
    Killed(InstanceId),
}

fn choose(rng: &mut Rng, project: &str, world: &World) -> Event {
    let slot = 1 + u32::try_from(rng.below(2)).unwrap();
    let instance = InstanceId { service: fixture::name("app"), release: 1, slot };
    // Two instances and three names: sometimes the one that is wanted is in use.
    let name = format!("{project}-app-{}", 1 + rng.below(3));
    Event::Step(match rng.below(10) {
        0..=2 => {
            // Nobody asks for one that is there under another name than it has.
            let name = world.bodies.get(&instance).map_or(name, |body| body.instance.name.clone());
            Step::Create { name, instance, release: 1, number: slot }
        }
        3 | 4 => Step::Start { instance, prepare: false },
        5 | 6 => Step::Stop { instance, grace_ms: u64::try_from(GRACE.as_millis()).unwrap() },
        7 => Step::Rename { instance, name },
        8 => return Event::Killed(instance),
        _ => Step::Remove { instance },
    })
}

/// As the agent does it: a step about an instance that is not there has nothing left to do.
async fn on_the_engine(site: &Site, service: &Service, step: &Step, there: Option<&Instance>) -> bool {
    let docker = &site.docker;
    match (step, there) {
        (Step::Create { instance, name, number, .. }, _) => {
            let image = docker.image_id(IMAGE).await.unwrap();
            let (stack, number) = (&site.stack, *number);
            let creation = Creation {
                stack,
                service,
                instance,
                name,
                number,
                hash: "hash",
                image: &image,
                edge_holds_ports: true,
                reached: &BTreeSet::new(),
            };
            docker.create(&creation).await.is_ok()
        }
        (Step::Start { .. }, Some(instance)) => {
            docker.start(&instance.handle).await.unwrap();
            site.sh(&instance.handle, LISTENS).await;
            true
        }
        (Step::Stop { .. }, Some(instance)) => docker.stop(&instance.handle, None, GRACE).await.is_ok(),
        (Step::Remove { .. }, Some(instance)) => docker.remove(&instance.handle).await.is_ok(),
        (Step::Rename { name, .. }, Some(instance)) => docker.rename(&instance.handle, name).await.is_ok(),
        _ => true,
    }
}

/// Kills the first process from outside, as the kernel does it, and waits until the Engine has started it again.
async fn kill(site: &Site, instance: &Instance) {
    let inspected = site.raw(&format!("/containers/{}/json", instance.handle));
    let pid = inspected["State"]["Pid"].as_i64().unwrap();
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    loop {
        let seen = site.docker.observe(&site.stack.name).await.unwrap();
        let again = seen.iter().find(|i| i.id == instance.id).unwrap();
        if again.restarts > instance.restarts && again.is_running() {
            break;
        }
    }
    site.sh(&instance.handle, LISTENS).await;
}

async fn the_model_and_the_engine_end_in_the_same_observation(site: &mut Site) {
    let service = Service { restart: RestartPolicy::Always, ..idle("app") };
    site.stack.services.insert(service.name.clone(), service.clone());
    site.prepare().await;
    let release = fixture::release(1, site.stack.clone());
    let blueprints = BTreeMap::from([(1, Arc::new(Blueprint::new(release)))]);
    for seed in 0..SEEDS {
        let (mut rng, mut world) = (Rng::new(seed), World::default());
        let mut story = Vec::new();
        for _ in 0..STEPS {
            let event = choose(&mut rng, site.stack.name.as_str(), &world);
            let real = site.docker.observe(&site.stack.name).await.unwrap();
            let there = |id: &InstanceId| real.iter().find(|i| i.id == *id);
            let time = world.time + 10;
            world.advance(time, &mut Rng::new(0));
            match &event {
                Event::Step(step) => {
                    let about = match step {
                        Step::Start { instance, .. }
                        | Step::Stop { instance, .. }
                        | Step::Remove { instance }
                        | Step::Rename { instance, .. } => there(instance),
                        _ => None,
                    };
                    let nothing = about.is_none() && !matches!(step, Step::Create { .. });
                    let done = on_the_engine(site, &service, step, about).await;
                    let well = |_: &Service, _, _| Behaviour::Well { after: 1 };
                    let modelled = nothing || world.carry_out(step, &blueprints, well).is_ok();
                    assert_eq!(modelled, done, "seed {seed}: {step:?} after {story:?}");
                }
                Event::Killed(id) => {
                    if let Some(instance) = there(id).filter(|i| i.is_running()) {
                        kill(site, instance).await;
                        world.kill(id);
                    }
                }
            }
            story.push(event);
            let real = site.docker.observe(&site.stack.name).await.unwrap();
            assert_eq!(seen(world.observe().all()), seen(&real), "seed {seed}, after {story:?}");
        }
        for instance in site.docker.observe(&site.stack.name).await.unwrap() {
            site.docker.remove(&instance.handle).await.unwrap();
        }
    }
}
