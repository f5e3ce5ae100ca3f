//! Requests from their arrival to their one answer, at a node that owns all partitions.

use super::*;
use crate::id::{PartitionId, TaskId};
use crate::journal::Live;
use crate::partition::Refusal;
use crate::scheduler::Effect::Execute;
use crate::task::{
    Batch, Filter, Metadata, Obstacle, Particulars, Phase, Row, RunView, State, States, Template,
    View,
};
use crate::wire::{Answer, Ask, ExecutorSays, Request, RequestError, Share};

fn show(n: u64) -> Ask {
    Ask::Show { task: task(n) }
}

fn wait(n: u64) -> Ask {
    Ask::Wait { task: task(n) }
}

/// Whether `step` answers request `request` with task `n` in `state`.
#[track_caller]
fn assert_shows(step: &Step, request: u64, n: u64, state: State) {
    let views = step.said.iter().filter_map(|effect| match effect {
        Effect::Answer { caller, answer: Answer::View(view), is_last: _ } => {
            Some((caller.request, view.id, view.state))
        }
        _ => None,
    });
    assert_eq!(views.collect::<Vec<_>>(), [(request, task(n), state)]);
}

#[test]
fn a_task_is_shown_as_it_is_on_record() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1, 2]));
    let run = RunView { node: id(0), started_at: START, finished_at: None, end: None, error: None };
    let running =
        View { state: State::Leased, attempts: 1, node: Some(id(0)), runs: vec![run], ..shown(1) };
    // Its executor says nothing of it here, and is not waited for.
    let running = View { live: Some(Live::Silent), ..running };
    node.ask(2, show(1));
    assert_eq!(answers(&node.pass(ms(600))), [answer(2, Answer::View(Box::new(running)))]);
    let waiting = View { obstacle: Some(Obstacle::Slots), ..shown(2) };
    assert_eq!(node.ask(3, show(2)).said, [answer(3, Answer::View(Box::new(waiting)))]);
}

#[test]
fn a_task_that_nobody_knows_is_not_found() {
    let mut node = Node::alone(1);
    for (request, ask) in [(1, show(5)), (2, wait(5))] {
        let said = node.ask(request, ask).said;
        assert_eq!(said, [failed(request, RequestError::NotFound { task: task(5) })]);
    }
}

#[test]
fn whoever_waits_is_told_when_the_task_ends() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1]));
    assert_eq!(node.ask_and_settle(2, wait(1)).said, []);
    assert_eq!(node.pass(ms(1_000)).said, []);
    let step = node.executor(ended(lessee(0), 1, token(1), success()));
    assert_eq!(step.said, []);
    assert_shows(&node.settle(), 2, 1, State::Succeeded);
    // And at once if it has ended.
    assert_shows(&node.ask(3, wait(1)), 3, 1, State::Succeeded);
}

#[test]
fn a_submission_that_waits_has_two_answers() {
    let mut node = Node::alone(1);
    let step = node.ask_and_settle(1, submit_and_wait(&[1]));
    assert_eq!(step.said[..1], [submitted(1)]);
    node.executor(ended(lessee(0), 1, token(1), success()));
    let said = node.settle().said;
    assert!(matches!(
        &said[..],
        [Effect::Answer { answer: Answer::Finished(ends), .. }, Execute(_)]
            if ends.len() == 1
    ));
    // Nobody waits any more.
    assert_eq!(node.pass(DEADLINE).said, []);
}

#[test]
fn a_submission_none_of_which_is_taken_in_has_one_answer() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1]));
    let other = Batch::one(task(1), template(), args(2));
    let step = node.ask_and_settle(2, Ask::Submit { batch: other.into(), wait: true });
    assert_eq!(step.said, [refused(2, &[(0, Refusal::Conflict)])]);
    assert_eq!(answers(&node.pass(DEADLINE)), []);
}

#[test]
fn a_wait_ends_at_its_deadline_and_the_task_goes_on() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1]));
    node.executor(ExecutorSays::Beat { lessee: lessee(0), runs: vec![] });
    node.ask_within(ms(1_000), 2, wait(1));
    assert_eq!(node.pass(ms(999)).said, []);
    assert_eq!(node.pass(ms(1)).said, [failed(2, RequestError::TimedOut)]);
    node.executor(ended(lessee(0), 1, token(1), success()));
    assert_eq!(node.settle().said, [Execute(closed(&[(1, token(1))]))], "no second answer");
}

#[test]
fn an_acknowledged_submission_that_does_not_end_in_time_goes_on() {
    let mut node = Node::alone(1);
    let ask = submit_and_wait(&[1]);
    node.ask_within(ms(1_000), 1, ask);
    node.settle();
    assert_eq!(node.pass(ms(1_000)).said, [failed(1, RequestError::TimedOut)]);
    assert_eq!(node.record(task(1)).unwrap().state(), State::Leased);
}

#[test]
fn what_is_not_durable_in_time_is_unknown_and_can_be_found_out() {
    let mut node = Node::alone(1);
    node.is_stuck = true;
    node.ask_within(ms(1_000), 1, submit(&[1]));
    assert_eq!(node.pass(ms(1_000)).said, [failed(1, RequestError::Unknown)]);
    let started = Execute(dispatch(lessee(0), &[(1, token(1))]));
    assert_eq!(node.persisted().said, [started], "not answered twice");
    let known = Answer::Submitted { refused: Vec::new(), known: 1 };
    assert_eq!(node.ask_and_settle(2, submit(&[1])).said, [answer(2, known)]);
}

#[test]
fn what_found_no_owner_in_time_was_not_done() {
    let mut node = Node::blank(0);
    let asks = [submit(&[1]), Ask::Cancel { task: task(1) }, show(101)];
    for (request, ask) in (1..).zip(asks) {
        assert_eq!(node.ask_within(ms(500), request, ask).said, []);
    }
    assert_eq!(node.pass(ms(499)).said, []);
    let no_quorum =
        |request, p| failed(request, RequestError::NoQuorum { partition: PartitionId(p) });
    assert_eq!(node.pass(ms(1)).said, [no_quorum(1, 0), no_quorum(2, 0), no_quorum(3, 1)]);
}

#[test]
fn a_request_waits_for_its_owner() {
    let mut node = Node::blank(0);
    assert_eq!(node.ask(1, submit(&[1])).said, []);
    assert_eq!(node.pass(ms(1_000)).said, []);
    node.found(1, 1);
    node.settle();
    node.introduce(lessee(0), 1);
    let step = node.pass(ms(100));
    assert_eq!(step.entries, [[accept(&[1], lessee(0), 1)]]);
    assert_eq!(step.said, [submitted(1), Execute(dispatch(lessee(0), &[(1, token(1))]))]);
}

#[test]
fn nothing_is_answered_to_whoever_is_gone() {
    let mut node = Node::alone(1);
    node.ask(1, submit(&[1]));
    let other = Caller { session: SESSION + 1, request: 1 };
    let request = Request { deadline: DEADLINE, ask: submit(&[1]) };
    node.step(Event::Asked { caller: other, request });
    node.step(Event::CallerGone { session: SESSION });
    let known = Answer::Submitted { refused: Vec::new(), known: 1 };
    let started = Execute(dispatch(lessee(0), &[(1, token(1))]));
    let told = Effect::Answer { caller: other, answer: known, is_last: true };
    assert_eq!(node.settle().said, [started, told], "what was submitted is done all the same");
    node.ask(2, wait(1));
    node.step(Event::CallerGone { session: SESSION });
    node.executor(ended(lessee(0), 1, token(1), success()));
    assert_eq!(node.settle().said, [Execute(closed(&[(1, token(1))]))]);
    assert_eq!(node.pass(DEADLINE).said, []);
}

#[test]
fn a_node_that_is_no_member_says_so_at_once() {
    let mut node = Node::blank(0);
    for (request, ask) in [(1, Ask::Status), (2, Ask::Welcome)] {
        let said = node.ask(request, ask).said;
        assert!(
            matches!(
                &said[..],
                [Effect::Answer { answer: Answer::Failed(RequestError::Forming { .. }), .. }]
            ),
            "{said:?}"
        );
    }
}

#[test]
fn tasks_are_listed_newest_first() {
    let mut node = Node::alone(1);
    let mail = Template { queue: "mail".to_owned(), ..template() };
    node.ask_and_settle(1, submit(&[1, 2, 3]));
    node.ask_and_settle(2, Ask::Submit { batch: batch_of(mail.clone(), &[4]), wait: false });
    node.ask_and_settle(3, Ask::Submit { batch: batch_of(mail, &[101]), wait: false });
    let mut listed = |states, queue: Option<&str>, limit| -> Vec<u64> {
        let ask = Ask::List(Filter {
            states,
            queue: queue.map(str::to_owned),
            limit,
            ..Filter::default()
        });
        let said = node.ask(9, ask).said;
        let [Effect::Answer { answer: Answer::Tasks { tasks: views, .. }, .. }] = &said[..] else {
            panic!("no list: {said:?}");
        };
        let all = [1, 2, 3, 4, 101];
        views.iter().filter_map(|view| all.into_iter().find(|n| task(*n) == view.id)).collect()
    };
    assert_eq!(listed(States::ALL, None, 99), [101, 4, 3, 2, 1]);
    assert_eq!(listed(States::ALL, None, 2), [101, 4]);
    assert_eq!(listed(State::Leased.into(), None, 99), [1]);
    assert_eq!(listed(State::Ready.into(), Some("default"), 99), [3, 2]);
    assert_eq!(listed(States::OPEN, Some("default"), 99), [3, 2, 1]);
    assert_eq!(listed(States::ALL, Some("mail"), 99), [101, 4]);
    assert_eq!(listed(State::Dead.into(), None, 99), Vec::<u64>::new());
    assert_eq!(listed(States::NONE, None, 99), Vec::<u64>::new());
}

#[test]
fn tasks_are_found_by_their_labels_and_shown_without_what_is_hidden() {
    let mut node = Node::alone(1);
    let mut hiding = template();
    hiding.options.redact = Some(vec!["password".into(), "token".into()]);
    let mut said =
        Metadata { labels: "tenant=acme,step=1".parse().unwrap(), ..Metadata::default() };
    said.headers.insert("token", "t-1").unwrap();
    said.headers.insert("locale", "de").unwrap();
    let row = |n, args: &'static str, said: &Metadata| Row {
        particulars: Particulars { fairness_key: Some("acme".into()), ..Particulars::NONE }
            .with_metadata(said.clone())
            .boxed(),
        ..Row::new(task(n), 0, args.into())
    };
    let args = r#"{"user":"x","password":"p"}"#;
    let other = Metadata { labels: "tenant=other".parse().unwrap(), ..Metadata::default() };
    let rows = vec![row(1, args, &said), row(2, args, &other), row(3, args, &Metadata::default())];
    let batch = Batch { templates: vec![hiding], rows }.into();
    node.ask_and_settle(1, Ask::Submit { batch, wait: false });

    let mut listed = |labels: &str| -> Vec<View> {
        let labels = labels.parse().unwrap();
        let said = node.ask(9, Ask::List(Filter { limit: 99, labels, ..Filter::default() })).said;
        let [Effect::Answer { answer: Answer::Tasks { tasks: views, .. }, .. }] = &said[..] else {
            panic!("no list: {said:?}");
        };
        views.clone()
    };
    let ids = |views: Vec<View>| views.into_iter().map(|view| view.id).collect::<Vec<_>>();
    assert_eq!(ids(listed("tenant=acme")), [task(1)]);
    assert_eq!(ids(listed("tenant=acme,step=1")), [task(1)]);
    assert_eq!(ids(listed("tenant=acme,step=2")), []);
    assert_eq!(ids(listed("")), [task(3), task(2), task(1)]);
    let [view] = &listed("step=1")[..] else { panic!("it is one") };
    let meant = view.metadata.as_ref().expect("it has labels");
    assert_eq!(meant.labels, said.labels);
    assert!(meant.headers.is_empty() && view.args.is_none() && !view.left_out);

    node.ask(9, show(1));
    let shown = answers(&node.pass(ms(600)));
    let [Effect::Answer { answer: Answer::View(view), .. }] = &shown[..] else {
        panic!("no task: {shown:?}");
    };
    let hidden = r#"{"user":"x","password":"[redacted]"}"#;
    assert_eq!(view.args.as_deref(), Some(hidden.as_bytes()));
    let headers = &view.metadata.as_ref().unwrap().headers;
    assert_eq!((headers.get("token"), headers.get("locale")), (Some("[redacted]"), Some("de")));
    let treatment = view.treatment.as_deref().expect("it is shown by itself");
    assert_eq!(treatment.options.redact().len(), 2);
    let Particulars { fairness_key, metadata, .. } = &treatment.particulars;
    assert_eq!((fairness_key.as_deref(), metadata), (Some("[redacted]"), &None));
    // They reach the executor as they are.
    let record = node.record(task(1)).unwrap();
    assert_eq!(
        (&record.args[..], record.metadata().unwrap().headers.get("token")),
        (args.as_bytes(), Some("t-1"))
    );
}

#[test]
fn partitions_are_listed_as_one_and_what_has_ended_is_found_behind_what_is_open() {
    let mut node = Node::alone(3);
    let id = |n: u16| TaskId::new(START + ms(n.into()), PartitionId(n % PARTITIONS), n.into());
    let all: Vec<TaskId> = (0..6).rev().map(id).collect();
    for task in all.iter().rev() {
        let batch = Batch::one(*task, template(), args(1)).into();
        node.ask_and_settle(1, Ask::Submit { batch, wait: false });
    }
    let (open, ended) = all.split_at(3);
    for task in ended {
        let Phase::Leased(lease) = node.record(*task).unwrap().phase() else {
            panic!("the oldest have the slots");
        };
        let outcomes = vec![(*task, lease.token, success())];
        node.executor(ExecutorSays::Outcomes { lessee: lessee(0), outcomes });
        node.settle();
    }
    let mut listed = |states, limit| -> Vec<TaskId> {
        let said = node.ask(9, Ask::List(Filter { states, limit, ..Filter::default() })).said;
        let [Effect::Answer { answer: Answer::Tasks { tasks: views, .. }, .. }] = &said[..] else {
            panic!("no list: {said:?}");
        };
        views.iter().map(|view| view.id).collect()
    };
    let ready_or_ended = States::of(&[State::Ready, State::Succeeded]);
    let states = [
        (States::ALL, &all[..]),
        (ready_or_ended, &all[..]),
        (States::OPEN, open),
        (State::Ready.into(), open),
        (State::Succeeded.into(), ended),
    ];
    for (states, wanted) in states {
        for limit in 0..8 {
            let newest = wanted.iter().take(limit as usize).copied().collect::<Vec<_>>();
            assert_eq!(listed(states, limit), newest, "{limit} of {states:?}");
        }
    }
    assert_eq!(listed(State::Dead.into(), 9), []);
}

#[test]
fn a_client_learns_where_to_submit_and_how_the_node_is() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1, 2]));
    let said = node.ask(2, Ask::Welcome).said;
    let [Effect::Answer { answer: Answer::Welcome(welcome), .. }] = &said[..] else {
        panic!("no welcome: {said:?}");
    };
    assert_eq!(welcome.cluster, CLUSTER);
    assert_eq!((welcome.node, welcome.partitions), (id(0), PARTITIONS));
    assert_eq!(welcome.owned, [PartitionId(0), PartitionId(1)]);
    assert_eq!(welcome.members.len(), 1);
    assert_eq!(welcome.members[0].pid, 77);
    let said = node.ask(3, Ask::Status).said;
    let [Effect::Answer { answer: Answer::Status(status), .. }] = &said[..] else {
        panic!("no status: {said:?}");
    };
    assert_eq!((status.partitions_owned, status.partitions_whole), (PARTITIONS, PARTITIONS));
    assert_eq!((status.open, status.running), (2, 1));
    let copies = u64::from(PARTITIONS) + 1;
    let share = Share { has_told: true, owned: PARTITIONS, open: 2, running: 1, copies };
    assert_eq!((status.share(id(0)), status.share(id(1))), (share, Share::default()));
}
