//! Requests that are passed on to the owner of their partition, wherever it is.

use super::*;
use crate::id::{GroupId, NodeId};
use crate::membership::Liveness;
use crate::partition::Refusal;
use crate::placement::ranking;
use crate::task::{Batch, Filter, Obstacle, View};
use crate::wire::{Answer, Ask, PeerMessage, RequestError};

/// A cluster of four with one copy of everything, and the node of it that would own task 1 last.
fn with_asker() -> (Network, usize) {
    let network = Network::formed(4, 1);
    let ranked = ranking(GroupId::of(HERE), (0..4).map(id));
    let asker = network.index(ranked[3]);
    assert_eq!(network.owner(HERE), network.index(ranked[0]));
    (network, asker)
}

fn messages_to(step: &Step, node: NodeId) -> Vec<PeerMessage> {
    let sent = step.said.iter().flat_map(|effect| match effect {
        Effect::Send { to, messages, .. } if *to == node => messages.as_slice(),
        _ => &[],
    });
    sent.cloned().collect()
}

/// The requests that are passed on in `step`: to whom, under which number, what.
fn passed_on(step: &Step) -> Vec<(NodeId, u64, Ask)> {
    let mut passed_on = Vec::new();
    for effect in &step.said {
        if let Effect::Send { to, messages, .. } = effect {
            for message in messages {
                if let PeerMessage::Ask { id, ask, .. } = message {
                    passed_on.push((*to, *id, ask.clone()));
                }
            }
        }
    }
    passed_on
}

/// Asks something of task 1 at a node that does not own it; whom that asks, and under which number.
fn ask(network: &mut Network, asker: usize, what: Ask) -> (NodeId, u64) {
    let step = network.nodes[asker].ask(1, what.clone());
    let [(to, id, passed_on)] = &passed_on(&step)[..] else {
        panic!("not passed on once: {step:?}");
    };
    assert_eq!((answers(&step), passed_on), (Vec::new(), &what));
    (*to, *id)
}

fn reply(node: &mut Node, from: NodeId, id: u64, answer: Answer) -> Step {
    node.peer(from, vec![PeerMessage::Answer { id, answer }])
}

fn not_owner(owner: Option<NodeId>) -> Answer {
    Answer::Failed(RequestError::NotOwner { partition: HERE, owner })
}

const TAKEN_IN: Answer = Answer::Submitted { refused: Vec::new(), known: 0 };

#[test]
fn any_node_takes_any_request() {
    let mut network = Network::formed(3, 3);
    for at in 0..3 {
        let n = at as u64 + 1;
        network.ask(at, 1, submit(&[n]));
        assert_eq!(network.take_answers(), [(at, 1, TAKEN_IN)]);
        network.ask(at, 2, Ask::Show { task: task(n) });
        let submitted_at = network.nodes[0].now.wall;
        let obstacle = Some(Obstacle::NoResource);
        let shown = Answer::View(Box::new(View { submitted_at, obstacle, ..shown(n) }));
        assert_eq!(network.take_answers(), [(at, 2, shown)]);
        network.ask(at, 3, Ask::Show { task: task(99) });
        let missing = Answer::Failed(RequestError::NotFound { task: task(99) });
        assert_eq!(network.take_answers(), [(at, 3, missing)]);
    }
}

#[test]
fn a_request_is_passed_on_to_the_owner_and_its_answer_back() {
    let (mut network, asker) = with_asker();
    let owner = network.owner(HERE);
    let (to, number) = ask(&mut network, asker, submit(&[1]));
    assert_eq!(to, network.node_id(owner));
    let passed_on = PeerMessage::Ask { id: number, deadline: DEADLINE, ask: submit(&[1]) };
    let asker_id = network.node_id(asker);
    let step = network.nodes[owner].peer(asker_id, vec![passed_on]);
    assert_eq!(step.entries.len(), 1);
    assert_eq!(step.said, [], "it is not durable yet");
    let step = network.nodes[owner].settle();
    let answered = PeerMessage::Answer { id: number, answer: TAKEN_IN };
    assert!(messages_to(&step, asker_id).contains(&answered), "{step:?}");
    let step = reply(&mut network.nodes[asker], to, number, TAKEN_IN);
    assert_eq!(step.said, [submitted(1)]);
    let step = reply(&mut network.nodes[asker], to, number, TAKEN_IN);
    assert_eq!(step.said, [], "one answer is enough");
}

#[test]
fn what_the_owner_refuses_is_told_as_it_is() {
    let (mut network, asker) = with_asker();
    network.ask(asker, 1, submit(&[1]));
    let other = Batch::one(task(1), template(), args(2));
    network.ask(asker, 2, Ask::Submit { batch: other.into(), wait: false });
    let conflict = Answer::Submitted { refused: vec![(0, Refusal::Conflict)], known: 0 };
    assert_eq!(network.take_answers(), [(asker, 1, TAKEN_IN), (asker, 2, conflict)]);
}

#[test]
fn only_who_was_asked_can_answer() {
    let (mut network, asker) = with_asker();
    let (to, number) = ask(&mut network, asker, submit(&[1]));
    let node = &mut network.nodes[asker];
    assert_eq!(reply(node, NodeId(77), number, TAKEN_IN).said, []);
    assert_eq!(reply(node, to, number + 1, TAKEN_IN).said, []);
    assert_eq!(reply(node, to, number, TAKEN_IN).said, [submitted(1)]);
}

#[test]
fn a_node_that_is_not_the_owner_says_who_is() {
    let (mut network, asker) = with_asker();
    let owner = network.node_id(network.owner(HERE));
    let passed_on = PeerMessage::Ask { id: 9, deadline: DEADLINE, ask: submit(&[1]) };
    let said = network.nodes[asker].peer(owner, vec![passed_on]).said;
    let answer = not_owner(Some(owner));
    assert_eq!(said, [send(owner, PeerMessage::Answer { id: 9, answer })]);
}

#[test]
fn a_request_follows_its_partition() {
    let (mut network, asker) = with_asker();
    let owner = network.owner(HERE);
    let third = *network.others(HERE).iter().find(|at| **at != asker).unwrap();
    let third = network.node_id(third);
    let (to, number) = ask(&mut network, asker, submit(&[1]));
    assert_eq!(to, network.node_id(owner));
    let node = &mut network.nodes[asker];
    assert_eq!(reply(node, to, number, not_owner(Some(third))).said, []);
    let step = node.pass(ms(100));
    assert_eq!(passed_on(&step), [(third, number, submit(&[1]))]);
    assert_eq!(reply(node, third, number, TAKEN_IN).said, [submitted(1)]);
    // It has learned something.
    assert_eq!(passed_on(&node.ask(2, submit(&[2])))[0].0, third);
}

#[test]
fn a_request_that_nobody_answers_is_repeated_under_its_number() {
    let (mut network, asker) = with_asker();
    let (to, number) = ask(&mut network, asker, submit(&[1]));
    let node = &mut network.nodes[asker];
    assert_eq!(passed_on(&node.pass(ms(2_000))), []);
    for _ in 0..3 {
        assert_eq!(passed_on(&node.pass(ms(100))), [(to, number, submit(&[1]))]);
        assert_eq!(passed_on(&node.pass(ms(2_000))), []);
    }
}

#[test]
fn a_request_is_taken_from_a_node_that_is_suspected() {
    let (mut network, asker) = with_asker();
    let (to, number) = ask(&mut network, asker, submit(&[1]));
    let owner = network.index(to);
    let suspected = network.lessee(owner);
    let node = &mut network.nodes[asker];
    node.hear_of(suspected, Liveness::Suspect);
    let step = node.pass(ms(100));
    let [(next, again, _)] = &passed_on(&step)[..] else {
        panic!("not passed on once: {step:?}");
    };
    assert!(*next != to && *again == number);
    // That one knows no owner either; the request waits until there is one.
    let next = *next;
    reply(node, next, number, not_owner(None));
    node.hear_of(suspected, Liveness::Alive);
    let step = node.pass(ms(100));
    assert_eq!(passed_on(&step), [(to, number, submit(&[1]))]);
}

#[test]
fn a_forming_owner_is_asked_again() {
    let (mut network, asker) = with_asker();
    let (to, number) = ask(&mut network, asker, submit(&[1]));
    let node = &mut network.nodes[asker];
    let forming = Answer::Failed(RequestError::Forming { missing: "copies".to_owned() });
    assert_eq!(reply(node, to, number, forming).said, []);
    assert_eq!(passed_on(&node.pass(ms(100))), [(to, number, submit(&[1]))]);
}

#[test]
fn whoever_waits_at_another_node_is_told_when_the_task_ends() {
    let (mut network, asker) = with_asker();
    let owner = network.owner(HERE);
    let lessee = network.lessee(owner);
    network.executor(owner, granted(lessee, 1));
    network.ask(asker, 1, submit_and_wait(&[1]));
    network.ask(asker, 2, Ask::Wait { task: task(1) });
    assert_eq!(network.take_answers(), [(asker, 1, TAKEN_IN)]);
    // Both are repeated meanwhile.
    network.pass(ms(30_000));
    assert_eq!(network.take_answers(), []);
    let (_, run) = network.dispatched(owner)[0].clone();
    network.executor(owner, ended(lessee, 1, run.token, success()));
    let told = network.take_answers();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|(at, _, _)| *at == asker));
    assert!(told.iter().any(|(_, n, answer)| *n == 1 && matches!(answer, Answer::Finished(_))));
    assert!(told.iter().any(|(_, n, answer)| *n == 2 && matches!(answer, Answer::View(_))));
}

#[test]
fn a_list_holds_what_all_owners_have() {
    let mut network = Network::formed(4, 1);
    assert_ne!(network.owner(HERE), network.owner(partition(101)), "else this shows nothing");
    network.ask(0, 1, submit(&[1]));
    network.ask(0, 2, submit(&[101]));
    network.take_answers();
    for at in 0..4 {
        network.ask(at, 3, Ask::List(Filter { limit: 9, ..Filter::default() }));
        let told = network.take_answers();
        let [(_, 3, Answer::Tasks { tasks: views, .. })] = &told[..] else {
            panic!("no list: {told:?}");
        };
        assert_eq!(views.iter().map(|view| view.id).collect::<Vec<_>>(), [task(101), task(1)]);
        network.ask(at, 4, Ask::List(Filter { limit: 1, ..Filter::default() }));
        let told = network.take_answers();
        let is_newest = |views: &[View]| views.len() == 1 && views[0].id == task(101);
        assert!(
            matches!(&told[..], [(_, 4, Answer::Tasks { tasks: views, .. })] if is_newest(views)),
            "{told:?}"
        );
    }
}

#[test]
fn a_list_goes_without_a_member_that_does_not_answer() {
    let mut network = Network::formed(4, 1);
    let (silent, here) = (network.owner(partition(101)), network.owner(HERE));
    network.ask(here, 1, submit(&[1]));
    network.ask(here, 2, submit(&[101]));
    network.take_answers();
    network.apart.insert(silent);
    network.ask(here, 3, Ask::List(Filter { limit: 9, ..Filter::default() }));
    network.pass(ms(2_000));
    assert_eq!(network.take_answers(), []);
    network.pass(ms(100));
    let told = network.take_answers();
    assert!(
        matches!(&told[..], [(_, 3, Answer::Tasks { tasks: views, .. })] if views.len() == 1),
        "{told:?}"
    );
}

#[test]
fn so_many_lists_are_made_at_a_time_and_none_for_who_has_gone() {
    let mut network = Network::formed(4, 1);
    let (silent, here) = (network.owner(partition(101)), network.owner(HERE));
    network.apart.insert(silent);
    let list = || Ask::List(Filter::default());
    for request in 0..256 {
        network.ask(here, request, list());
    }
    assert_eq!(network.take_answers(), []);
    network.ask(here, 256, list());
    let is_too_much =
        |answer: &Answer| matches!(answer, Answer::Failed(RequestError::Overloaded { .. }));
    let told = network.take_answers();
    assert!(matches!(&told[..], [(_, 256, answer)] if is_too_much(answer)), "{told:?}");
    network.step(here, Event::CallerGone { session: SESSION });
    network.pass(ms(200));
    network.ask(here, 257, list());
    assert_eq!(network.take_answers(), [], "there is room again");
    network.pass(ms(2_100));
    let told = network.take_answers();
    assert!(matches!(&told[..], [(_, 257, Answer::Tasks { .. })]), "{told:?}");
}
