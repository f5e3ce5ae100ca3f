//! No more whole states are on their way, to one node or from one, than there may be.

use std::collections::BTreeMap;

use umbel_protocol::id::NodeId;

use crate::world::World;

/// Looks at what every host sends.
///
/// # Errors
/// Who sends too much.
pub fn check(world: &mut World) -> Result<(), String> {
    let limits = world.plan.limits;
    let mut waiting = 0;
    for (host, one) in world.hosts.iter().enumerate() {
        let Some(process) = &one.process else {
            continue;
        };
        let mut to: BTreeMap<NodeId, usize> = BTreeMap::new();
        for node in process.scheduler.copies().flat_map(|copy| copy.states_under_way()) {
            *to.entry(node).or_default() += 1;
        }
        let most = to.values().max().copied().unwrap_or(0);
        let all: usize = to.values().sum();
        if most > limits.states_to_node_max || all > limits.states_in_flight_max {
            return Err(format!("host {host} sends {all} states, {most} of them to one node"));
        }
        waiting += process.scheduler.states_waiting();
    }
    if waiting > 0 {
        world.saw("state waits");
    }
    Ok(())
}
