//! The one partition of a fake node, and its log, of which nothing is kept.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use umbel_protocol::id::{Incarnation, Lessee, NodeId, PartitionId, TaskGroupId, TaskId, Token};
use umbel_protocol::partition::{
    Change, Command, KeyRoom, Look, Partition, Proposal, Refusal, Report, SteerRefusal,
};
use umbel_protocol::task::{Batch, Outcome, TaskGroupView, View};
use umbel_protocol::time::Wall;

use crate::clock::Clock;
use crate::work::duration;

/// All tasks, in the only partition that there is.
pub(super) const PARTITION: PartitionId = PartitionId(0);
/// Who runs them.
pub(super) const NODE: NodeId = NodeId(1);
const LESSEE: Lessee = Lessee { node: NODE, incarnation: Incarnation(1), executor: 1 };
const TERM: u64 = 1;

/// The partition and its only writer.
pub(super) struct Book {
    partition: Partition,
    /// Of the last entry.
    index: u64,
    ahead: watch::Sender<Duration>,
    clock: Clock,
}

impl Default for Book {
    fn default() -> Self {
        let (ahead, goes_by) = watch::channel(Duration::ZERO);
        Self {
            partition: Partition::new(PARTITION),
            index: 0,
            ahead,
            clock: Clock::start().ahead_by(goes_by),
        }
    }
}

impl Book {
    /// Takes a batch in; the rows that were refused, and how many were known.
    pub(super) fn accept(&mut self, batch: Arc<Batch>) -> (Vec<(u32, Refusal)>, u32) {
        let changes = self.write(Command::Accept { batch, grants: Vec::new() });
        let accepted = changes.into_iter().find_map(|change| match change {
            Change::Accepted { refused, known, .. } => Some((refused, known)),
            _ => None,
        });
        accepted.expect("each batch is answered")
    }

    /// Begins a run; nothing, if the task cannot be started now.
    pub(super) fn lease(&mut self, task: TaskId) -> Option<Token> {
        let changes = self.write(Command::Lease { lessee: LESSEE, tasks: vec![task] });
        changes.iter().find_map(|change| match change {
            Change::Leased { token, .. } => Some(*token),
            _ => None,
        })
    }

    /// Whether a task may start, as far as its limit key says.
    pub(super) fn key_room(&self, task: TaskId) -> Option<KeyRoom> {
        self.partition.key_room(task, self.now())
    }

    /// Ends a run.
    pub(super) fn report(&mut self, task: TaskId, token: Token, outcome: Outcome) {
        let reports = vec![Report { task, token, outcome }];
        self.write(Command::Report { lessee: LESSEE, reports });
    }

    /// Stops a task.
    pub(super) fn cancel(&mut self, task: TaskId) {
        self.write(Command::Cancel { task });
    }

    /// Gives a task up if it is time to.
    pub(super) fn expire(&mut self, task: TaskId) {
        self.write(Command::Expire { tasks: vec![task] });
    }

    /// Tries a task again, or drops it.
    pub(super) fn steer(&mut self, command: Command) -> Result<(), SteerRefusal> {
        let changes = self.write(command);
        let steered = changes.into_iter().find_map(|change| match change {
            Change::Steered { result, .. } => Some(result),
            _ => None,
        });
        steered.expect("each is answered")
    }

    /// How far the tasks of a group are.
    pub(super) fn task_group(&self, id: TaskGroupId) -> TaskGroupView {
        self.partition.task_group(id).view()
    }

    pub(super) fn record(&self, task: TaskId) -> Option<Look<'_>> {
        self.partition.record(task)
    }

    pub(super) fn view(&self, task: TaskId) -> Option<View> {
        self.record(task).map(|record| View::of(task, &record))
    }

    /// All tasks, newest first.
    pub(super) fn views(&self) -> impl Iterator<Item = View> {
        self.partition.records().rev().map(|(id, record)| View::of(id, &record))
    }

    pub(super) fn now(&self) -> Wall {
        self.partition.now().max(self.clock.wall())
    }

    /// Moves on to `at`, if that lies ahead.
    pub(super) fn skip_to(&mut self, at: Wall) {
        let skipped = duration(at.since(self.now()));
        self.ahead.send_modify(|ahead| *ahead += skipped);
    }

    /// How far its clock is ahead of the system's.
    pub(super) fn skipped(&self) -> Duration {
        *self.ahead.borrow()
    }

    fn write(&mut self, command: Command) -> Vec<Change> {
        self.index += 1;
        let proposal = Proposal::new(TERM, self.now(), vec![command]);
        let mut changes = Vec::new();
        self.partition.apply(self.index, TERM, proposal, &mut changes);
        changes
    }
}
