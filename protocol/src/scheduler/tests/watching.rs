//! Watchers are told what runs say, from where they were, whoever runs and whoever owns.

use super::*;
use crate::id::Token;
use crate::journal::{Follow, Live, LogLine, News, Place, Progress, Seen, Words};
use crate::task::View;
use crate::wire::{Answer, Ask, ExecutorSays, OwnerSays, PeerMessage, RequestError};

fn watch(n: u64, seen: Option<Seen>) -> Ask {
    Ask::Watch { task: task(n), seen }
}

fn seen(token: Token, lines: u64) -> Option<Seen> {
    Some(Seen { token, place: Place { changes: 0, lines } })
}

/// Lines `after` up to `until`.
fn words(after: u64, until: u64) -> Words {
    let line = |n: u64| LogLine { at: START, is_error: false, text: n.to_string().into() };
    Words {
        changes: 0,
        progress: None,
        after,
        first: after,
        lines: (after..until).map(line).collect(),
    }
}

fn news(n: u16, token: Token, attempt: u16, words: Words) -> Answer {
    Answer::News(Box::new(News { token, attempt, node: id(n), words }))
}

fn says(n: u16, token: Token, words: Words, is_last: bool) -> ExecutorSays {
    ExecutorSays::News { lessee: lessee(n), task: task(1), token, words, is_last }
}

fn follow(n: u16, token: Token, lines: Option<u64>) -> Effect {
    let place = lines.map(|lines| Place { changes: 0, lines });
    let follow = Follow { task: task(1), token, place };
    Effect::Execute(OwnerSays::Follow { lessee: lessee(n), runs: vec![follow] })
}

/// A node on which task 1 runs.
fn running() -> Node {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1]));
    node
}

#[test]
fn a_watcher_is_told_of_the_run_and_then_of_what_it_says() {
    let mut node = running();
    let step = node.ask(2, watch(1, None));
    assert_eq!(
        step.said,
        [answer(2, news(0, token(1), 1, Words::default())), follow(0, token(1), Some(0))],
        "it may end before the watcher asks on"
    );
    let step = node.ask(3, watch(1, seen(token(1), 0)));
    assert_eq!(step.said, [], "that is on its way");
    let step = node.executor(says(0, token(1), words(0, 2), false));
    assert_eq!(answers(&step), [answer(3, news(0, token(1), 1, words(0, 2)))]);
    // Asked on twice, by one who knows more.
    let step = node.ask(4, watch(1, seen(token(1), 2)));
    assert_eq!(step.said, [follow(0, token(1), Some(2))]);
    let step = node.ask(5, watch(1, seen(token(1), 1)));
    assert_eq!(step.said, [follow(0, token(1), Some(1))], "for the one who knows least");
    let step = node.executor(says(0, token(1), words(1, 2), false));
    assert_eq!(answers(&step), [answer(5, news(0, token(1), 1, words(1, 2)))]);
    assert!(step.said.contains(&follow(0, token(1), Some(2))), "on behalf of the other: {step:?}");
}

#[test]
fn a_watcher_is_told_of_the_end_after_all_that_was_said() {
    let mut node = running();
    node.ask(2, watch(1, seen(token(1), 0)));
    let step = node.executor(says(0, token(1), words(0, 1), true));
    assert_eq!(answers(&step).len(), 1);
    node.executor(ended(lessee(0), 1, token(1), success()));
    node.settle();
    // It has lost its node, and with it the answer.
    let step = node.ask(3, watch(1, seen(token(1), 0)));
    assert_eq!(answers(&step), [answer(3, news(0, token(1), 1, words(0, 1)))]);
    let step = node.ask(4, watch(1, seen(token(1), 1)));
    assert!(
        matches!(&answers(&step)[..], [Effect::Answer { answer: Answer::View(view), .. }]
            if view.state.is_final()),
        "{step:?}"
    );
    // What is not asked for soon is not kept.
    node.pass(ms(31_000));
    let step = node.ask(5, watch(1, seen(token(1), 0)));
    assert!(matches!(&answers(&step)[..], [Effect::Answer { answer: Answer::View(_), .. }]));
}

#[test]
fn a_watcher_of_a_task_that_waits_is_told_of_its_run_and_of_its_end() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[2, 1]));
    assert_eq!(answers(&node.ask(2, watch(1, None))), []);
    node.executor(ended(lessee(0), 2, token(1), success()));
    node.executor(granted(lessee(0), 1));
    let step = node.settle();
    assert_eq!(answers(&step), [answer(2, news(0, token(3), 1, Words::default()))], "{step:?}");
    assert_eq!(answers(&node.ask(3, watch(1, seen(token(3), 0)))), []);
    node.executor(ended(lessee(0), 1, token(3), success()));
    let step = node.settle();
    assert!(matches!(&answers(&step)[..], [Effect::Answer { answer: Answer::View(_), .. }]));
}

#[test]
fn the_next_run_is_told_of_when_one_was_lost() {
    let mut node = Node::alone(0);
    node.far(1, 1);
    node.ask_and_settle(1, submit(&[1]));
    node.ask(2, watch(1, seen(token(1), 4)));
    node.hear_of(lessee(1), crate::membership::Liveness::Down);
    node.introduce(node.lessee(), 1);
    let mut told = answers(&node.pass(ms(20_000)));
    told.retain(|effect| matches!(effect, Effect::Answer { answer: Answer::News(_), .. }));
    let [Effect::Answer { answer: Answer::News(news), .. }] = &told[..] else {
        panic!("{told:?}");
    };
    assert_ne!(news.token, token(1));
    assert_eq!((news.node, news.words.clone()), (id(0), Words::default()));
}

#[test]
fn nobody_watches_what_is_not_known() {
    let mut node = running();
    for (request, seen) in [(2, None), (3, seen(token(1), 3))] {
        let step = node.ask(request, watch(9, seen));
        let error = RequestError::NotFound { task: task(9) };
        assert_eq!(answers(&step), [failed(request, error)], "at once");
    }
    assert_eq!(node.scheduler.watches.len(), 0);
}

#[test]
fn a_watch_lasts_as_long_as_its_request() {
    let mut node = running();
    for _ in 0..3 {
        let ask = watch(1, seen(token(1), 0));
        node.peer(id(1), vec![PeerMessage::Ask { id: 5, deadline: DEADLINE, ask }]);
    }
    assert_eq!(node.scheduler.watches.len(), 1, "it is one watch that is repeated");
    node.ask_within(ms(1_000), 2, watch(1, seen(token(1), 0)));
    let step = node.pass(ms(3_000));
    assert_eq!(answers(&step), [failed(2, RequestError::TimedOut)]);
    assert_eq!(node.scheduler.watches.len(), 1);
    // The executor may have been started anew, or what it was asked is lost.
    let step = node.pass(ms(5_000));
    assert!(step.said.contains(&follow(0, token(1), Some(0))), "{step:?}");
    node.pass(ms(60_000));
    assert_eq!(node.scheduler.watches.len(), 0, "whoever asked is gone");
}

#[test]
fn a_task_that_runs_is_shown_with_how_far_it_is() {
    let mut node = running();
    let step = node.ask(2, Ask::Show { task: task(1) });
    assert_eq!(step.said, [follow(0, token(1), None)]);
    let words = Words { progress: Some(Progress::new(1, 2)), ..words(3, 30) };
    let step = node.executor(says(0, token(1), words.clone(), false));
    let live = |effects: &[Effect]| match effects {
        [Effect::Answer { answer: Answer::View(view), .. }] => {
            let View { live, args, .. } = &**view;
            assert!(args.is_some());
            live.clone()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(live(&answers(&step)), Some(Live::Says(words.tail())));
    // An executor that does not answer is not waited for.
    assert_eq!(answers(&node.ask(3, Ask::Show { task: task(1) })), []);
    assert_eq!(live(&answers(&node.pass(ms(700)))), Some(Live::Silent));
    // One that has ended meanwhile has no more to say.
    node.ask(4, Ask::Show { task: task(1) });
    node.executor(ended(lessee(0), 1, token(1), success()));
    assert_eq!(live(&answers(&node.settle())), None);
}

#[test]
fn what_is_said_of_another_run_is_nobody_elses_news() {
    let mut node = running();
    node.ask(2, watch(1, seen(token(1), 0)));
    let other = Token { position: 9, ..token(1) };
    assert_eq!(answers(&node.executor(says(0, other, words(0, 2), false))), []);
    assert_eq!(answers(&node.executor(says(3, token(1), words(0, 2), true))), []);
    // It would miss the first.
    assert_eq!(answers(&node.executor(says(0, token(1), words(1, 2), false))), []);
}
