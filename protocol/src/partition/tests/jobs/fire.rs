//! Each tick is decided about once, by the rules of its job.

use super::*;

#[test]
fn a_tick_fires_once_however_often_it_is_decided() {
    let mut owner = Owner::of(job());
    let decision = owner.decision(&[], &[1], Nodes::Any);
    assert_eq!(owner.fire(&[], &[1], Nodes::Any).len(), 1);
    let again = owner.order(Command::Fire(Box::new(decision.clone())));
    assert_eq!(again, [Change::JobDue { job: name() }]);
    // Also by one that believes that it has fired no further than the first did.
    let later = Fire { ticks: vec![tick(1), tick(2)], through: tick(2), ..decision };
    owner.wait(ms(5_000));
    assert_eq!(made(&owner.order(Command::Fire(Box::new(later)))), []);
    assert_eq!((owner.job().counts.fired, owner.job().fired_through), (1, tick(1)));
}

#[test]
fn nothing_fires_before_its_time_or_by_an_older_definition() {
    let mut owner = Owner::of(job());
    let decision = owner.decision(&[], &[1], Nodes::Any);
    let early = owner.order(Command::Fire(Box::new(decision.clone())));
    assert_eq!(made(&early), [], "partition time has not come so far");
    owner.wait(ms(1_000));
    let edited = Job { args: Bytes::from_static(b"[2]"), ..job() };
    let seen = owner.job().revision;
    assert_eq!(owner.say(define(edited, Source::Live, Revision(seen))), Ok(()));
    assert_eq!(made(&owner.order(Command::Fire(Box::new(decision)))), []);
    let task = owner.fire_one(1);
    assert_eq!(owner.record(task).args, Bytes::from_static(b"[2]"), "what it is now");
}

#[test]
fn ids_follow_from_the_tick_and_the_host() {
    let ids = |ticks: &[u64], nodes: &Nodes| Owner::of(job()).fire(&[], ticks, nodes.clone());
    let all = ids(&[1, 2], &each(&[A, B], &[]));
    assert_eq!(all.len(), 4);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 4);
    assert_eq!(all, ids(&[1, 2], &each(&[A, B], &[])), "every copy makes the same");
    assert!(all.iter().all(|task| task.is_derived() && task.partition() == PARTITION));
    assert_eq!(all[0].made_at(), tick(1));
}

#[test]
fn missed_ticks_are_counted_remembered_and_told() {
    let mut owner = Owner::of(job());
    owner.fire(&[1, 2], &[3], Nodes::Any);
    assert_eq!((owner.job().counts.missed, owner.job().counts.fired), (2, 1));
    let verdicts: Vec<Verdict> = owner.job().history.iter().map(|tick| tick.verdict).collect();
    assert_eq!(verdicts, [Verdict::Missed, Verdict::Missed, Verdict::Fired]);
    assert_eq!(owner.events(), [AlertEvent::Missed], "once for both");
    assert!(owner.job().alerts[0].output.ends_with(": 2"));
    assert_eq!(owner.job().history.iter().next().unwrap().lateness(Span::ZERO), ms(2_000));
}

#[test]
fn a_tick_that_meets_an_earlier_one_follows_the_rule() {
    let mut owner = Owner::of(with_overlap(Overlap::Allow));
    assert_eq!(owner.fire(&[], &[1, 2], Nodes::Any).len(), 2);

    let mut owner = Owner::of(with_overlap(Overlap::Forbid));
    let first = owner.fire_one(1);
    assert_eq!(owner.fire(&[], &[2], Nodes::Any), []);
    assert_eq!((owner.last().verdict, owner.job().counts.skipped), (Verdict::Skipped, 1));
    owner.end(first, succeeded());
    assert_eq!(owner.fire(&[], &[3], Nodes::Any).len(), 1);

    let mut owner = Owner::of(with_overlap(Overlap::Replace));
    let (first, second) = (owner.fire_one(1), owner.fire_one(2));
    assert_eq!(owner.state(first), State::Cancelled);
    let token = owner.lease(second, executor(1));
    let third = owner.fire_one(3);
    assert_eq!(owner.state(second), State::Leased, "it is asked to stop");
    owner.report(executor(1), second, token, Outcome::Cancelled);
    assert_eq!((owner.state(second), owner.state(third)), (State::Cancelled, State::Ready));
    assert_eq!(owner.job().counts.cancelled, 2);
    assert_eq!(owner.events(), [], "that is no failure");
}

#[test]
fn each_node_has_its_own_run_and_its_own_overlap() {
    let mut owner = Owner::of(with_overlap(Overlap::Forbid));
    let tasks = owner.fire(&[], &[1], each(&[A, B], &[C]));
    let targets: Vec<_> = tasks.iter().map(|task| owner.partition.job_target(*task)).collect();
    assert_eq!(targets, [Some(&Target::Node(A)), Some(&Target::Node(B))]);
    assert_eq!((owner.last().ends.open, owner.last().ends.missed), (2, 1));
    assert_eq!(owner.last().runs[2].node, Some(C));
    assert_eq!(owner.events(), [AlertEvent::Missed]);
    owner.end(tasks[0], succeeded());
    assert_eq!(owner.partition.job_target(tasks[0]), None, "it has ended");
    let next = owner.fire(&[], &[2], each(&[A, B, C], &[]));
    assert_eq!(next.len(), 2, "on B the first still waits");
    assert_eq!((owner.last().verdict, owner.last().ends.skipped), (Verdict::Fired, 1));
}

#[test]
fn a_run_by_hand_is_one_run_however_often_it_is_asked_for() {
    let mut owner = Owner::of(with_overlap(Overlap::Replace));
    let at = owner.clock;
    let (result, tasks) = owner.run_now(at, Nodes::Any);
    assert_eq!((result, tasks.len()), (Ok(()), 1));
    owner.wait(ms(10));
    assert_eq!(owner.run_now(at, Nodes::Any), (Ok(()), vec![]));
    assert_eq!(owner.state(tasks[0]), State::Ready, "nor is it replaced by itself");
    assert!(owner.last().by_hand);
    assert_eq!(owner.job().counts.fired, 0, "it is none of its ticks");
    // Nor is it when all that would show it was forgotten, but for the floor.
    owner.end(tasks[0], succeeded());
    let finished = Shelves { succeeded: 1, ..Shelves::default() };
    owner.order(Command::Forget { finished, floor: at });
    (1..30).for_each(|number| drop(owner.fire(&[], &[number], Nodes::Any)));
    let untimely = JobRefusal::Untimely { job: name() };
    assert_eq!(owner.run_now(at, Nodes::Any), (Err(untimely.clone()), vec![]));
    let ahead = owner.clock + ID_AHEAD_MAX + ms(1);
    assert_eq!(owner.run_now(ahead, Nodes::Any), (Err(untimely), vec![]));
}

#[test]
fn ticks_wait_while_there_is_no_room() {
    let mut owner = Owner::of(job());
    owner.partition.limits.tasks = 3;
    let tasks = owner.fire(&[], &[1, 2, 3, 4], Nodes::Any);
    assert_eq!((tasks.len(), owner.job().fired_through), (3, tick(3)));
    let more = owner.decision(&[], &[4], Nodes::Any);
    let changes = owner.order(Command::Fire(Box::new(more)));
    assert_eq!(changes.last(), Some(&Change::JobFull { job: name() }));
    owner.end(tasks[0], succeeded());
    // Of a tick on many nodes there are all runs or none.
    assert_eq!(owner.fire(&[], &[4], each(&[A, B], &[])), []);
    assert_eq!(owner.fire(&[], &[4], Nodes::Any).len(), 1);
    assert_eq!(owner.job().counts.fired, 4);
}

#[test]
fn a_snapshot_has_all_of_it() {
    let mut owner = Owner::of(with_overlap(Overlap::Forbid));
    let tasks = owner.fire(&[1], &[2], each(&[A, B], &[C]));
    owner.end(tasks[0], failed(FailureKind::Permanent));
    let bytes = owner.partition.to_bytes();
    let read = Partition::from_bytes(&bytes).unwrap();
    assert_eq!(read.to_bytes(), bytes);
    assert_eq!(read.job(&name()), Some(owner.job()));
    assert_eq!(read.fill(), owner.partition.fill());
    read.jobs.assert_counted();
    assert_eq!(read.job_target(tasks[1]), Some(&Target::Node(B)));
}

#[test]
fn histories_are_kept_short_where_there_are_many_jobs() {
    let mut owner = Owner::of(job());
    let nodes: Vec<NodeId> = (1..=1_000).map(NodeId).collect();
    for number in 1..30 {
        owner.fire(&[], &[number], each(&[], &nodes));
    }
    let runs =
        |owner: &Owner| owner.job().history.iter().map(|tick| tick.runs.len()).sum::<usize>();
    assert_eq!((owner.job().history.iter().count(), runs(&owner)), (20, 1_000));
    assert_eq!(owner.job().counts.missed, 29_000, "all are counted");
}

#[test]
fn a_tick_on_each_node_meets_a_run_that_began_when_it_was_on_one() {
    let mut owner = Owner::of(with_overlap(Overlap::Forbid));
    let task = owner.fire_one(1);
    owner.lease(task, executor(1));
    let (here, there) = (executor(1).node, NodeId(77));
    let tasks = owner.fire(&[], &[2], each(&[here, there], &[]));
    assert_eq!(tasks.len(), 1);
    let skipped = owner.last().runs.iter().find(|run| run.end == Some(TickEnd::Skipped));
    assert_eq!(skipped.and_then(|run| run.node), Some(here));
}
