//! What an executor knows, for those who look on: simulators, and models that compare states.
//!
//! Times are left out on purpose. Those that it keeps only say when something is repeated, or for how
//! long something may still be under way; what it will say and do follows from what is told here.

use super::Executor;
use super::runs::REPEATS_MAX;
use crate::id::{NodeId, PartitionId, TaskId, Token};
use crate::task::Outcome;

/// A run that an executor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldRun<'a> {
    /// The task.
    pub task: TaskId,
    /// The run.
    pub token: Token,
    /// Who is told of it.
    pub owner: NodeId,
    /// Who dispatched it.
    pub dispatcher: NodeId,
    /// How often its end was repeated since somebody else was last asked who decides it.
    pub repeats: u32,
    /// How it ended, once it has.
    pub end: Option<&'a Outcome>,
}

impl Executor {
    /// All runs that it holds, by task and token.
    pub fn runs(&self) -> impl Iterator<Item = HeldRun<'_>> {
        self.runs.iter().map(|((task, token), run)| HeldRun {
            task: *task,
            token: *token,
            owner: run.owner,
            dispatcher: run.dispatcher,
            repeats: run.repeats % REPEATS_MAX,
            end: run.end.as_ref().map(|(outcome, _)| outcome),
        })
    }

    /// The highest term under which each partition's runs were asked for.
    pub fn fences(&self) -> impl Iterator<Item = (PartitionId, u64)> {
        self.fences.iter().map(|(partition, term)| (*partition, *term))
    }

    /// Runs that it will never start, by task and token.
    pub fn refused(&self) -> impl Iterator<Item = (TaskId, Token)> {
        self.refused_set.iter().copied()
    }

    /// Nodes that were heard by another way than before.
    pub fn crossed(&self) -> impl Iterator<Item = NodeId> {
        self.crossed_at.keys().copied()
    }
}
