//! What people do with tasks that have ended.

use super::*;
use crate::partition::SteerRefusal;

fn retry(task: TaskId, id: TaskId) -> Command {
    Command::Retry { task, id }
}

impl Owner {
    fn steer(&mut self, command: Command) -> Result<(), SteerRefusal> {
        let changes = self.order(command);
        let told = changes.into_iter().find_map(|change| match change {
            Change::Steered { result, .. } => Some(result),
            _ => None,
        });
        told.expect("it is told")
    }

    fn dies(&mut self, task: TaskId) {
        let token = self.lease(task, executor(1));
        let failure = Failure::new(FailureKind::Permanent, "no");
        self.report(executor(1), task, token, Outcome::Failed(failure));
    }
}

#[test]
fn a_dead_task_begins_anew_as_another() {
    let mut owner = Owner::new();
    let options =
        Options { delay: ms(5_000), expires_at: Some(owner.clock + ms(60_000)), ..plain().options };
    let dead = owner.submit(&Template { options, ..plain() });
    owner.wait(ms(5_000));
    owner.dies(dead);
    owner.wait(ms(90_000));
    let id = owner.id();
    assert_eq!(owner.steer(retry(dead, id)), Ok(()));
    assert_eq!(owner.partition.state(dead), None);
    assert_eq!(owner.partition.stub(dead), Some(State::Dead));
    let record = owner.record(id);
    assert_eq!(record.state(), State::Ready, "neither its delay nor its end counts any more");
    assert_eq!(record.particulars.as_ref().and_then(|said| said.retry_of), Some(dead));
    assert!(record.history.is_none(), "it has all its attempts");
    // Said twice it is done once, and another one cannot begin.
    assert_eq!(owner.steer(retry(dead, id)), Ok(()));
    let other = owner.id();
    assert_eq!(owner.steer(retry(dead, other)), Err(SteerRefusal::NotFound { task: dead }));
    assert_eq!(owner.partition.fill().open, 1);
}

#[test]
fn only_what_has_ended_and_not_well_begins_anew() {
    let mut owner = Owner::new();
    let task = owner.submit(&plain());
    let id = owner.id();
    assert_eq!(owner.steer(retry(task, id)), Err(SteerRefusal::NotEnded { task }));
    let token = owner.lease(task, executor(1));
    assert_eq!(owner.steer(retry(task, id)), Err(SteerRefusal::NotEnded { task }));
    owner.report(executor(1), task, token, succeeded());
    assert_eq!(owner.steer(retry(task, id)), Err(SteerRefusal::Succeeded { task }));
    let cancelled = owner.submit(&plain());
    owner.cancel(cancelled);
    let elsewhere = TaskId::new(owner.clock, PartitionId(9), 1);
    assert_eq!(owner.steer(retry(cancelled, elsewhere)), Err(SteerRefusal::UnusableId));
    assert_eq!(owner.steer(retry(cancelled, id)), Ok(()));
}

#[test]
fn a_key_that_another_has_keeps_a_task_from_beginning_anew() {
    let mut owner = Owner::new();
    let unique = |owner: &mut Owner| {
        let id = owner.id();
        let mut batch = batch(&[(id, &plain())]);
        let unique_key = Some("one".into());
        batch.rows[0].particulars = Particulars { unique_key, ..Particulars::NONE }.boxed();
        owner.order(Command::Accept { batch: Arc::new(batch), grants: Vec::new() });
        id
    };
    let dead = unique(&mut owner);
    owner.dies(dead);
    let holder = unique(&mut owner);
    let id = owner.id();
    assert_eq!(owner.steer(retry(dead, id)), Err(SteerRefusal::NotUnique { holder }));
    owner.dies(holder);
    assert_eq!(owner.steer(retry(dead, id)), Ok(()));
    let other = owner.id();
    assert_eq!(owner.steer(retry(holder, other)), Err(SteerRefusal::NotUnique { holder: id }));
}

#[test]
fn a_record_is_dropped_from_among_others() {
    let mut owner = Owner::new();
    let all: Vec<TaskId> = (0..5).map(|_| owner.submit(&plain())).collect();
    // They end in another order than they came.
    for at in [3, 0, 4, 1, 2] {
        owner.dies(all[at]);
    }
    assert_eq!(owner.steer(Command::Delete { task: all[4] }), Ok(()));
    let gone = Err(SteerRefusal::NotFound { task: all[4] });
    assert_eq!(owner.steer(Command::Delete { task: all[4] }), gone);
    let open = owner.submit(&plain());
    assert_eq!(
        owner.steer(Command::Delete { task: open }),
        Err(SteerRefusal::NotEnded { task: open })
    );
    let read = Partition::from_bytes(&owner.partition.to_bytes()).expect("it is whole");
    assert_counted(&read);
    assert_eq!(read.to_bytes(), owner.partition.to_bytes());
}

#[test]
fn what_waits_is_withdrawn_and_what_runs_is_left_alone() {
    let mut owner = Owner::new();
    let mut delayed = plain();
    delayed.options.delay = Span::from_millis(5_000);
    let (ready, scheduled) = (owner.submit(&plain()), owner.submit(&delayed));
    let withdraw = |task| Command::Withdraw { task };
    for task in [ready, scheduled] {
        assert_eq!(owner.steer(withdraw(task)), Ok(()));
        assert_eq!(owner.state(task), State::Cancelled);
        assert_eq!(owner.steer(withdraw(task)), Ok(()), "it was said twice");
    }
    let running = owner.submit(&plain());
    let token = owner.lease(running, executor(1));
    let refused = Err(SteerRefusal::NotWaiting { task: running });
    assert_eq!(owner.steer(withdraw(running)), refused);
    // It was not even asked to stop.
    owner.order(Command::Release { runs: vec![(running, token)] });
    assert_eq!(owner.state(running), State::Ready);
    assert_eq!(owner.steer(withdraw(running)), Ok(()));
    let dead = owner.submit(&plain());
    owner.dies(dead);
    assert_eq!(owner.steer(withdraw(dead)), Err(SteerRefusal::NotWaiting { task: dead }));
    let unknown = owner.id();
    assert_eq!(owner.steer(withdraw(unknown)), Err(SteerRefusal::NotFound { task: unknown }));
}
