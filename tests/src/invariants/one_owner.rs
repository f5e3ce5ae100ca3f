//! A group has at most one settled owner in a term.

use std::collections::BTreeMap;

use umbel_protocol::id::GroupId;

use super::taken_over_in_time;
use crate::world::World;

/// Who was seen to own what, by group and term.
pub type Owners = BTreeMap<(GroupId, u64), usize>;

/// Looks at the host that has just done something.
pub fn check(world: &mut World, host: usize) {
    let mut both = None;
    let mut fresh = Vec::new();
    let Some(process) = &world.hosts[host].process else {
        return;
    };
    for copy in process.scheduler.copies().filter(|copy| copy.is_settled()) {
        let owner = *world.owners.entry((copy.group(), copy.term())).or_insert_with(|| {
            fresh.push(copy.group());
            host
        });
        if owner != host {
            both = Some((copy.group(), copy.term(), owner));
        }
    }
    for group in fresh {
        taken_over_in_time::on_owner(world, group);
    }
    if let Some((group, term, owner)) = both {
        world.must("one_owner", Err(format!("{owner} and {host} both own {group} in term {term}")));
    }
}
