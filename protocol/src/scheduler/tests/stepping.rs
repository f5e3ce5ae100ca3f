//! Wall clocks that step where nobody tells what is right: what waits goes on waiting as long as it was to.

use super::lone_owner::{LoneOwner, PARTITION, batch, made, profile, task, template};
use super::network::Network;
use super::said::{self, HERE, granted, submit_with};
use crate::id::TaskId;
use crate::job::{Job, JobName, Schedule, Source};
use crate::limits::Limits;
use crate::partition::{JobChange, Partition, Precondition};
use crate::scheduler::Event;
use crate::task::{Failure, FailureKind, Obstacle, Options, Outcome, Particulars, State, Template};
use crate::time::{Span, Tick};
use crate::wire::{Answer, Ask, ExecutorSays};

const SECOND: Span = ms(1_000);
const MINUTE: Span = ms(60_000);
const HOUR: Span = ms(3_600_000);
const YEAR: Span = ms(365 * 24 * 3_600_000);

const fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}

/// Steps of a clock: ahead and back.
const STEPS: [(Span, Span); 2] = [(HOUR, Span::ZERO), (Span::ZERO, HOUR)];

/// The owner of the only partition, whose executor has `slots` slots, and whose clock has been well for a minute.
fn owner(slots: u32) -> LoneOwner {
    let mut owner = LoneOwner::one_of(1, &Partition::new(PARTITION), Limits::default());
    owner.introduce(owner.lessee(), slots);
    owner.pass(MINUTE);
    owner
}

impl LoneOwner {
    fn steps(&mut self, (ahead, back): (Span, Span)) {
        self.now.wall = self.now.wall + ahead - back;
        self.step(Event::Due);
    }

    fn state_of(&self, task: TaskId) -> State {
        self.record(task).expect("it is known").state()
    }

    fn takes(&mut self, options: Options, id: TaskId) {
        let asked = self.submit(batch(Template { options, ..template("add") }, [id]));
        assert_eq!(self.answers(asked), [&Answer::Submitted { refused: vec![], known: 0 }]);
    }

    /// Lets time pass until a task is leased; how long that took.
    fn waits_for(&mut self, task: TaskId) -> Span {
        let before = self.now.tick;
        while self.state_of(task) != State::Leased {
            self.pass(ms(100));
            assert!(self.now.tick.since(before) < HOUR, "it is held up");
        }
        self.now.tick.since(before)
    }

    /// How far the time of the partition is ahead of its clock, as an entry says that is made now.
    fn ahead_of_its_clock(&mut self, id: u64) -> i64 {
        self.takes(Options::default(), task(id));
        let time = self.partition().now().as_millis();
        i64::try_from(time).unwrap() - i64::try_from(self.now.wall.as_millis()).unwrap()
    }
}

fn is_about(waited: Span, meant: Span) -> bool {
    let (least, most) = (meant.as_millis() * 9 / 10, meant.as_millis() * 10 / 9);
    (least..=most + 200).contains(&waited.as_millis())
}

#[test]
fn what_waits_for_a_time_of_day_is_not_said_to_wait_for_anything_else() {
    for step in STEPS {
        let mut owner = owner(0);
        owner.steps(step);
        let at = owner.now.wall + MINUTE;
        let id = made(owner.now.wall, 1);
        let mut batch = batch(template("add"), [id]);
        batch.rows[0].particulars =
            Particulars { not_before: Some(at), ..Particulars::NONE }.boxed();
        owner.submit(batch);
        let mut why = || {
            let asked = owner.ask(Ask::Show { task: id });
            let [Answer::View(view)] = owner.answers(asked)[..] else {
                panic!("{:?}", owner.answers(asked))
            };
            let why = (view.state, view.obstacle.clone());
            owner.pass(MINUTE.times(2));
            why
        };
        assert_eq!(why(), (State::Scheduled, None), "{step:?}");
        assert_eq!(why().1, Some(Obstacle::NoResource), "{step:?}");
    }
}

#[test]
fn what_is_delayed_waits_as_long_as_it_was_to() {
    for step in STEPS {
        let mut owner = owner(1);
        owner.takes(Options { delay: MINUTE, ..Options::default() }, task(1));
        owner.steps(step);
        let waited = owner.waits_for(task(1));
        assert!(is_about(waited, MINUTE), "{step:?}: {waited:?}");
        // So does what comes after that.
        owner.executor(ExecutorSays::Grant { lessee: owner.lessee(), slots: vec![1] });
        let now = owner.now.wall;
        owner.takes(Options { delay: MINUTE, ..Options::default() }, made(now, 2));
        let waited = owner.waits_for(made(now, 2));
        assert!(is_about(waited, MINUTE), "{step:?}: {waited:?}");
    }
}

#[test]
fn what_failed_is_tried_again_after_its_pause() {
    for step in STEPS {
        let mut owner = owner(1);
        let backoff_list = Some(vec![MINUTE]);
        owner.takes(Options { backoff_list, ..Options::default() }, task(1));
        let (lessee, token) = (owner.lessee(), owner.token(task(1)));
        let failed = Outcome::Failed(Failure::new(FailureKind::Error, "again"));
        owner.executor(ExecutorSays::Outcomes { lessee, outcomes: vec![(task(1), token, failed)] });
        owner.executor(ExecutorSays::Grant { lessee, slots: vec![1] });
        assert_eq!(owner.state_of(task(1)), State::Scheduled);
        owner.steps(step);
        let waited = owner.waits_for(task(1));
        assert!(is_about(waited, MINUTE), "{step:?}: {waited:?}");
    }
}

#[test]
fn a_rate_is_kept_to_and_goes_on() {
    for step in STEPS {
        let mut owner = owner(8);
        let rate = Options { rate: "1/min".parse().ok(), ..Options::default() };
        let mut batch = batch(Template { options: rate, ..template("add") }, [1, 2].map(task));
        for row in &mut batch.rows {
            let limit_key = Some("account".into());
            row.particulars = Particulars { limit_key, ..Particulars::NONE }.boxed();
        }
        owner.submit(batch);
        owner.steps(step);
        let is_running = |owner: &LoneOwner, n| owner.state_of(task(n)) == State::Leased;
        let second = if is_running(&owner, 1) { 2 } else { 1 };
        assert!(!is_running(&owner, second));
        let waited = owner.waits_for(task(second));
        assert!(is_about(waited, MINUTE), "{step:?}: {waited:?}");
    }
}

#[test]
fn ids_are_made_by_what_the_clock_shows() {
    for step in STEPS {
        let mut owner = owner(0);
        owner.steps(step);
        owner.takes(Options::default(), made(owner.now.wall, 1));
    }
}

#[test]
fn time_comes_to_be_what_the_clock_shows() {
    for (step, apart) in [((MINUTE, Span::ZERO), -60_000), ((Span::ZERO, MINUTE), 60_000)] {
        let mut owner = owner(0);
        owner.steps(step);
        assert_eq!(owner.ahead_of_its_clock(1), apart);
        owner.pass(MINUTE.times(5));
        assert_eq!(owner.ahead_of_its_clock(2), apart / 2);
        owner.pass(MINUTE.times(5));
        assert_eq!(owner.ahead_of_its_clock(3), 0);
    }
}

#[test]
fn a_clock_that_is_right_again_leaves_no_trace() {
    let mut owner = owner(0);
    owner.steps((HOUR, Span::ZERO));
    owner.pass(SECOND.times(10));
    owner.steps((Span::ZERO, HOUR));
    assert_eq!(owner.ahead_of_its_clock(1), 1_000, "a tenth was gained");
    owner.pass(SECOND.times(10));
    assert_eq!(owner.ahead_of_its_clock(2), 0);
}

#[test]
fn a_clock_that_was_wrong_by_years_is_believed_at_once() {
    let mut owner = owner(1);
    owner.steps((YEAR, Span::ZERO));
    assert_eq!(owner.ahead_of_its_clock(1), 0);
    // What the log says cannot be taken back, but time goes on from it.
    owner.steps((Span::ZERO, YEAR));
    owner.executor(ExecutorSays::Grant { lessee: owner.lessee(), slots: vec![2] });
    let made_at = owner.partition().now();
    owner.takes(Options { delay: MINUTE, ..Options::default() }, made(made_at, 2));
    let waited = owner.waits_for(made(made_at, 2));
    assert!(is_about(waited, MINUTE), "{waited:?}");
}

#[test]
fn whoever_starts_anew_goes_on_from_what_is_in_the_log() {
    let mut before = owner(0);
    before.takes(Options { delay: MINUTE, ..Options::default() }, task(1));
    before.steps((Span::ZERO, HOUR));
    before.takes(Options::default(), task(2));
    let mut owner = LoneOwner::later(before.partition(), before.now.wall + SECOND);
    owner.executor(ExecutorSays::Introduce { lessee: owner.lessee(), profile: profile(2) });
    owner.executor(ExecutorSays::Grant { lessee: owner.lessee(), slots: vec![2] });
    let waited = owner.waits_for(task(1));
    assert!(is_about(waited, MINUTE), "{waited:?}");
}

#[test]
fn a_time_of_day_is_what_the_clock_shows_and_an_interval_is_what_passes() {
    let names = (0..).map(|n| format!("job-{n}").parse::<JobName>().unwrap());
    let names: Vec<JobName> = names.take(2).collect();
    let fired =
        |owner: &LoneOwner, name: &JobName| owner.partition().job(name).unwrap().counts.fired;
    let five = MINUTE.times(5);
    for (step, left, passed) in [((five, Span::ZERO), 5, 23), ((Span::ZERO, five), 15, 22)] {
        let mut owner = owner(0);
        let hourly = Schedule::Cron("30 * * * *".to_owned());
        for (name, schedule) in names.iter().zip([hourly, Schedule::Every(MINUTE)]) {
            let job = Box::new(Job::new(schedule, template("add")));
            let (source, precondition) = (Source::Live, Precondition::Any);
            let change = JobChange::Define { job, source, precondition };
            owner.ask(Ask::ChangeJob { job: name.clone(), change });
        }
        // From a minute past the hour to twenty past.
        owner.pass(MINUTE.times(19));
        owner.steps(step);
        owner.pass(MINUTE.times(4));
        assert_eq!(fired(&owner, &names[1]), passed, "{step:?}");
        owner.pass(ms((left - 4) * 60_000 - 1_000));
        assert_eq!(fired(&owner, &names[0]), 0, "{step:?}");
        // Time that is behind what the clock shows is looked at now and then.
        owner.pass(ms(6_000));
        assert_eq!(fired(&owner, &names[0]), 1, "{step:?}: at half past by its clock");
    }
}

#[test]
fn what_waits_for_a_time_of_day_goes_by_what_the_clock_shows() {
    let five = MINUTE.times(5);
    for (step, waits) in [((five, Span::ZERO), 5), ((Span::ZERO, five), 15)] {
        for steps_first in [true, false] {
            let mut owner = owner(1);
            let at = owner.now.wall + MINUTE.times(10);
            if steps_first {
                owner.steps(step);
            }
            let options = Options { expires: Some(MINUTE), ..Options::default() };
            let id = made(owner.now.wall, 1);
            let mut batch = batch(Template { options, ..template("add") }, [id]);
            let not_before = Some(at);
            batch.rows[0].particulars = Particulars { not_before, ..Particulars::NONE }.boxed();
            owner.submit(batch);
            if !steps_first {
                owner.steps(step);
            }
            let (waited, meant) = (owner.waits_for(id), MINUTE.times(waits));
            let late = waited.as_millis().checked_sub(meant.as_millis());
            assert!(late.is_some_and(|late| late < 5_200), "{step:?}: {waited:?}");
        }
    }
}

/// Nodes of which one owns a task that may start after a minute, for which there is a slot.
fn with_delayed_task(nodes: u16) -> (Network, usize) {
    let mut network = Network::formed(nodes, 3);
    network.pass(MINUTE);
    let owner = network.owner(HERE);
    let lessee = network.lessee(owner);
    network.executor(owner, granted(lessee, 1));
    network.ask(owner, 1, submit_with(Options { delay: MINUTE, ..Options::default() }, 1));
    (network, owner)
}

fn is_held_up_or_early(network: &mut Network, owner: usize) -> Result<(), &'static str> {
    let state =
        |network: &Network| network.nodes[owner].record(said::task(1)).expect("known").state();
    network.pass(ms(54_000));
    if state(network) != State::Scheduled {
        return Err("early");
    }
    network.pass(ms(14_000));
    if state(network) != State::Leased {
        return Err("late");
    }
    Ok(())
}

#[test]
fn of_two_nodes_either_or_both_may_step() {
    for step in STEPS {
        for who in [[true, false], [false, true], [true, true]] {
            let (mut network, owner) = with_delayed_task(2);
            for (place, node) in network.nodes.iter_mut().enumerate() {
                if who[usize::from(place != owner)] {
                    node.now.wall = node.now.wall + step.0 - step.1;
                }
            }
            let kept = is_held_up_or_early(&mut network, owner);
            assert_eq!(kept, Ok(()), "{step:?} {who:?}");
        }
    }
}

#[test]
fn of_three_nodes_that_do_not_agree_each_goes_on_as_before() {
    let (mut network, owner) = with_delayed_task(3);
    for (n, node) in (1..).zip(&mut network.nodes) {
        node.now.wall = node.now.wall + HOUR.times(n);
    }
    assert_eq!(is_held_up_or_early(&mut network, owner), Ok(()));
}

#[test]
fn of_three_nodes_one_is_put_right_by_the_others() {
    for step in STEPS {
        let (mut network, owner) = with_delayed_task(3);
        let node = &mut network.nodes[owner];
        node.now.wall = node.now.wall + step.0 - step.1;
        assert_eq!(is_held_up_or_early(&mut network, owner), Ok(()), "{step:?}");
        let right = said::START + network.nodes[owner].now.tick.since(Tick::START);
        assert_eq!(network.nodes[owner].scheduler.now.wall, right, "{step:?}");
    }
}

#[test]
fn what_most_agree_on_is_believed_at_once() {
    let (mut network, owner) = with_delayed_task(3);
    for node in &mut network.nodes {
        node.now.wall = node.now.wall + HOUR;
    }
    network.pass(ms(5_000));
    assert_eq!(is_held_up_or_early(&mut network, owner), Err("early"));
    let node = &network.nodes[owner];
    assert_eq!(node.scheduler.now.wall, node.now.wall - ms(0));
}
