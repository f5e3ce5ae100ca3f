//! Slots of runs whose code goes on after their end: taken until it does not.

use super::*;

impl Host {
    fn lingers(&mut self, n: u64) {
        let Template { queue, name, .. } = template();
        let event = Event::Lingers { task: task(n), token: token(n), queue, name };
        assert_eq!(self.step(event), [], "nobody need know");
    }

    fn quiet(&mut self, n: u64) -> Vec<Effect> {
        self.step(Event::Quiet { task: task(n), token: token(n) })
    }
}

#[test]
fn the_slot_of_a_run_whose_code_goes_on_stays_taken_though_its_end_is_told() {
    let mut host = Host::busy(2);
    host.lingers(1);
    assert_eq!(host.finish(&[1]), [outcomes(HOME, &[1])], "and no slot is granted");
    assert_eq!(host.executor.free(), [0, 1]);
    assert_eq!(host.dispatch(HOME, vec![run(3)]), [never_had(HOME, &[3])]);
    assert_eq!(host.finish(&[2]), [grant(HOME, &[1, 0]), outcomes(HOME, &[2])]);
    host.close(HOME, &[1, 2]);
    assert_eq!(host.executor.held(), 0, "the run itself is over");
    assert_eq!(host.executor.free(), [1, 1]);
    assert_eq!(host.quiet(1), [grant(HOME, &[1, 0])]);
    assert_eq!(host.executor.free(), [2, 1]);
    assert_eq!(host.quiet(1), [], "it is free once");
    assert_eq!(host.executor.free(), [2, 1]);
}

#[test]
fn code_that_ends_before_its_run_is_reported_keeps_nothing() {
    let mut host = Host::busy(1);
    host.lingers(1);
    assert_eq!(host.quiet(1), []);
    assert_eq!(host.executor.free(), [0, 1]);
    assert_eq!(host.finish(&[1]), [grant(HOME, &[1, 0]), outcomes(HOME, &[1])]);
}

#[test]
fn slots_that_become_others_are_counted_with_what_lingers() {
    let mut host = Host::busy(3);
    host.lingers(1);
    host.lingers(2);
    host.finish(&[1]);
    host.step(Event::Learned(profile(4)));
    host.step(Event::Reached(HOME));
    // Two run, one of which will go on, and one goes on that does not run.
    assert_eq!(host.executor.free(), [1, 1]);
    host.finish(&[2, 3]);
    assert_eq!(host.executor.free(), [2, 1]);
    host.step(Event::Learned(profile(1)));
    host.step(Event::Reached(HOME));
    assert_eq!(host.executor.free(), [0, 1]);
    host.quiet(1);
    assert_eq!(host.executor.free(), [0, 1], "it was one too many");
    host.quiet(2);
    assert_eq!(host.executor.free(), [1, 1]);
}

#[test]
fn what_a_former_executor_left_takes_slots_of_its_successor() {
    let mut host = Host::stranger(2);
    for n in 1..=3 {
        host.lingers(n);
    }
    host.step(Event::Admitted);
    assert_eq!(host.step(Event::Reached(HOME)), [introduce(HOME, 2), grant(HOME, &[0, 1])]);
    assert_eq!(host.quiet(3), [], "there were more than there are slots");
    assert_eq!(host.quiet(2), [grant(HOME, &[1, 0])]);
    assert_eq!(host.quiet(1), [grant(HOME, &[1, 0])]);
}

#[test]
fn nobody_waits_for_what_lingers_to_retire() {
    let mut host = Host::busy(1);
    host.lingers(1);
    host.finish(&[1]);
    host.close(HOME, &[1]);
    host.step(Event::Retire);
    host.give_back(HOME, &[0, 1]);
    assert_eq!(host.pass(Span::from_millis(2_000)), [Effect::Retired]);
}
