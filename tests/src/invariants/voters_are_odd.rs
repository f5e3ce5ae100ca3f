//! The voters of a group are always as many as make a majority worth having: an odd number, and no
//! more than there are to be. A new copy learns first; it does not vote before it has caught up.
//!
//! Where one copy alone votes, its vote goes to another through a moment in which both have one: an
//! owner never takes its own.

use umbel_protocol::limits::META_VOTERS_MAX;

use crate::world::World;

/// Looks at all owners, as they are between two changes of their copies.
///
/// # Errors
/// The first group with other voters.
pub fn check(world: &World) -> Result<(), String> {
    for (host, one) in world.hosts.iter().enumerate() {
        let copies = one.process.iter().flat_map(|process| process.scheduler.copies());
        for copy in copies.filter(|copy| copy.is_settled()) {
            let (group, copies) = (copy.group(), copy.copies());
            let most = match group.partition() {
                Some(_) => usize::from(world.plan.replicas),
                None => META_VOTERS_MAX,
            };
            let voters = copies.voters.len();
            // The only voter is drained, or was a moment ago: it makes another one beside it, and lets
            // that lead. That it comes to its end is looked at when all is at rest.
            let parts = voters == 2 && world.operator.asked() > 0;
            if !copies.is_joint() && !parts && (voters % 2 == 0 || voters > most) {
                return Err(format!("{group} has {voters} voters, says host {host}: {copies:?}"));
            }
        }
    }
    Ok(())
}
