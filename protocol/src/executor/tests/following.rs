//! What owners are told of runs that are watched: once there is more, in good time, and all before the end.

use super::*;
use crate::journal::{Follow, Place};
use crate::limits::NEWS_EVERY;

fn place(lines: u64) -> Place {
    Place { changes: 0, lines }
}

fn follow(host: &mut Host, n: u64, lines: u64) -> Vec<Effect> {
    let runs = vec![Follow { task: task(n), token: token(n), place: Some(place(lines)) }];
    host.hear(HOME, OwnerSays::Follow { lessee: ME, runs })
}

fn heed(n: u64, lines: u64) -> Effect {
    Effect::Heed { task: task(n), token: token(n), place: place(lines) }
}

fn spoke(host: &mut Host, n: u64) -> Vec<Effect> {
    host.step(Event::Spoke { task: task(n), token: token(n) })
}

fn tell(n: u64, after: Option<u64>, is_last: bool) -> Effect {
    Effect::Tell { to: HOME, task: task(n), token: token(n), after, is_last }
}

#[test]
fn a_run_that_is_followed_is_told_of_once_it_says_more() {
    let mut host = Host::busy(2);
    assert_eq!(spoke(&mut host, 1), [], "nobody wants to know");
    assert_eq!(follow(&mut host, 1, 0), [heed(1, 0)]);
    assert_eq!(spoke(&mut host, 2), [], "another one");
    assert_eq!(spoke(&mut host, 1), [tell(1, Some(0), false)]);
    assert_eq!(spoke(&mut host, 1), [], "it has not asked on");
}

#[test]
fn a_run_that_talks_much_is_told_of_ten_times_a_second() {
    let mut host = Host::busy(1);
    follow(&mut host, 1, 0);
    spoke(&mut host, 1);
    let mut told = 0;
    for millis in 0..1_000 {
        follow(&mut host, 1, millis);
        let mut effects = spoke(&mut host, 1);
        effects.extend(host.pass(Span::from_millis(1)));
        told += effects.iter().filter(|effect| matches!(effect, Effect::Tell { .. })).count();
    }
    assert_eq!(told as u64, 1_000 / NEWS_EVERY.as_millis());
}

#[test]
fn the_rest_is_told_before_the_end_even_if_the_owner_has_not_asked_on() {
    let mut host = Host::busy(2);
    follow(&mut host, 1, 3);
    spoke(&mut host, 1);
    let effects = host.finish(&[1, 2]);
    let last = effects.iter().position(|effect| *effect == tell(1, Some(0), true));
    let outcomes = effects.iter().position(|effect| {
        matches!(effect, Effect::Send { says: ExecutorSays::Outcomes { .. }, .. })
    });
    assert!(last.is_some() && last < outcomes, "{effects:?}");
    assert_eq!(effects.iter().filter(|it| matches!(it, Effect::Tell { .. })).count(), 1);
    // Of what has ended all was said.
    assert_eq!(follow(&mut host, 1, 5), []);
    assert_eq!(spoke(&mut host, 1), []);
}

#[test]
fn whoever_looks_is_told_at_once() {
    let mut host = Host::busy(1);
    let look = |n| vec![Follow { task: task(n), token: token(n), place: None }];
    let says = OwnerSays::Follow { lessee: ME, runs: look(1) };
    assert_eq!(host.hear(HOME, says), [tell(1, None, false)]);
    let says = OwnerSays::Follow { lessee: ME, runs: look(7) };
    assert_eq!(host.hear(HOME, says), [], "no such run");
    let earlier = Lessee { executor: 1, ..ME };
    let effects = host.hear(HOME, OwnerSays::Follow { lessee: earlier, runs: look(1) });
    assert!(effects.iter().all(|effect| !matches!(effect, Effect::Tell { .. })), "{effects:?}");
}

#[test]
fn a_new_owner_follows_in_place_of_the_one_before() {
    let mut host = Host::busy(1);
    follow(&mut host, 1, 0);
    host.ask(OTHER, partition(1), TERM + 1);
    let runs = vec![Follow { task: task(1), token: token(1), place: Some(place(2)) }];
    host.hear(OTHER, OwnerSays::Follow { lessee: ME, runs });
    let told = spoke(&mut host, 1);
    let (task, token) = (task(1), token(1));
    let tell = Effect::Tell { to: OTHER, task, token, after: Some(2), is_last: false };
    assert_eq!(told, [tell]);
}

#[test]
fn an_owner_that_does_not_ask_on_is_forgotten() {
    let mut host = Host::busy(1);
    follow(&mut host, 1, 0);
    host.pass(Span::from_millis(62_000));
    assert_eq!(spoke(&mut host, 1), []);
    let effects = host.finish(&[1]);
    assert!(effects.iter().all(|it| !matches!(it, Effect::Tell { .. })), "{effects:?}");
}
