//! Runs that are not given up as soon as their executor is not heard of.

use super::lone_owner::{LoneOwner, PARTITION, batch, lessee, task, template};
use crate::id::{Incarnation, Lessee, NodeId, TaskId, Token};
use crate::limits::{EXCLUSIVE_LOST_AFTER, GUARD_GRACE, LOST_AFTER_MIN, Limits};
use crate::membership::Liveness;
use crate::partition::{Command, Partition};
use crate::scheduler::Event;
use crate::task::{Batch, Options, Outcome, Particulars, RunEnd, State, Template};
use crate::time::Span;
use crate::wire::{ExecutorSays, OwnerSays};

const FAR: NodeId = NodeId(2 << 96);

const fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}

fn alone() -> Options {
    Options { exclusive: Some(true), ..Options::default() }
}

fn keyed(options: Options, n: u64) -> Batch {
    let mut batch = batch(Template { options, ..template("add") }, [task(n)]);
    let limit_key = Some("a".into());
    batch.rows[0].particulars = Particulars { limit_key, ..Particulars::NONE }.boxed();
    batch
}

/// An owner that has leased its first task to another node, and has slots of its own now.
fn leased_far(first: Batch) -> LoneOwner {
    let mut owner = LoneOwner::one_of(1, &Partition::new(PARTITION), Limits::default());
    owner.introduce(lessee(FAR), 1);
    owner.submit(first);
    assert_eq!(owner.holder(task(1)), Some(lessee(FAR)));
    owner.introduce(owner.lessee(), 4);
    owner.told();
    owner
}

impl LoneOwner {
    fn holder(&self, task: TaskId) -> Option<Lessee> {
        match self.record(task)?.phase() {
            crate::task::Phase::Leased(lease) => Some(lease.lessee),
            _ => None,
        }
    }

    fn is_down(&mut self, node: NodeId, liveness: Liveness) {
        self.step(Event::Liveness { node, incarnation: Incarnation(1), liveness });
    }

    fn asks(&mut self, number: u64, runs: &[(TaskId, Token)]) -> Vec<(NodeId, OwnerSays)> {
        let runs = runs.to_vec();
        self.executor(ExecutorSays::MayGoOn { lessee: lessee(FAR), number, runs });
        let mut told = self.told();
        told.retain(|(_, says)| matches!(says, OwnerSays::GoOn { .. }));
        told
    }

    fn stops(&mut self, number: u64, run: (TaskId, Token)) -> Vec<(NodeId, OwnerSays)> {
        let lessee = lessee(FAR);
        self.executor(ExecutorSays::MayGoOn { lessee, number, runs: vec![run] });
        let mut told = self.told();
        told.retain(|(_, says)| matches!(says, OwnerSays::Stop { .. }));
        told
    }
}

/// When an owner gives an exclusive run up, after its executor last asked.
fn until_given_up() -> Span {
    let lasts = EXCLUSIVE_LOST_AFTER.as_micros();
    Span::from_micros(lasts + lasts / 50 + GUARD_GRACE.as_micros())
}

#[test]
fn a_run_that_must_not_overlap_is_waited_for_as_long_as_it_may_go_on() {
    let mut owner = leased_far(keyed(alone(), 1));
    owner.submit(keyed(alone(), 2));
    owner.pass(ms(4_000));
    let run = (task(1), owner.token(task(1)));
    let runs = vec![run];
    let says = OwnerSays::GoOn { lessee: lessee(FAR), number: 3, runs };
    assert_eq!(owner.asks(3, &[run]), [(FAR, says)]);
    owner.is_down(FAR, Liveness::Down);
    let rest = until_given_up().as_micros() - ms(200).as_micros();
    owner.pass(Span::from_micros(rest));
    assert_eq!((owner.holder(task(1)), owner.holder(task(2))), (Some(lessee(FAR)), None));
    owner.pass(ms(400));
    let ends = |owner: &LoneOwner| {
        let history = owner.record(task(1)).unwrap().history.as_deref().unwrap();
        history.runs.iter().map(|run| run.end).collect::<Vec<_>>()
    };
    assert_eq!(ends(&owner), [RunEnd::Unheard]);
    let running = [task(1), task(2)].map(|task| owner.holder(task).is_some());
    assert_eq!(running.iter().filter(|runs| **runs).count(), 1, "one of both, and not the other");
    assert_eq!(owner.asks(4, &[run]), [], "whoever asks now is too late");
}

#[test]
fn who_asks_too_late_or_for_what_it_does_not_have_is_not_answered() {
    let mut owner = leased_far(keyed(alone(), 1));
    let token = owner.token(task(1));
    let other = Token { position: token.position + 1, ..token };
    assert_eq!(owner.asks(1, &[(task(1), other)]), []);
    owner.is_down(FAR, Liveness::Down);
    owner.disk_is_stuck = true;
    owner.pass(ms(30_000));
    // Its end is on its way into the log.
    assert_eq!(owner.asks(2, &[(task(1), token)]), []);
    owner.settle();
    assert!(owner.commands.iter().any(|command| matches!(command, Command::GiveUp { .. })));
}

#[test]
fn whoever_asks_for_a_run_that_is_over_is_told_so() {
    let mut owner = leased_far(keyed(alone(), 1));
    let run = (task(1), owner.token(task(1)));
    assert_eq!(owner.stops(1, run), []);
    owner.is_down(FAR, Liveness::Down);
    owner.pass(ms(30_000));
    // It may not have begun: it would wait for an answer for as long as its task is not at its end.
    let stop = (FAR, OwnerSays::Stop { runs: vec![run] });
    assert_eq!((owner.holder(task(1)), owner.stops(2, run)), (Some(owner.lessee()), vec![stop]));
}

#[test]
fn a_restarted_executor_cannot_go_on_with_anything() {
    let mut owner = leased_far(keyed(alone(), 1));
    owner.introduce(Lessee { executor: 2, ..lessee(FAR) }, 0);
    owner.pass(ms(200));
    assert_eq!(owner.holder(task(1)), Some(owner.lessee()), "no patience is needed");
}

#[test]
fn a_task_may_ask_for_patience() {
    let patient = Options { lost_after: Some(LOST_AFTER_MIN), ..Options::default() };
    let mut owner = leased_far(batch(Template { options: patient, ..template("add") }, [task(1)]));
    owner.is_down(FAR, Liveness::Down);
    owner.pass(ms(4_800));
    assert_eq!(owner.holder(task(1)), Some(lessee(FAR)));
    let run = (task(1), owner.token(task(1)));
    owner.executor(ExecutorSays::Beat { lessee: lessee(FAR), runs: vec![run] });
    owner.pass(ms(4_800));
    assert_eq!(owner.holder(task(1)), Some(lessee(FAR)), "it was heard of in between");
    owner.pass(ms(400));
    assert_eq!(owner.holder(task(1)), Some(owner.lessee()));
    let commands = owner.commands.iter();
    assert_eq!(commands.filter(|command| matches!(command, Command::Lose { .. })).count(), 0);
}

#[test]
fn a_late_success_does_not_stop_the_run_of_one_that_must_not_overlap() {
    let mut owner = leased_far(keyed(alone(), 1));
    let first = owner.token(task(1));
    owner.is_down(FAR, Liveness::Down);
    owner.pass(ms(60_000));
    assert_eq!(owner.holder(task(1)), Some(owner.lessee()));
    let outcomes = vec![(task(1), first, Outcome::Succeeded("1".into()))];
    owner.executor(ExecutorSays::Outcomes { lessee: lessee(FAR), outcomes });
    assert_eq!(owner.holder(task(1)), Some(owner.lessee()));
    let outcomes = vec![(task(1), owner.token(task(1)), Outcome::Succeeded("2".into()))];
    owner.executor(ExecutorSays::Outcomes { lessee: owner.lessee(), outcomes });
    assert_eq!(owner.record(task(1)).unwrap().state(), State::Succeeded);
}
