//! Runs that must not overlap with others: begun, and gone on with, only as long as their owner says so.

use super::*;
use crate::limits::{EXCLUSIVE_LOST_AFTER, LOST_AFTER_MIN};

const fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}

fn alone() -> Template {
    let options = Options { exclusive: Some(true), ..Options::default() };
    Template { options, ..template() }
}

fn begins(n: u64) -> Effect {
    let Effect::Start(start) = start(&run(n)) else { unreachable!("that is a start") };
    Effect::Start(Start { template: alone().into(), ..start })
}

fn may_go_on(to: NodeId, number: u64, runs: &[u64]) -> Effect {
    let runs = runs.iter().map(|n| key(*n)).collect();
    Effect::Send { to, says: ExecutorSays::MayGoOn { lessee: ME, number, runs } }
}

fn cancelled(to: NodeId, n: u64) -> Effect {
    let outcomes = vec![(task(n), token(n), Outcome::Cancelled)];
    Effect::Send { to, says: ExecutorSays::Outcomes { lessee: ME, outcomes } }
}

fn kill(n: u64) -> Effect {
    Effect::Kill { task: task(n), token: token(n) }
}

impl Host {
    fn dispatch_alone(&mut self, from: NodeId, runs: &[u64]) -> Vec<Effect> {
        let runs = runs.iter().map(|n| run(*n)).collect();
        self.hear(from, OwnerSays::Dispatch { lessee: ME, templates: vec![alone()], runs })
    }

    fn go_on(&mut self, from: NodeId, number: u64, runs: &[u64]) -> Vec<Effect> {
        let runs = runs.iter().map(|n| key(*n)).collect();
        self.hear(from, OwnerSays::GoOn { lessee: ME, number, runs })
    }
}

#[test]
fn nothing_begins_before_its_owner_says_so() {
    let mut host = Host::new(2);
    assert_eq!(host.dispatch_alone(HOME, &[1, 2]), [may_go_on(HOME, 1, &[1, 2])]);
    assert_eq!(host.go_on(HOME, 7, &[1]), [], "it never asked that");
    assert_eq!(host.go_on(HOME, 1, &[1]), [begins(1)]);
    assert_eq!(host.go_on(HOME, 1, &[1]), [], "it has begun");
    let asked = host.pass(ms(1_000));
    assert_eq!(asked, [beat(HOME, &[1, 2]), may_go_on(HOME, 2, &[1, 2])]);
    assert_eq!(host.go_on(HOME, 2, &[1, 2]), [begins(2)]);
}

#[test]
fn an_answer_that_comes_too_late_begins_nothing() {
    let mut host = Host::new(1);
    let mut brief = alone();
    brief.options.lost_after = Some(LOST_AFTER_MIN);
    let says = OwnerSays::Dispatch { lessee: ME, templates: vec![brief], runs: vec![run(1)] };
    host.hear(HOME, says);
    host.pass(LOST_AFTER_MIN);
    assert_eq!(host.go_on(HOME, 1, &[1]), []);
    let begun = host.go_on(HOME, 2, &[1]);
    assert!(matches!(begun[..], [Effect::Start(_)]), "the next question is younger: {begun:?}");
}

#[test]
fn what_nobody_lets_begin_gives_its_slot_back() {
    let mut host = Host::new(1);
    let free = host.executor.free();
    host.dispatch_alone(HOME, &[1]);
    assert_ne!(host.executor.free(), free);
    let waited = host.pass(ms(EXCLUSIVE_LOST_AFTER.as_millis() - 1));
    assert!(!waited.contains(&cancelled(HOME, 1)), "{waited:?}");
    // Whoever is the owner now hears of it as of any other end.
    let dropped = host.pass(ms(1));
    assert!(dropped.contains(&cancelled(HOME, 1)), "{dropped:?}");
    assert_eq!(host.executor.free(), free);
    assert_eq!(host.go_on(HOME, 2, &[1]), [], "and it begins no more");
}

#[test]
fn the_deadline_of_a_run_does_not_wait_with_it() {
    let mut host = Host::new(1);
    let hurried = Dispatch { time_left: Some(ms(10_000)), ..run(1) };
    let says = OwnerSays::Dispatch { lessee: ME, templates: vec![alone()], runs: vec![hurried] };
    host.hear(HOME, says);
    host.pass(ms(4_000));
    let begun = host.go_on(HOME, 4, &[1]);
    let [Effect::Start(start)] = &begun[..] else { panic!("{begun:?}") };
    assert_eq!(start.time_left, Some(ms(6_000)));
}

#[test]
fn however_many_questions_are_asked_meanwhile_an_answer_counts() {
    let mut host = Host::new(200);
    for n in 1..=200 {
        assert_eq!(host.dispatch_alone(HOME, &[n]), [may_go_on(HOME, n, &[n])]);
    }
    assert_eq!(host.go_on(HOME, 1, &[1]), [begins(1)]);
    host.pass(ms(61_000));
    let begun = host.go_on(HOME, 2, &[2]);
    assert_eq!(begun, [], "it is too old");
}

#[test]
fn a_run_goes_on_from_answer_to_answer_and_is_ended_without() {
    let mut host = Host::new(1);
    host.dispatch_alone(HOME, &[1]);
    host.go_on(HOME, 1, &[1]);
    host.pass(ms(3_000));
    // It counts from when it asked, not from when it is answered.
    assert_eq!(host.go_on(HOME, 2, &[1]), []);
    let until = 1_000 + EXCLUSIVE_LOST_AFTER.as_millis();
    let rest = host.pass(ms(until - 3_000 - 1));
    assert!(!rest.contains(&kill(1)), "{rest:?}");
    assert_eq!(host.pass(ms(1)), [kill(1), beat(HOME, &[1])]);
    let asked = host.pass(ms(1_000));
    assert_eq!(asked, [beat(HOME, &[1])], "it is not killed twice, nor asked about");
    assert_eq!(host.go_on(HOME, 5, &[1]), []);
    let ended = host.step(Event::Finished(vec![(task(1), token(1), Outcome::Cancelled)]));
    assert!(ended.contains(&cancelled(HOME, 1)), "{ended:?}");
}

#[test]
fn one_that_has_ended_is_asked_about_no_more() {
    let mut host = Host::new(1);
    host.dispatch_alone(HOME, &[1]);
    host.go_on(HOME, 1, &[1]);
    host.finish(&[1]);
    let told = host.pass(ms(60_000));
    let asks = |effect: &Effect| {
        matches!(effect, Effect::Kill { .. })
            || matches!(effect, Effect::Send { says: ExecutorSays::MayGoOn { .. }, .. })
    };
    assert!(!told.iter().any(asks), "{told:?}");
}

#[test]
fn what_has_not_begun_ends_when_it_is_to_stop() {
    let mut host = Host::new(2);
    host.dispatch_alone(HOME, &[1, 2]);
    let stopped = host.hear(HOME, OwnerSays::Stop { runs: vec![key(1)] });
    assert!(stopped.contains(&cancelled(HOME, 1)), "{stopped:?}");
    assert_eq!(host.go_on(HOME, 1, &[1]), []);
    let retired = host.step(Event::Retire);
    assert!(retired.contains(&cancelled(HOME, 2)), "{retired:?}");
}
