//! What people do with tasks by hand: they withdraw what waits, and begin anew or drop what has ended.

use umbel_protocol::id::TaskId;
use umbel_protocol::partition::SteerRefusal;
use umbel_protocol::task::{Row, State};
use umbel_protocol::wire::{Answer, Ask, RequestError};

use super::Kind;
use crate::host::true_wall;
use crate::invariants::linearizable_tasks::Told;
use crate::invariants::{finished_stays, nothing_unsynced_is_promised, submitted_once};
use crate::plan::SECOND;
use crate::work::{Manner, Script, id_of_anew};
use crate::world::World;

/// What is done with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// Its record is dropped if it has ended.
    Delete(TaskId),
    /// It is begun anew if it has ended and not well.
    Retry {
        /// The task that has ended.
        task: TaskId,
        /// The one that takes its place.
        id: TaskId,
    },
    /// It is stopped if it waits.
    Withdraw(TaskId),
}

impl Steer {
    /// With which task.
    #[must_use]
    pub const fn task(self) -> TaskId {
        match self {
            Self::Delete(task) | Self::Retry { task, .. } | Self::Withdraw(task) => task,
        }
    }

    /// What is asked for.
    #[must_use]
    pub const fn ask(self) -> Ask {
        match self {
            Self::Delete(task) => Ask::Delete { task },
            Self::Retry { task, id } => Ask::Retry { task, id },
            Self::Withdraw(task) => Ask::Withdraw { task },
        }
    }

    /// What may come of it though nobody is told, and of which task. Of what is dropped it shows no more than of what
    /// was forgotten.
    #[must_use]
    pub const fn lost(self) -> Option<(TaskId, Told)> {
        match self {
            Self::Delete(_) => None,
            Self::Retry { id, .. } => Some((id, Told::In)),
            Self::Withdraw(task) => Some((task, Told::LostCancel)),
        }
    }

    /// What a client knows of tasks that is answered so.
    #[must_use]
    pub fn told(self, answer: &Answer) -> Vec<(TaskId, Told)> {
        let is_unknown = matches!(
            answer,
            Answer::Failed(RequestError::NotFound { .. })
                | Answer::Failed(RequestError::Steer(SteerRefusal::NotFound { .. }))
        );
        match (self, answer) {
            // Whoever asks twice is not told whether it was there the second time.
            (Self::Delete(task), Answer::Done) => vec![(task, Told::Nothing)],
            (Self::Retry { task, id }, Answer::Done) => {
                vec![(task, Told::Replaced), (id, Told::In)]
            }
            (Self::Withdraw(task), Answer::Done) => vec![(task, Told::Withdrawn)],
            (Self::Delete(task) | Self::Retry { task, .. }, _) if is_unknown => {
                vec![(task, Told::Nothing)]
            }
            (Self::Withdraw(task), _) if is_unknown => vec![(task, Told::StopNothing)],
            _ => Vec::new(),
        }
    }
}

impl World {
    /// Perhaps somebody does something with the task of `row`, which was taken in and may be going to be cancelled.
    pub(super) fn plan_steering(&mut self, row: &Row, is_cancelled: bool) {
        let Some(script) = Script::of_task(row.id, &row.args).filter(|script| !script.kills) else {
            // Begun anew it would take more nodes with it than a world has to spare.
            return;
        };
        let ends_badly = script.permanent
            || script.failures > 0
            || script.manner == Manner::Drops
            || is_cancelled;
        match self.between(0, 39) {
            0 => {
                let at = self.now + self.between(0, 2 * SECOND);
                self.begin(at, Kind::Steer(Steer::Withdraw(row.id)));
                if self.flip(0.3) {
                    let at = at + self.between(SECOND, 10 * SECOND);
                    self.plan_retry(row.id, at);
                }
            }
            1 => {
                let at = self.now + self.between(0, 20 * SECOND);
                self.begin(at, Kind::Steer(Steer::Delete(row.id)));
            }
            2..15 if ends_badly => {
                let at = self.now + self.between(SECOND, 15 * SECOND);
                self.plan_retry(row.id, at);
            }
            _ => {}
        }
    }

    fn plan_retry(&mut self, task: TaskId, at: u64) {
        let id = id_of_anew(true_wall(at), task.partition(), self.random());
        self.ledger.begins_anew(task, id);
        self.begin(at, Kind::Steer(Steer::Retry { task, id }));
    }

    /// Somebody asks for it.
    pub(super) fn steers(&mut self, steer: Steer, is_repeated: bool) {
        let now = self.now;
        if let Some(log) = self.ledger.log_mut(steer.task()) {
            match steer {
                Steer::Delete(_) | Steer::Retry { .. } => log.may_be_dropped = true,
                Steer::Withdraw(_) => log.cancel_asked = true,
            }
        }
        if let Steer::Retry { id, .. } = steer
            && let Some(log) = self.ledger.log_mut(id)
        {
            log.first_try.get_or_insert(now);
            log.repeated |= is_repeated;
        }
    }

    /// It was done, or not.
    pub(super) fn steered(&mut self, op: u64, steer: Steer, answer: Answer) {
        match answer {
            Answer::Done => {
                if !std::mem::replace(&mut self.op(op).done, true) {
                    self.was_steered(steer);
                }
            }
            Answer::Failed(RequestError::Steer(refusal)) => {
                if matches!(refusal, SteerRefusal::NotFound { .. }) {
                    self.must("acknowledged_is_kept", is_gone(self, steer.task()));
                }
                self.saw_if(
                    "task that has ended well",
                    matches!(refusal, SteerRefusal::Succeeded { .. }),
                );
                self.saw_if(
                    "task that does not wait",
                    matches!(refusal, SteerRefusal::NotWaiting { .. }),
                );
                self.op(op).done = true;
            }
            Answer::Failed(error) => self.failed(op, steer.task(), &error),
            answer => self.violate(format!("{steer:?} is answered {answer:?}")),
        }
    }

    fn was_steered(&mut self, steer: Steer) {
        self.progress_at = self.now;
        match steer {
            Steer::Delete(_) => self.saw("task dropped by hand"),
            Steer::Retry { id, .. } => {
                self.saw("task begun anew");
                let kept = nothing_unsynced_is_promised::on_submitted(self, id);
                self.must("nothing_unsynced_is_promised", kept);
                let now = self.now;
                if let Some(log) = self.ledger.log_mut(id) {
                    log.acknowledged.get_or_insert(id);
                    log.acknowledged_at.get_or_insert(now);
                }
                let at = now + self.between(0, 3 * SECOND);
                match self.between(0, 7) {
                    0 => self.begin(at, Kind::Cancel(id)),
                    1 => self.begin(at, Kind::Wait(id)),
                    2 => self.begin(at, Kind::Steer(Steer::Withdraw(id))),
                    3 => self.begin(at, Kind::Show(id)),
                    _ => {}
                }
            }
            Steer::Withdraw(task) => {
                self.saw("task withdrawn");
                let told = finished_stays::told(&mut self.ledger, task, State::Cancelled, None);
                self.must("finished_stays", told);
            }
        }
    }
}

/// A client is told that `task` is not on record.
fn is_gone(world: &World, task: TaskId) -> Result<(), String> {
    if submitted_once::was_forgotten(world, task) {
        return Ok(());
    }
    Err(format!("{task} is not found"))
}
