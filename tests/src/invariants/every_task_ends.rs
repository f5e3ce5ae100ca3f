//! Every task that was taken in ends, and as it should.

use umbel_protocol::task::{FailureKind, Phase};

use super::{owned, partitions};
use crate::work::Script;
use crate::world::World;

/// A task that has not ended, if there is one.
#[must_use]
pub fn open(world: &World) -> Option<String> {
    for id in partitions(world) {
        let Some(partition) = owned(world, id) else {
            return Some(format!("nobody owns {id}"));
        };
        let open = partition.records().find(|(_, record)| !record.state().is_final());
        if let Some((task, record)) = open {
            let mark = Script::of(&record.args).map_or(0, |script| script.mark);
            return Some(format!("#{mark} {task} is {:?}", record.phase()));
        }
    }
    None
}

/// What tasks ended with is what their runs did.
///
/// # Errors
/// The first one that ended otherwise.
pub fn at_end(world: &World) -> Result<(), String> {
    for id in partitions(world) {
        for (task, record) in owned(world, id).into_iter().flat_map(|p| p.records()) {
            let Some(script) = Script::of(&record.args) else {
                return Err(format!("the arguments of {task} have changed"));
            };
            let log = &world.ledger.tasks[&script.mark];
            let ends = log.starts.iter().filter_map(|start| start.end.as_ref());
            let succeeded = ends
                .clone()
                .any(|(_, outcome)| matches!(outcome, umbel_protocol::task::Outcome::Succeeded(_)));
            let ok = match record.phase() {
                Phase::Succeeded(result) => {
                    succeeded && **result == *script.mark.to_string().as_bytes()
                }
                Phase::Cancelled => log.cancelled || was_asked_to_stop(record),
                Phase::Dead(failure) => match failure.kind {
                    FailureKind::Crashed => world.plan.faults.every > 0,
                    _ => ends.count() > 0,
                },
                Phase::Expired => record.template.options.expires_at.is_some(),
                Phase::Scheduled { .. } | Phase::Ready | Phase::Leased(_) => false,
            };
            if !ok {
                return Err(format!("#{} {task} ended as {:?}", script.mark, record.phase()));
            }
        }
    }
    Ok(())
}

/// A wish to cancel may be on record though its answer was lost.
fn was_asked_to_stop(record: &umbel_protocol::task::Record) -> bool {
    record.history.as_ref().is_some_and(|history| history.cancelled)
}
