//! What an agent that comes back believes of what runs, before any probe of its own has answered.

use mainstay_model::{InstanceId, InstanceState, Observed, StackName, Timestamp};

/// Running instances that the edge sends requests to, and since when they run: they were ready when the agent before
/// put them there, and are so until a probe says otherwise. To believe less would take the whole stack out of
/// rotation each time an agent starts.
pub fn in_rotation(observed: &Observed, stack: &StackName) -> Vec<(InstanceId, Timestamp)> {
    let Some(table) = &observed.table else { return Vec::new() };
    let targets: Vec<_> = table.upstreams.values().flat_map(|u| &u.targets).collect();
    let serving = observed.all().filter_map(|instance| {
        let InstanceState::Running { since } = instance.state else { return None };
        let (name, address) = (format!("{stack}/{}", instance.id), instance.address?.to_string());
        // One that runs at another address since is another run.
        let named = targets.iter().any(|t| t.instance == name && t.address.contains(&address));
        named.then(|| (instance.id.clone(), since))
    });
    serving.collect()
}
