//! Who of those that share a limit goes first, and who of those that do not.

use super::*;
use crate::id::NodeId;
use crate::job::Target;
use crate::limits::AGING;

/// A template of another kind than that of the others.
fn other_kind(options: Options, key: &str, tasks: impl IntoIterator<Item = u64>) -> Batch {
    let mut batch = limited(options, key, tasks);
    batch.templates[0].name = "zip".to_owned();
    batch
}

fn alone() -> Options {
    Options { exclusive: Some(true), ..Options::default() }
}

/// One whose executor has slots, and has given it none yet.
fn without_slots() -> LoneOwner {
    let mut owner = LoneOwner::one_of(1, &Partition::new(PARTITION), Limits::default());
    let lessee = owner.lessee();
    owner.executor(ExecutorSays::Introduce { lessee, profile: profile(4) });
    owner
}

impl LoneOwner {
    /// Those that run, each ended as soon as it does, until nobody is left.
    fn served(&mut self) -> Vec<TaskId> {
        let mut served = Vec::new();
        while let Some(next) = self.running().first().copied() {
            assert!(served.len() < 1_000, "it comes to an end");
            self.ends(next);
            served.push(next);
        }
        served
    }
}

#[test]
fn who_has_waited_for_its_limit_passes_none_that_waited_longer_for_a_slot() {
    let mut owner = owner(1);
    owner.submit(limited(at_once(1), "a", [1]));
    owner.submit(batch(template("add"), [task(2)]));
    owner.submit(limited(at_once(1), "a", [3, 4]));
    owner.submit(batch(template("add"), [task(5)]));
    assert_eq!(owner.served(), [1, 2, 3, 4, 5].map(task));
    owner.leaves_nothing();
}

#[test]
fn who_comes_again_and_again_passes_none_that_have_waited_meanwhile() {
    let mut owner = owner(1);
    owner.submit(batch(template("add"), [1, 2].map(task)));
    owner.pass(ms(500));
    owner.submit(batch(template("add"), [task(3)]));
    let later = || Outcome::Snoozed { pause: ms(1_000) };
    owner.ends_so(task(1), later());
    assert_eq!(owner.running(), [task(2)]);
    owner.pass(ms(1_500));
    owner.ends_so(task(2), later());
    assert_eq!(owner.running(), [task(3)]);
}

#[test]
fn one_that_nobody_can_run_keeps_no_other_of_its_key_waiting() {
    let mut owner = owner(4);
    let mut tasks = limited(at_once(1), "a", 1..=4);
    let gone = Target::Node(NodeId(9));
    for row in &mut tasks.rows[1..3] {
        let limit_key = Some("a".into());
        row.particulars =
            Particulars { limit_key, target: gone.clone(), ..Particulars::NONE }.boxed();
    }
    owner.submit(tasks);
    assert_eq!(owner.running(), [task(1)]);
    owner.ends(task(1));
    assert_eq!(owner.running(), [task(4)]);
}

#[test]
fn tenants_take_turns_where_they_wait_for_the_same_limit() {
    let mut owner = owner(4);
    let behalf = |tenant: &str, tasks: std::ops::RangeInclusive<u64>| {
        let mut tasks = limited(at_once(1), "a", tasks);
        for row in &mut tasks.rows {
            let (limit_key, fairness_key) = (Some("a".into()), Some(tenant.into()));
            row.particulars = Particulars { limit_key, fairness_key, ..Particulars::NONE }.boxed();
        }
        tasks
    };
    owner.submit(behalf("many", 1..=20));
    owner.submit(behalf("few", 21..=23));
    let served = owner.served();
    let places = [21, 22, 23].map(|n| served.iter().position(|served| *served == task(n)));
    let places = places.map(|place| place.expect("it was served"));
    assert!(places[0] <= 3 && places[2] <= 8, "{places:?}");
    owner.leaves_nothing();
}

#[test]
fn one_that_must_run_alone_is_not_passed_by_those_behind_it() {
    let mut owner = owner(4);
    owner.submit(limited(at_once(3), "a", [1, 2]));
    owner.submit(limited(alone(), "a", [3]));
    owner.submit(limited(at_once(3), "a", [4]));
    assert_eq!(owner.running(), [1, 2].map(task));
    owner.ends(task(1));
    owner.ends(task(2));
    assert_eq!(owner.running(), [task(3)]);
    owner.ends(task(3));
    assert_eq!(owner.running(), [task(4)]);
}

#[test]
fn one_that_must_run_alone_comes_to_its_turn_among_others_of_its_key() {
    let mut owner = owner(4);
    owner.submit(limited(at_once(3), "a", [1, 2]));
    owner.submit(other_kind(alone(), "a", [3]));
    owner.submit(limited(at_once(3), "a", [4]));
    assert_eq!(owner.running(), [1, 2, 4].map(task), "it has hardly waited");
    owner.pass(AGING.times(2));
    owner.submit(limited(at_once(3), "a", 5..=6));
    for n in [1, 2] {
        owner.ends(task(n));
        assert!(!owner.running().contains(&task(5)), "it has waited for long");
    }
    owner.ends(task(4));
    assert_eq!(owner.running(), [task(3)]);
    owner.ends(task(3));
    assert_eq!(owner.running(), [5, 6].map(task));
    owner.served();
    owner.leaves_nothing();
}

#[test]
fn one_for_which_there_is_room_and_no_slot_keeps_nobody_back() {
    let mut owner = without_slots();
    let urgent = || Options { priority: Some(9), ..at_once(3) };
    owner.submit(other_kind(alone(), "a", [1]));
    owner.submit(limited(urgent(), "a", [2]));
    owner.grant(2);
    owner.submit(batch(template("add"), [task(3)]));
    assert_eq!(owner.running(), [2, 3].map(task));
    owner.pass(AGING.times(12));
    owner.submit(limited(urgent(), "a", [4]));
    assert_eq!(owner.scheduler.throttled(), 2, "the urgent one is kept back for the other");
    // There is room, and no slot yet.
    let outcomes = vec![(task(2), owner.token(task(2)), Outcome::Succeeded("1".into()))];
    owner.executor(ExecutorSays::Outcomes { lessee: owner.lessee(), outcomes });
    assert_eq!((owner.scheduler.throttled(), owner.scheduler.backlog()), (0, 2));
}

#[test]
fn a_rate_keeps_none_back_that_it_does_not_concern() {
    let mut owner = without_slots();
    owner.submit(limited(rated("1/h"), "a", [1]));
    owner.submit(other_kind(rated("1/h"), "a", [2]));
    owner.grant(3);
    assert_eq!(owner.running(), [task(1)]);
    owner.pass(AGING.times(3));
    owner.submit(limited(at_once(5), "a", [3]));
    assert_eq!(owner.running(), [1, 3].map(task));
}

#[test]
fn one_that_nobody_can_run_is_passed_though_it_has_waited_for_long() {
    let mut owner = owner(4);
    owner.submit(limited(at_once(3), "a", [1]));
    let mut tasks = limited(alone(), "a", [2]);
    let (limit_key, target) = (Some("a".into()), Target::Node(NodeId(9)));
    tasks.rows[0].particulars = Particulars { limit_key, target, ..Particulars::NONE }.boxed();
    owner.submit(tasks);
    owner.pass(AGING.times(2));
    owner.submit(limited(at_once(3), "a", [3]));
    assert_eq!(owner.running(), [1, 3].map(task));
}

#[test]
fn the_most_urgent_of_a_key_goes_first_though_another_is_in_line_for_a_slot() {
    let mut owner = owner(1);
    owner.submit(batch(template("add"), [task(9)]));
    owner.submit(limited(at_once(1), "a", 1..=2));
    owner.submit(limited(Options { priority: Some(9), ..at_once(1) }, "a", 3..=4));
    assert_eq!(owner.served(), [9, 3, 4, 1, 2].map(task));
    owner.leaves_nothing();
}

#[test]
fn many_kinds_of_one_key_are_served_one_after_another() {
    let mut owner = owner(8);
    for n in 0..100 {
        let options = Options { concurrency: Some(1), priority: Some(0), ..Options::default() };
        let kind = if n % 2 == 0 { limited } else { other_kind };
        owner.submit(kind(options, "a", [n]));
    }
    let served = owner.served();
    assert_eq!(served.len(), 100);
    owner.leaves_nothing();
}

#[test]
fn a_task_that_joins_the_line_twice_runs_once_and_keeps_no_room() {
    let mut owner = owner(0);
    owner.submit(limited(at_once(1), "a", 1..=3));
    owner.submit(batch(template("add"), [task(4)]));
    owner.scheduler.index_ready(task(1));
    owner.scheduler.index_ready(task(4));
    owner.grant(4);
    assert_eq!(owner.running(), [1, 4].map(task));
    for n in [1, 2, 3] {
        owner.ends(task(n));
    }
    owner.ends(task(4));
    assert_eq!(owner.in_state(State::Succeeded).len(), 4);
    owner.leaves_nothing();
}
