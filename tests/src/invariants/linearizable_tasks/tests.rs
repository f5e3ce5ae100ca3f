//! Histories that have an order, and some that have none.

use umbel_protocol::task::State;

use super::{History, Request, Told, find_order};

fn history(requests: &[(u64, u64, Told)]) -> History {
    let answered = requests.iter().map(|(call, back, told)| Request {
        call: *call,
        back: Some(*back),
        told: *told,
    });
    History { answered: answered.collect(), ..History::default() }
}

const OPEN: Told = Told::Open { over: 0 };
const DONE: Told = Told::Ended(State::Succeeded);

#[test]
fn what_a_single_node_would_tell_has_an_order() {
    let plain = history(&[(1, 2, Told::In), (3, 4, OPEN), (5, 6, DONE), (7, 8, Told::In)]);
    assert_eq!(find_order(&plain), Ok(()));
    let again = history(&[(1, 2, Told::In), (3, 4, Told::In), (5, 6, Told::Conflict)]);
    assert_eq!(find_order(&again), Ok(()));
    let forgotten =
        history(&[(1, 2, Told::In), (3, 4, DONE), (5, 6, Told::Nothing), (7, 8, Told::TooOld)]);
    assert_eq!(find_order(&forgotten), Ok(()));
    // A copy that lags still has what others have dropped.
    let late = history(&[(1, 2, Told::In), (3, 4, DONE), (5, 6, Told::Nothing), (7, 8, DONE)]);
    assert_eq!(find_order(&late), Ok(()));
    assert_eq!(find_order(&history(&[(1, 2, Told::Nothing), (3, 4, Told::In)])), Ok(()));
}

#[test]
fn requests_at_the_same_time_may_come_in_any_order() {
    // It is shown before its submission is answered, and not, a moment later, by another.
    let early = history(&[(1, 9, Told::In), (2, 3, OPEN), (4, 5, OPEN)]);
    assert_eq!(find_order(&early), Ok(()));
    let before = history(&[(1, 9, Told::In), (2, 3, Told::Nothing), (4, 5, OPEN)]);
    assert_eq!(find_order(&before), Ok(()));
}

#[test]
fn what_was_taken_in_is_not_unknown() {
    let lost = History { may_end: u64::MAX, ..history(&[(1, 2, Told::In), (3, 4, Told::Nothing)]) };
    assert!(find_order(&lost).is_err());
    let stale = history(&[(1, 9, Told::In), (2, 3, OPEN), (4, 5, Told::Nothing), (6, 7, OPEN)]);
    assert!(find_order(&stale).is_err());
    assert!(find_order(&history(&[(1, 2, Told::TooOld), (3, 4, DONE)])).is_err());
    let stranger = history(&[(3, 4, OPEN), (5, 6, Told::In)]);
    assert!(find_order(&stranger).is_err());
}

#[test]
fn nothing_goes_back() {
    let resurrected = history(&[(1, 2, Told::In), (3, 4, DONE), (5, 6, OPEN)]);
    assert!(find_order(&resurrected).is_err());
    let other = history(&[(1, 2, Told::In), (3, 4, DONE), (5, 6, Told::Ended(State::Dead))]);
    assert!(find_order(&other).is_err());
    let fewer = [(1, 2, Told::In), (3, 4, Told::Open { over: 2 }), (5, 6, Told::Open { over: 1 })];
    assert!(find_order(&history(&fewer)).is_err());
    // Asked at the same time, either may have come first.
    let crossed =
        [(1, 2, Told::In), (3, 6, Told::Open { over: 2 }), (4, 7, Told::Open { over: 1 })];
    assert_eq!(find_order(&history(&crossed)), Ok(()));
    let old = history(&[(1, 2, Told::In), (3, 4, DONE), (5, 6, Told::TooOld), (7, 8, Told::In)]);
    assert!(find_order(&old).is_err());
}

#[test]
fn who_is_told_that_it_stops_is_not_told_that_it_died() {
    let stopping = Told::Stopping { over: 0 };
    let cancelled = Told::Ended(State::Cancelled);
    let ends = |end| find_order(&history(&[(1, 2, Told::In), (3, 4, stopping), (5, 6, end)]));
    assert_eq!(ends(cancelled), Ok(()));
    assert_eq!(ends(DONE), Ok(()));
    assert!(ends(Told::Ended(State::Dead)).is_err());
    assert!(ends(Told::Ended(State::Expired)).is_err());
    assert_eq!(ends(Told::Nothing), Ok(()));
    let late = [(1, 2, Told::In), (3, 4, Told::StopNothing), (5, 6, OPEN)];
    assert!(find_order(&history(&late)).is_err());
    // Nobody asked for it.
    assert!(find_order(&history(&[(1, 2, Told::In), (5, 6, cancelled)])).is_err());
}

#[test]
fn what_is_withdrawn_waited_and_what_is_begun_anew_had_ended() {
    let ends = |told, end| find_order(&history(&[(1, 2, Told::In), (3, 4, told), (5, 6, end)]));
    let cancelled = Told::Ended(State::Cancelled);
    assert_eq!(ends(Told::Withdrawn, cancelled), Ok(()));
    assert_eq!(ends(Told::Withdrawn, Told::Withdrawn), Ok(()));
    assert!(ends(Told::Withdrawn, OPEN).is_err());
    assert!(ends(Told::Withdrawn, DONE).is_err());
    assert!(ends(DONE, Told::Withdrawn).is_err());
    let replaced = Told::Replaced;
    assert_eq!(ends(replaced, Told::Nothing), Ok(()));
    assert!(ends(replaced, OPEN).is_err());
    assert!(ends(DONE, replaced).is_err());
    // It was said twice.
    assert_eq!(ends(replaced, replaced), Ok(()));
    assert!(find_order(&history(&[(1, 2, replaced)])).is_err());
    let early = history(&[(1, 2, Told::In), (3, 4, replaced)]);
    assert!(find_order(&History { may_end: 5, ..early }).is_err());
}

#[test]
fn what_got_no_answer_may_have_happened_or_not() {
    let shown = history(&[(3, 4, OPEN)]);
    assert!(find_order(&shown).is_err());
    assert_eq!(find_order(&History { submit_lost: Some(1), ..shown.clone() }), Ok(()));
    assert!(find_order(&History { submit_lost: Some(5), ..shown }).is_err());
    let never = History { submit_lost: Some(1), ..history(&[(3, 4, Told::Nothing)]) };
    assert_eq!(find_order(&never), Ok(()));
    // Once it was seen it stays.
    let gone = history(&[(3, 4, OPEN), (5, 6, Told::Nothing)]);
    assert!(find_order(&History { submit_lost: Some(1), may_end: u64::MAX, ..gone }).is_err());
    let cancelled = history(&[(1, 2, Told::In), (7, 8, Told::Ended(State::Cancelled))]);
    assert_eq!(find_order(&History { cancel_lost: Some(3), ..cancelled.clone() }), Ok(()));
    assert!(find_order(&History { cancel_lost: Some(9), ..cancelled }).is_err());
    let died = History {
        cancel_lost: Some(3),
        ..history(&[(1, 2, Told::In), (7, 8, Told::Ended(State::Dead))])
    };
    assert_eq!(find_order(&died), Ok(()));
}

#[test]
fn nothing_ends_before_anything_could_end_it() {
    let quick = history(&[(1, 2, Told::In), (3, 4, DONE)]);
    assert!(find_order(&History { may_end: 5, ..quick.clone() }).is_err());
    assert_eq!(find_order(&History { may_end: 4, ..quick }), Ok(()));
}
