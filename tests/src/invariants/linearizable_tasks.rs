//! What clients ask and are told of a task is as if one after the other had asked a single node.
//!
//! For each task there must be an order of all requests that agrees with real time (whoever was
//! answered before another began comes first) and in which a small sequential [model](Life) of one
//! task gives every answer that was given. Requests whose answer was lost may have been carried out
//! at any time after they were made, or never. The order is searched for (Wing and Gong, 1993), with
//! what was tried already left out (Lowe, 2017).

mod life;
mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use umbel_protocol::id::{TaskId, Token};
use umbel_protocol::limits::CRASHES_MAX;
use umbel_protocol::partition::Refusal;
use umbel_protocol::task::View;

pub use self::life::{Life, Told};
pub use self::search::{Request, find_order};
use crate::world::World;

/// What clients asked and were told, by task.
#[derive(Debug, Default)]
pub struct Histories {
    tasks: BTreeMap<TaskId, History>,
    /// Requests that may change something and are not answered, by operation and attempt.
    open: BTreeMap<(u64, u64), (u64, Vec<TaskId>, Told)>,
}

/// What was asked and told of one task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Requests that were answered.
    pub answered: Vec<Request>,
    /// When a submission was first made of which it is not known what became of it.
    pub submit_lost: Option<u64>,
    /// The same for a request to stop it.
    pub cancel_lost: Option<u64>,
    /// Before when it cannot have ended, as nothing had happened that could end it.
    pub may_end: u64,
}

impl Histories {
    /// A request that may change something is made.
    pub fn asks(&mut self, (op, attempt): (u64, u64), now: u64, tasks: Vec<TaskId>, told: Told) {
        self.open.insert((op, attempt), (now, tasks, told));
    }

    /// It was answered, or had no effect for sure; which tasks it was about, unless it is settled.
    pub fn settles(&mut self, op: u64, attempt: u64) -> Option<Vec<TaskId>> {
        self.open.remove(&(op, attempt)).map(|(_, tasks, _)| tasks)
    }

    /// A client that asked at `call` is told so now.
    pub fn told(&mut self, task: TaskId, call: u64, back: u64, told: Told) {
        let history = self.tasks.entry(task).or_default();
        history.answered.push(Request { call, back: Some(back), told });
    }

    /// A client that asked at `call` is shown a task now.
    pub fn shown(&mut self, view: &View, call: u64, back: u64, stops: bool) {
        let over = view.runs.iter().filter(|run| run.finished_at.is_some()).count();
        let told = match (view.state.is_final(), stops) {
            (true, true) => Told::StopEnded(view.state),
            (true, false) => Told::Ended(view.state),
            (false, true) => Told::Stopping { over },
            (false, false) => Told::Open { over },
        };
        self.told(view.id, call, back, told);
    }
}

/// What a client is told of a row of its submission.
#[must_use]
pub const fn of_row(refusal: Option<Refusal>) -> Option<Told> {
    match refusal {
        None => Some(Told::In),
        Some(Refusal::Conflict) => Some(Told::Conflict),
        Some(Refusal::TooOld) => Some(Told::TooOld),
        Some(Refusal::Exists { .. } | Refusal::NotUnique { .. }) => Some(Told::TurnedAway),
        Some(
            Refusal::Overloaded
            | Refusal::TooEarly
            | Refusal::TooFar
            | Refusal::TooManyKeys
            | Refusal::WrongPartition,
        ) => None,
    }
}

/// All histories have an order.
///
/// # Errors
/// The first one that has none.
pub fn at_end(world: &World) -> Result<(), String> {
    let mut histories = world.watch.histories.tasks.clone();
    for (call, tasks, told) in world.watch.histories.open.values() {
        for task in tasks {
            let history = histories.entry(*task).or_default();
            let lost = match told {
                Told::In => &mut history.submit_lost,
                _ => &mut history.cancel_lost,
            };
            *lost = Some(lost.map_or(*call, |earliest| earliest.min(*call)));
        }
    }
    for (task, mut history) in histories {
        if task.is_derived() {
            // A job has made it, at some time, and may have had it stopped for a later one.
            history.submit_lost = Some(0);
            if world.ledger.log_of(task).is_some_and(|log| log.cancel_asked) {
                history.cancel_lost = Some(0);
            }
        }
        let turned_away = |request: &Request| request.told == Told::TurnedAway;
        if history.answered.iter().any(turned_away) && leases(world, task).next().is_some() {
            return Err(format!("{task} was turned away, and is run"));
        }
        history.may_end = may_end(world, task, &history);
        if world.ledger.log_of(task).is_some_and(|log| log.drops) {
            // It may end as if somebody had asked for that.
            history.cancel_lost = Some(0);
        }
        if let Err(why) = find_order(&history) {
            return Err(format!("{task}: {why}"));
        }
    }
    Ok(())
}

/// Before that nothing can have ended it: no run of it was on its way to an executor, where it may have
/// been lost, nobody had asked to stop it.
fn may_end(world: &World, task: TaskId, history: &History) -> u64 {
    let Some(log) = world.ledger.log_of(task) else {
        return 0;
    };
    if log.expires {
        return 0;
    }
    let runs = leases(world, task);
    // Or lost with its owner before it was sent, again and again.
    let lost = log.crashes + 1 >= CRASHES_MAX;
    let started = runs.min().or_else(|| lost.then_some(0));
    let stops = |request: &&Request| {
        let told = request.told;
        matches!(
            told,
            Told::Stopping { .. } | Told::StopEnded(_) | Told::StopNothing | Told::Withdrawn
        )
    };
    let stopped = history.answered.iter().filter(stops).map(|request| request.call).min();
    let all = [started, stopped, history.cancel_lost];
    all.into_iter().flatten().min().unwrap_or(u64::MAX)
}

/// When runs of it were leased.
fn leases(world: &World, task: TaskId) -> impl Iterator<Item = u64> {
    let first = Token { term: 0, index: 0, position: 0 };
    let runs =
        world.ledger.leased.range((task, first)..).take_while(move |((of, _), _)| *of == task);
    runs.map(|(_, at)| *at)
}
