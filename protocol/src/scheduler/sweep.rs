//! Keeping the indexes of those that wait no larger than what waits.
//!
//! A task that is leased, cancelled or ended leaves its timer and its place in line behind: taking
//! them out one by one would cost each task more than looking through all of them now and then.

use super::Scheduler;
use super::timers::Due;
use crate::id::{GroupId, TaskId};
use crate::task::State;

impl Scheduler {
    pub(super) fn sweep_indexes(&mut self) {
        let replicas = &self.replicas;
        let state = |task: TaskId| {
            let replica = replicas.get(&GroupId::of(task.partition()))?;
            replica.partition()?.state(task)
        };
        // One that is leased gets both anew when its run is closed and it waits again.
        self.timers.sweep(|task, what| match state(task) {
            Some(State::Scheduled) => true,
            Some(State::Ready) => what == Due::Expire,
            Some(
                State::Leased | State::Succeeded | State::Dead | State::Cancelled | State::Expired,
            )
            | None => false,
        });
        let waits = |task: TaskId| matches!(state(task), Some(State::Scheduled | State::Ready));
        self.ready.sweep(waits);
        self.throttled.sweep(waits);
    }
}
