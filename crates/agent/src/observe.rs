//! Looking at the host: every runtime the stack needs, the edge, and what the probes said.

use crate::stack::{Sight, StackHandle};
use crate::{Agent, Error};
use mainstay_model::{
    Health, Instance, InstanceId, InstanceState, Observed, RuntimeKind, Seen, Stack, StackName, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// What probes said last, for the start that they asked about.
pub(crate) type Healths = BTreeMap<InstanceId, (Timestamp, Health)>;

/// What is seen of a stack that is to become `wanted`. The stack's own task looks only where its releases have instances:
/// at nothing, before the first one, while Docker Compose may run it already.
pub(crate) async fn before(agent: &Agent, handle: &StackHandle, wanted: &Stack) -> Sight {
    let mut sight = handle.sight.borrow().clone();
    let needs: BTreeSet<_> = wanted.services.values().map(mainstay_model::Service::runtime).collect();
    if !needs.iter().all(|runtime| sight.observed.instances.contains_key(runtime)) {
        sight.observed = look(agent, &handle.name, &needs).await;
    }
    sight
}

/// What one look saw, before the probes' answers are put in.
pub(crate) async fn look(agent: &Agent, stack: &StackName, needs: &BTreeSet<RuntimeKind>) -> Observed {
    let mut observed = Observed {
        instances: BTreeMap::new(),
        networks: BTreeSet::new(),
        volumes: BTreeSet::new(),
        edge: agent.edge.status().await,
        table: agent.edge.part(stack),
        free_memory: free_memory(),
    };
    for runtime in needs {
        let seen = match runtime {
            RuntimeKind::Docker => docker(agent, stack, &mut observed).await,
            RuntimeKind::Native => agent.runtimes.native.observe(stack).await.map_err(Error::from),
        };
        let seen = match seen {
            Ok(instances) => Seen::Known(instances.into_iter().map(|i| (i.id.clone(), i)).collect()),
            Err(error) => Seen::Unknown(error.whole()),
        };
        observed.instances.insert(*runtime, seen);
    }
    observed
}

async fn docker(agent: &Agent, stack: &StackName, observed: &mut Observed) -> Result<Vec<Instance>, Error> {
    let docker = agent.runtimes.docker().await?;
    let look = async {
        tokio::try_join!(docker.observe(stack), docker.observe_networks(stack), docker.observe_volumes(stack))
    };
    match look.await {
        Ok((instances, networks, volumes)) => {
            (observed.networks, observed.volumes) = (networks, volumes);
            Ok(instances)
        }
        Err(error) => {
            agent.runtimes.forget_docker(&error).await;
            Err(error.into())
        }
    }
}

/// Puts in what the probes said about the present run of every instance.
pub(crate) fn with_health(observed: &mut Observed, healths: &Healths) {
    for seen in observed.instances.values_mut() {
        let Seen::Known(instances) = seen else { continue };
        for (id, instance) in instances {
            let InstanceState::Running { since } = instance.state else { continue };
            if let Some((_, health)) = healths.get(id).filter(|(start, _)| *start == since) {
                instance.health = health.clone();
            }
        }
    }
}

/// `MemAvailable` of the host, bytes.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}
