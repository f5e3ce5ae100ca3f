//! Names of tasks and queues: known somewhere, or refused with what they may have been meant for.

use super::*;
use crate::partition::{Command, Refusal};
use crate::task::{FilledIn, Options, Template};
use crate::wire::{Answer, Ask, Declaration, ExecutorSays, Queue, RequestError};

fn submit_as(name: &str, queue: &str) -> Ask {
    let template = Template { queue: queue.to_owned(), ..Template::new(name) };
    Ask::Submit { batch: batch_of(template, &[1]), wait: false }
}

fn unknown_task(name: &str, known: &[&str]) -> RequestError {
    let known = known.iter().map(|&name| name.to_owned()).collect();
    RequestError::UnknownTask { name: name.to_owned(), known }
}

fn unknown_queue(name: &str, known: &[&str]) -> RequestError {
    let known = known.iter().map(|&name| name.to_owned()).collect();
    RequestError::UnknownQueue { name: name.to_owned(), known }
}

/// The templates of the submission that `step` writes.
fn written(step: &Step) -> Vec<Template> {
    match &step.entries[..] {
        [commands] => match &commands[..] {
            [Command::Accept { batch, .. }] => batch.templates.clone(),
            other => panic!("not one submission: {other:?}"),
        },
        other => panic!("not one entry: {other:?}"),
    }
}

#[test]
fn unknown_names_are_refused_with_those_that_are_alike() {
    let mut node = Node::alone(1);
    let tries = [
        (submit_as("ad", ""), unknown_task("ad", &["add"])),
        (submit_as("invoice", ""), unknown_task("invoice", &[])),
        (submit_as("add", "mails"), unknown_queue("mails", &["mail"])),
        (submit_as("add", "reports"), unknown_queue("reports", &[])),
    ];
    for (request, (ask, error)) in (1..).zip(tries) {
        let step = node.ask(request, ask);
        assert_eq!(step.said, [failed(request, error)]);
        assert!(step.entries.is_empty());
    }
}

#[test]
fn what_is_only_known_elsewhere_is_known() {
    let mut node = Node::alone(1);
    let mut profile = profile(0);
    profile.tasks = vec![Declaration { name: "far".to_owned(), ..profile.tasks[0].clone() }];
    profile.queues = vec![Queue { name: "rare".to_owned(), pool: None, priority: None }];
    node.far_executor(ExecutorSays::Introduce { lessee: lessee(1), profile });
    let step = node.ask(1, submit_as("far", "rare"));
    assert_eq!(written(&step), [Template { queue: "rare".to_owned(), ..Template::new("far") }]);
}

#[test]
fn what_a_submission_leaves_open_is_as_declared() {
    let mut node = Node::alone(1);
    let declared = Options {
        priority: None,
        attempts_max: Some(9),
        backoff_first: Some(ms(3)),
        backoff_max: Some(ms(4)),
        ..Options::default()
    };
    let mut profile = profile(1);
    profile.tasks[0].options = declared.clone();
    profile.tasks[0].queue = "mail".to_owned();
    profile.queues[1].priority = Some(6);
    node.executor(ExecutorSays::Introduce { lessee: lessee(0), profile });
    let step = node.ask(1, submit_as("add", ""));
    node.settle();
    let options = Options { priority: Some(6), ..declared };
    let filled_in = FilledIn {
        queue: true,
        priority: true,
        attempts_max: true,
        backoff_first: true,
        backoff_max: true,
        ..FilledIn::default()
    };
    let queue = "mail".to_owned();
    assert_eq!(written(&step), [Template { queue, options, filled_in, ..Template::new("add") }]);

    let said = Options {
        priority: Some(1),
        attempts_max: Some(2),
        backoff_first: Some(ms(5)),
        backoff_max: Some(ms(6)),
        ..Options::default()
    };
    let full = Template { options: said, queue: "default".to_owned(), ..Template::new("add") };
    let ask = Ask::Submit { batch: batch_of(full.clone(), &[2]), wait: false };
    assert_eq!(written(&node.ask(2, ask)), [full], "what it says itself counts");
}

#[test]
fn a_name_that_may_yet_be_introduced_is_waited_for() {
    let mut node = Node::blank(0);
    node.found(1, 1);
    node.settle();
    assert_eq!(node.ask(1, submit(&[1])).said, []);
    node.pass(ms(2_000));
    node.introduce(lessee(0), 1);
    let step = node.pass(ms(100));
    assert_eq!(step.entries, [[accept(&[1], lessee(0), 1)]]);
}

#[test]
fn a_name_that_is_not_introduced_in_time_is_unknown() {
    let mut node = Node::blank(0);
    node.found(1, 1);
    node.settle();
    node.ask(1, submit(&[1]));
    assert_eq!(answers(&node.pass(ms(2_900))), []);
    assert_eq!(answers(&node.pass(ms(100))), [failed(1, unknown_task("add", &[]))]);
}

#[test]
fn what_the_node_itself_declares_comes_before_what_others_do() {
    let mut node = Node::blank(1);
    node.found(1, 1);
    node.settle();
    let declared_at = |n: u16| {
        let mut profile = profile(0);
        profile.tasks[0].options.attempts_max = Some(10 + n);
        ExecutorSays::Introduce { lessee: lessee(n), profile }
    };
    node.far_executor(declared_at(0));
    node.executor(declared_at(1));
    let step = node.ask(1, submit_as("add", ""));
    assert_eq!(written(&step)[0].options.attempts_max, Some(11));
}

/// What `add` is declared with.
fn declared(queue: &str, options: Options) -> ExecutorSays {
    let mut profile = profile(1);
    profile.tasks[0].options = options;
    profile.tasks[0].queue = queue.to_owned();
    ExecutorSays::Introduce { lessee: lessee(0), profile }
}

#[test]
fn a_changed_declaration_does_not_make_the_same_submission_another() {
    let mut node = Node::alone(1);
    let twice = Options { attempts_max: Some(2), backoff_first: Some(ms(7)), ..Options::default() };
    node.executor(declared("mail", twice));
    node.ask_and_settle(1, submit_as("add", ""));
    let changed = Options { attempts_max: Some(5), priority: Some(3), ..Options::default() };
    node.executor(declared("default", changed));
    let known = answer(2, Answer::Submitted { refused: Vec::new(), known: 1 });
    assert_eq!(answers(&node.ask_and_settle(2, submit_as("add", ""))), [known]);
    // To say what the first try came to mean is to say something else.
    let explicit = [
        (submit_as("add", "mail"), 3),
        (submit_with(Options { attempts_max: Some(2), ..Options::default() }, 1), 4),
    ];
    for (ask, request) in explicit {
        let step = node.ask_and_settle(request, ask);
        assert_eq!(answers(&step), [refused(request, &[(0, Refusal::Conflict)])]);
    }
}

#[test]
fn what_a_caller_pretends_to_have_been_filled_in_is_not() {
    let mut node = Node::alone(1);
    let mut template = template();
    template.options.attempts_max = Some(7);
    template.filled_in = FilledIn { queue: true, attempts_max: true, ..FilledIn::default() };
    let step = node.ask(1, Ask::Submit { batch: batch_of(template, &[1]), wait: false });
    let filled_in = FilledIn { queue: true, ..FilledIn::default() };
    let queue = "default".to_owned();
    assert_eq!(written(&step), [Template { queue, filled_in, ..Template::new("add") }]);
}
