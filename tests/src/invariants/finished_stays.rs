//! What has finished stays as it finished.

use bytes::Bytes;
use umbel_protocol::id::TaskId;
use umbel_protocol::partition::Partition;
use umbel_protocol::scheduler::CopyView;
use umbel_protocol::task::{Failure, Phase, Record, State};

use super::is_forgotten;
use crate::ledger::Ledger;
use crate::work::Script;

/// Somebody is told how a task ended. Of a forgotten one only the state is told.
///
/// # Errors
/// If somebody was told otherwise.
pub fn told(
    ledger: &mut Ledger,
    task: TaskId,
    state: State,
    left: Option<Vec<u8>>,
) -> Result<(), String> {
    let Some(log) = ledger.log_mut(task).filter(|log| log.ids.len() == 1) else {
        return Ok(());
    };
    match &mut log.ending {
        ending @ None => *ending = Some((state, left)),
        Some((known, _)) if *known == state && left.is_none() => {}
        Some((known, kept @ None)) if *known == state => *kept = left,
        Some(ending) if *ending == (state, left.clone()) => {}
        Some(ending) => {
            return Err(format!("{task} ended as {ending:?}, then as {state:?} {left:?}"));
        }
    }
    Ok(())
}

/// Looks at a copy; tells which tasks are seen to have ended for the first time.
///
/// # Errors
/// The first task that has ended in two ways, or was lost after it had ended.
pub fn check_copy(
    ledger: &mut Ledger,
    copy: &CopyView<'_>,
    partition: &Partition,
) -> Result<Vec<TaskId>, String> {
    let index = copy.applied();
    let mut fresh = Vec::new();
    for (task, record) in partition.records() {
        let Some(log) =
            Script::of_task(task, &record.args).and_then(|s| ledger.tasks.get_mut(&s.mark))
        else {
            return Err(format!("{task} was never submitted"));
        };
        if log.ids.len() > 1 {
            continue;
        }
        if !record.state().is_final() {
            if log.final_at.is_some_and(|at| at <= index) {
                let state = record.state();
                return Err(format!("{task} had ended as {:?} and is {state:?}", log.ending));
            }
            continue;
        }
        if log.final_at.is_none() {
            fresh.push(task);
            ledger.ended_tasks.entry(copy.group()).or_default().insert(task);
        }
        log.final_at = Some(log.final_at.map_or(index, |at| at.min(index)));
        told(ledger, task, record.state(), left_by(&record))?;
    }
    for task in ledger.ended_tasks.get(&copy.group()).into_iter().flatten() {
        let final_at = ledger.log_of(*task).and_then(|log| log.final_at);
        let gone = partition.record(*task).is_none() && !is_forgotten(partition, *task);
        if gone && final_at.is_some_and(|at| at <= index) {
            return Err(format!("{task} had ended and is unknown at {index}"));
        }
    }
    Ok(fresh)
}

/// What a task left: what it returned, or what its last failure carries.
#[must_use]
pub fn left(result: Option<&Bytes>, error: Option<&Failure>) -> Option<Vec<u8>> {
    result.or_else(|| error?.detail()).map(|left| left.to_vec())
}

fn left_by(record: &Record) -> Option<Vec<u8>> {
    match record.phase() {
        Phase::Succeeded(result) => left(Some(result), None),
        Phase::Dead(failure) => left(None, Some(failure)),
        _ => None,
    }
}
