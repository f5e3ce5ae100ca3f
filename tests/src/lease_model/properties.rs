//! What must hold in every state, over every entry, and at rest.

use umbel_protocol::id::{Lessee, TaskId, Token};
use umbel_protocol::limits::CRASHES_MAX;
use umbel_protocol::task::{FailureKind, Phase, Record, Run, RunEnd};

use super::state::{NODES, State};
use super::step::Act;

fn runs(record: &Record) -> &[Run] {
    record.history.as_ref().map(|history| history.runs.as_slice()).unwrap_or_default()
}

/// To whom the run `token` was leased, if it was.
#[must_use]
pub fn lessee_of(record: &Record, token: Token) -> Option<Lessee> {
    if let Phase::Leased(lease) = record.phase()
        && lease.token == token
    {
        return Some(lease.lessee);
    }
    runs(record).iter().find(|run| run.token == token).map(|run| run.lessee)
}

/// Runs that were lost with their node, as far as is known.
fn crashes(record: &Record) -> usize {
    let lost = |run: &&Run| matches!(run.end, RunEnd::Lost | RunEnd::Unheard);
    runs(record).iter().filter(lost).count()
}

/// What an entry made of the record of a task.
pub fn check_entry(task: TaskId, before: &Record, after: &Record, broken: &mut Option<String>) {
    let mut breaks = |what: String| {
        broken.get_or_insert(what);
    };
    if before.state().is_final() && before.phase() != after.phase() {
        breaks(format!("{task} had ended and changes"));
    }
    if let Phase::Leased(lease) = after.phase()
        && let Some(last) = runs(after).iter().map(|run| run.token).max()
        && last >= lease.token
    {
        breaks(format!("{} is leased after {last}", lease.token));
    }
    let counted = usize::from(after.crashes());
    if !after.state().is_final() && counted != crashes(after) {
        breaks(format!("{counted} crashes are counted, and {} runs are lost", crashes(after)));
    }
    if let Phase::Dead(failure) = after.phase()
        && failure.kind == FailureKind::Crashed
        && crashes(after) < usize::from(CRASHES_MAX)
    {
        breaks(format!("{task} is given up after {} losses", crashes(after)));
    }
}

/// What must hold in every state.
pub fn check_step(before: &State, act: &mut Act) {
    if act.broken.is_none() {
        act.broken = find_broken(&act.state, act.slots);
    }
    let terms = (before.log.term, act.state.log.term);
    if terms.0 > terms.1 || before.log.index > act.state.log.index {
        act.breaks("the log goes back".to_owned());
    }
}

fn find_broken(state: &State, slots: u32) -> Option<String> {
    for node in NODES.map(|place| &state.nodes[place]) {
        let free: u32 = node.executor.free().iter().sum();
        let running = node.running.len();
        if free as usize + running != slots as usize {
            return Some(format!("{free} slots are free while {running} of {slots} are taken"));
        }
        for (task, token) in &node.running {
            let record = state.log.partition.record(*task)?;
            if let Phase::Leased(lease) = record.phase()
                && lease.token == *token
            {
                continue;
            }
            let end = runs(&record).iter().find(|run| run.token == *token).map(|run| run.end);
            let is_excused = match end {
                // It was given up for lost, and might live.
                Some(RunEnd::Unheard | RunEnd::CutOff) => true,
                // Another run has ended the task.
                Some(RunEnd::Cancelled) => record.state().is_final(),
                Some(
                    RunEnd::Dropped
                    | RunEnd::Failed(_)
                    | RunEnd::Lost
                    | RunEnd::NeverHad
                    | RunEnd::Snoozed
                    | RunEnd::Succeeded,
                )
                | None => false,
            };
            if !is_excused {
                return Some(format!("{token} runs, and the record says of it: {end:?}"));
            }
        }
    }
    None
}

/// Whether every task has ended, nothing runs or is held, and every slot is free.
#[must_use]
pub fn is_at_rest(state: &State, slots: u32) -> bool {
    let is_idle = |node: &super::state::Node| {
        !node.up
            || (node.running.is_empty()
                && node.executor.held() == 0
                && node.executor.free().iter().sum::<u32>() == slots)
    };
    let owner = state.log.leader.and_then(|leader| state.nodes[leader].owner.as_ref());
    state.log.partition.records().all(|(_, record)| record.state().is_final())
        && state.nodes.iter().all(is_idle)
        && owner.is_some_and(|owner| owner.leases.is_empty() && owner.asked.is_empty())
}
