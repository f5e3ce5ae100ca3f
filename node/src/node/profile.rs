//! What an executor can run, as it tells the owners of tasks.

use std::collections::BTreeMap;

use umbel_protocol::wire::Profile;

use crate::config::Config;
use crate::work::{Kind, Registry};

/// The profile of a node with these tasks. There is a pool of slots for each kind of work, and one
/// more for each queue that has slots of its own.
pub(super) fn profile(config: &Config, registry: &Registry) -> Profile {
    let slots = &config.slots;
    let mut pools = vec![slots.asynchronous, slots.blocking, slots.command, slots.webhook];
    let tasks: BTreeMap<String, u8> = (registry.iter())
        .map(|definition| (definition.name().to_owned(), pool_of(definition.kind())))
        .collect();
    let mut queues: BTreeMap<String, Option<u8>> = BTreeMap::new();
    for definition in registry.iter() {
        // A handler's queue need not be listed anywhere else.
        queues.insert(definition.template().queue.clone(), None);
    }
    for (name, queue) in &config.queues {
        let own = queue.slots.and_then(|slots| {
            let pool = u8::try_from(pools.len()).ok()?;
            pools.push(slots);
            Some(pool)
        });
        queues.insert(name.clone(), own);
    }
    Profile {
        pools,
        tasks: tasks.into_iter().collect(),
        queues: queues.into_iter().collect(),
        pid: std::process::id(),
    }
}

const fn pool_of(kind: Kind) -> u8 {
    match kind {
        Kind::Async => 0,
        Kind::Blocking => 1,
        Kind::Command => 2,
        Kind::Webhook => 3,
    }
}
