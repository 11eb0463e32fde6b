//! The simulation's model held against real processes: the same seeded steps in both end in the same observation.

use crate::support::{Host, id, shell};
use mainstay_model::{Instance, InstanceId, InstanceState, Step};
use mainstay_plan::Blueprint;
use mainstay_testkit::world::World;
use mainstay_testkit::{Behaviour, Rng, fixture};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Sequences, and steps in each.
const SEEDS: u64 = 24;
const STEPS: usize = 14;
/// More than a command needs that ends at SIGTERM.
const GRACE_MS: u64 = 10_000;

/// What both must agree on.
fn seen<'i>(instances: impl IntoIterator<Item = &'i Instance>) -> BTreeMap<String, String> {
    let word = |instance: &Instance| match instance.state {
        InstanceState::Created => "created".to_owned(),
        InstanceState::Running { .. } => "running".to_owned(),
        // With which status is the program's own affair: it may be told to end before it listens.
        InstanceState::Exited { .. } => "exited".to_owned(),
        ref other => format!("{other:?}"),
    };
    instances.into_iter().map(|i| (i.id.to_string(), word(i))).collect()
}

fn choose(rng: &mut Rng) -> Step {
    let instance = id("app", 1 + u32::try_from(rng.below(2)).unwrap());
    match rng.below(5) {
        0 | 1 => Step::Create { name: instance.to_string(), instance, release: 1, number: 0 },
        2 => Step::Start { instance, prepare: false },
        3 => Step::Stop { instance, grace_ms: GRACE_MS },
        _ => Step::Remove { instance },
    }
}

/// As the agent does it: a step about an instance that is not there has nothing left to do.
async fn on_the_host(host: &Host, step: &Step, there: bool) {
    let (native, stack) = (&host.native, &host.stack);
    match step {
        Step::Create { instance, .. } => {
            // Ends with status 0 when it is told to, as the model's do.
            let service = shell("trap 'exit 0' TERM; while :; do sleep 0.01; done");
            native.create(stack, &service, instance, "hash", None).await.unwrap();
        }
        _ if !there => {}
        Step::Start { instance, .. } => {
            native.start(stack, instance).await.unwrap();
        }
        Step::Stop { instance, grace_ms } => {
            native.stop(stack, instance, None, Duration::from_millis(*grace_ms)).await.unwrap();
        }
        Step::Remove { instance } => native.remove(stack, instance).await.unwrap(),
        _ => {}
    }
}

#[tokio::test]
async fn the_model_and_real_processes_end_in_the_same_observation() {
    let service = mainstay_model::Service { image: None, ..fixture::service("app") };
    let release = fixture::release(1, fixture::stack([service]));
    let blueprints = BTreeMap::from([(1, Arc::new(Blueprint::new(release)))]);
    for seed in 0..SEEDS {
        let (mut rng, host, mut world) = (Rng::new(seed), Host::new(), World::default());
        let mut story = Vec::new();
        for _ in 0..STEPS {
            let step = choose(&mut rng);
            let there = |id: &InstanceId| world.bodies.contains_key(id);
            let is_there = match &step {
                Step::Start { instance, .. } | Step::Stop { instance, .. } | Step::Remove { instance } => {
                    there(instance)
                }
                _ => true,
            };
            on_the_host(&host, &step, is_there).await;
            if is_there {
                let time = world.time + 10;
                world.advance(time, &mut Rng::new(0));
                world.carry_out(&step, &blueprints, |_, _, _| Behaviour::Well { after: 1 }).unwrap();
            }
            story.push(step);
            let real = host.native.observe(&host.stack).await.unwrap();
            let model = world.observe();
            assert_eq!(seen(model.all()), seen(&real), "seed {seed}, after {story:?}");
        }
    }
}
