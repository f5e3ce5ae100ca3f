//! What an executor can run, as it tells the owners of tasks.

use std::collections::BTreeMap;

use umbel_protocol::task::Template;
use umbel_protocol::wire::{Declaration, Profile, Queue};

use crate::config::Config;
use crate::work::{Definition, Kind, Registry};

/// The queues and resources that have, or had, slots of their own, in the order of their pools: each keeps its pool
/// for as long as the node lives, as runs take slots of it.
#[derive(Debug, Default)]
pub(super) struct OwnPools(Vec<Own>);

#[derive(Debug, PartialEq, Eq)]
enum Own {
    Queue(String),
    Resource(String),
}

impl OwnPools {
    /// The pool of `own`, which is made if it has none; none if there are too many.
    fn of(&mut self, own: Own) -> Option<u8> {
        let known = self.0.iter().position(|known| *known == own);
        let place = known.unwrap_or(self.0.len());
        let pool = u8::try_from(KINDS + place).ok()?;
        if known.is_none() {
            self.0.push(own);
        }
        Some(pool)
    }
}

/// Pools of the kinds of work, which come first.
const KINDS: usize = 4;

/// The profile of a node with these tasks. There is a pool of slots for each kind of work, and one
/// more for each resource and each queue that has slots of its own, or had some when `own_pools` was used before.
pub(super) fn profile(config: &Config, registry: &Registry, own_pools: &mut OwnPools) -> Profile {
    let slots = &config.slots;
    let kinds = [slots.asynchronous, slots.blocking, slots.command, slots.webhook];
    let mut tasks: Vec<Declaration> = (registry.iter())
        .filter_map(|definition| {
            // With more resources than pools nobody could say how many run.
            let taken = match definition.takes() {
                Some(name) => Some(own_pools.of(Own::Resource(name.to_owned()))?),
                None => None,
            };
            Some(Declaration {
                name: definition.name().to_owned(),
                pool: taken.unwrap_or_else(|| pool_of(definition.kind())),
                queue: queue_of(definition),
                options: definition.template().options.clone(),
                takes_resource: taken.is_some(),
            })
        })
        .collect();
    tasks.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    // A queue begins with the first task that is sent to it, unless the node is for some only.
    let serves_all = config.node.queues.is_none();
    let serves = |queue: &str| {
        config.node.queues.as_ref().is_none_or(|only| only.iter().any(|name| name == queue))
    };
    let mut queues: BTreeMap<String, Queue> = BTreeMap::new();
    for definition in registry.iter() {
        // A handler's queue need not be listed anywhere else.
        let name = queue_of(definition);
        if !serves(&name) {
            continue;
        }
        queues.insert(name.clone(), Queue { name, pool: None, priority: None });
    }
    let only = config.node.queues.iter().flatten();
    for name in only {
        let queue = Queue { name: name.clone(), pool: None, priority: None };
        queues.insert(name.clone(), queue);
    }
    for (name, queue) in &config.queues {
        let pool = queue.slots.and_then(|_| own_pools.of(Own::Queue(name.clone())));
        if serves(name) {
            let (name, priority) = (name.clone(), queue.priority);
            queues.insert(name.clone(), Queue { name, pool, priority });
        }
    }
    let slots_of = |own: &Own| match own {
        Own::Queue(name) => config.queues.get(name).and_then(|queue| queue.slots).unwrap_or(0),
        Own::Resource(name) => slots.resources.get(name).copied().unwrap_or(0),
    };
    let pools = kinds.into_iter().chain(own_pools.0.iter().map(slots_of)).collect();
    let queues = queues.into_values().collect();
    Profile { pools, tasks, queues, pid: std::process::id(), serves_all }
}

fn queue_of(definition: &Definition) -> String {
    let queue = &definition.template().queue;
    if queue.is_empty() { Template::QUEUE_DEFAULT.to_owned() } else { queue.clone() }
}

const fn pool_of(kind: Kind) -> u8 {
    match kind {
        Kind::Async => 0,
        Kind::Blocking => 1,
        Kind::Command => 2,
        Kind::Webhook => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serves(file: &str, queue: &str) -> (bool, Option<u8>) {
        let config = Config::parse("cluster.toml", file).expect("it is valid");
        let profile = profile(&config, &Registry::default(), &mut OwnPools::default());
        let pool = profile.queue(queue).and_then(|queue| queue.pool);
        (profile.serves(queue), pool)
    }

    #[test]
    fn a_node_serves_all_queues_or_those_that_it_is_for() {
        let slots = "[queues.bulk]\nslots = 2\n[queues.mail]\nslots = 3\n";
        assert_eq!(serves(slots, "anything"), (true, None));
        assert_eq!(serves(slots, "mail"), (true, Some(5)));
        let only = format!("[node]\nqueues = [\"mail\", \"fresh\"]\n{slots}");
        // Its pools are those that there would be without.
        assert_eq!(serves(&only, "mail"), (true, Some(5)));
        assert_eq!(serves(&only, "fresh"), (true, None));
        assert_eq!([serves(&only, "bulk"), serves(&only, "default")], [(false, None); 2]);
    }

    #[test]
    fn a_queue_keeps_its_pool_whatever_comes_and_goes() {
        let mut pools = OwnPools::default();
        let mut sizes = |file: &str| {
            let config = Config::parse("cluster.toml", file).expect("it is valid");
            let profile = profile(&config, &Registry::default(), &mut pools);
            let pool = profile.queue("mail").and_then(|queue| queue.pool);
            (profile.pools[KINDS..].to_vec(), pool)
        };
        assert_eq!(sizes("[queues.mail]\nslots = 3\n"), (vec![3], Some(4)));
        let both = "[queues.bulk]\nslots = 2\n[queues.mail]\nslots = 5\n";
        assert_eq!(sizes(both), (vec![5, 2], Some(4)), "though another one comes before it");
        assert_eq!(sizes("[queues.bulk]\nslots = 2\n"), (vec![0, 2], None));
        assert_eq!(sizes(both), (vec![5, 2], Some(4)));
    }

    #[test]
    fn a_resource_has_a_pool_that_counts_before_that_of_the_queue() {
        let file = "[slots]\nresources = { gpu = 2 }\n[queues.train]\nslots = 9\n";
        let config = Config::parse("cluster.toml", file).expect("it is valid");
        let mut registry = Registry::default();
        for (name, resource) in [("train", Some("gpu")), ("plain", None), ("mine", Some("ore"))] {
            let handler = |(): ()| async { Ok::<_, std::io::Error>(()) };
            let mut definition = Definition::from_async(name, handler).queue("train");
            if let Some(resource) = resource {
                definition = definition.resource(resource);
            }
            registry.add(definition).expect("its name is free");
        }
        let profile = profile(&config, &registry, &mut OwnPools::default());
        let slots = |name| profile.pool("train", name).map(|pool| profile.pools[pool]);
        assert_eq!([slots("train"), slots("plain"), slots("mine")], [Some(2), Some(9), Some(0)]);
    }
}
