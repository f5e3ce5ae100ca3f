//! Of all tasks of one name with one unique key there is one at a time.
//!
//! All that have not ended live in one partition, so every copy of it can tell. One whose key is free as
//! soon as it starts does not count from then on.

use std::collections::BTreeMap;

use umbel_protocol::id::TaskId;
use umbel_protocol::partition::Partition;
use umbel_protocol::task::{State, Template, UniqueScope};

use crate::world::World;

/// A copy of a partition of so many.
///
/// # Errors
/// If two unfinished tasks of it have one key, or one lives elsewhere than its key.
pub fn check(partition: &Partition, partitions: u16) -> Result<(), String> {
    let mut holders: BTreeMap<(&str, &str), TaskId> = BTreeMap::new();
    let open = partition.records().filter(|(_, record)| !record.state().is_final());
    let open: Vec<_> = open.collect();
    for (task, record) in &open {
        let Some(particulars) = record.particulars.as_ref() else {
            continue;
        };
        let Some(key) = particulars.unique_key.as_deref() else {
            continue;
        };
        let name = record.template.name.as_str();
        if particulars.partition(name, partitions) != Some(partition.id()) {
            return Err(format!("{task} of the key {key:?} of {name} lives in {}", partition.id()));
        }
        let options = &record.template.options;
        let has_started = record.state() == State::Leased || record.waits_again();
        if options.unique_scope() == UniqueScope::UntilStarted && has_started {
            continue;
        }
        if let Some(other) = holders.insert((name, key), *task) {
            return Err(format!("{other} and {task} both have the key {key:?} of {name}"));
        }
    }
    Ok(())
}

/// `task` was refused because of `other`.
///
/// # Errors
/// If it asks for no key, or there was never another.
pub fn on_refused(
    world: &World,
    task: TaskId,
    other: TaskId,
    template: Option<&Template>,
) -> Result<(), String> {
    let is_unique = template.is_some_and(|template| template.options.unique_scope.is_some());
    if !is_unique {
        return Err(format!("{task} is refused and has no key"));
    }
    if other == task || world.ledger.log_of(other).is_none() {
        return Err(format!("{task} is refused for {other}, which nobody knows"));
    }
    Ok(())
}
