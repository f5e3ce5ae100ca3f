//! Forming a cluster, and being taken into one.

use super::*;
use crate::id::{ClusterId, Incarnation};
use crate::membership::Liveness;
use crate::meta::{Join, JoinRefusal, Meta};
use crate::scheduler::Effect::{Admitted, Joined, Meet, Refused, Spoken};
use crate::scheduler::{Effect, Event};
use crate::task::Filter;
use crate::wire::hello::Versions;
use crate::wire::{Answer, Ask, PeerMessage, RequestError};

fn meet(n: u16) -> Effect {
    let Join { node, address, .. } = join(n);
    Meet { node, address }
}

/// Word of the members 0 to `members`.
fn members(members: u16) -> Effect {
    Effect::Members((0..members).map(id).collect())
}

/// What the cluster is when nodes 0 to `members` have joined in this order.
fn meta(members: u16) -> Meta {
    let mut meta = Meta::new(CLUSTER, "test".to_owned(), PARTITIONS, 1, 1);
    for n in 0..members {
        meta.admit(join(n), START);
    }
    meta
}

#[test]
fn nobody_hears_of_a_cluster_before_it_is_durable() {
    let mut node = Node::blank(0);
    assert_eq!(node.found(1, 1).said, []);
    assert_eq!(node.scheduler.meta(), None);
    assert_eq!(
        node.settle().said,
        [members(1), Joined(CLUSTER), Spoken(Versions::OWN.max), Admitted]
    );
    assert_eq!(node.scheduler.meta(), Some(&meta(1)));
    assert!(node.owns(partition(1)) && node.owns(partition(101)));
}

#[test]
fn a_member_forms_no_other_cluster() {
    let mut node = Node::alone(0);
    node.found(1, 1);
    assert!(!node.is_writing());
    assert_eq!(node.scheduler.meta(), Some(&meta(1)));
}

#[test]
fn whoever_was_taken_into_a_cluster_forms_no_other() {
    let mut node = Node::blank(1);
    node.peer(id(0), vec![PeerMessage::Meta(Box::new(meta(2)))]);
    node.found(1, 1);
    assert!(!node.is_writing());
    assert_eq!(node.scheduler.meta(), Some(&meta(2)));
}

#[test]
fn who_has_just_come_is_not_taken_to_be_gone_though_nobody_has_told_of_it() {
    let mut node = Node::blank(1);
    node.pass(ms(60_000));
    node.peer(id(0), vec![PeerMessage::Meta(Box::new(meta(2)))]);
    assert_eq!(node.scheduler.liveness(id(0)), Liveness::Suspect);
    node.pass(ms(10_000));
    assert_eq!(node.scheduler.liveness(id(0)), Liveness::Suspect);
    node.pass(ms(1_000));
    assert_eq!(node.scheduler.liveness(id(0)), Liveness::Down);
    let (incarnation, liveness) = (Incarnation(1), Liveness::Alive);
    node.step(Event::Liveness { node: id(0), incarnation, liveness });
    assert_eq!(node.scheduler.liveness(id(0)), Liveness::Alive);
}

#[test]
fn a_list_that_waited_for_this_node_to_join_asks_all_others_once() {
    let mut node = Node::blank(1);
    assert_eq!(node.ask_within(ms(5_000), 1, Ask::List(Filter::default())).said, []);
    node.peer(id(0), vec![PeerMessage::Meta(Box::new(meta(2)))]);
    let (incarnation, liveness) = (Incarnation(1), Liveness::Alive);
    node.step(Event::Liveness { node: id(0), incarnation, liveness });
    let step = node.pass(ms(1_000));
    let messages = step.said.iter().filter_map(|effect| match effect {
        Effect::Send { messages, .. } => Some(messages),
        _ => None,
    });
    let is_list =
        |message: &&PeerMessage| matches!(message, PeerMessage::Ask { ask: Ask::List(_), .. });
    assert_eq!(messages.flatten().filter(is_list).count(), 1);
}

#[test]
fn nothing_is_acknowledged_before_all_founders_hold_copies() {
    let mut node = Node::blank(0);
    node.found(3, 3);
    node.settle();
    node.introduce(lessee(0), 1);
    let step = node.ask_within(ms(5_000), 1, submit(&[1]));
    assert_eq!((step.entries.len(), step.said.len()), (0, 0));
    let step = node.pass(ms(5_000));
    assert_eq!(step.entries.len(), 0);
    assert_eq!(step.said, [failed(1, RequestError::Unknown)]);
    assert_eq!(node.record(task(1)), None);
}

#[test]
fn a_cluster_that_is_being_formed_tells_other_nodes_so() {
    let mut node = Node::blank(0);
    node.found(3, 3);
    node.settle();
    node.introduce(lessee(0), 1);
    let ask = PeerMessage::Ask { id: 5, deadline: DEADLINE, ask: submit(&[1]) };
    let said = node.peer(id(1), vec![ask]).said;
    let [Effect::Send { messages, .. }] = &said[..] else {
        panic!("no answer: {said:?}");
    };
    assert!(matches!(
        &messages[..],
        [PeerMessage::Answer { id: 5, answer: Answer::Failed(RequestError::Forming { .. }) }]
    ));
}

#[test]
fn whoever_wants_to_join_is_told_once_it_is_durable() {
    let mut node = Node::alone(0);
    assert_eq!(node.peer(id(1), vec![PeerMessage::Join(join(1))]).said, [meet(1)]);
    assert!(node.is_writing());
    let step = node.persisted();
    let welcome = Effect::Send {
        to: id(1),
        urgent: false,
        messages: vec![
            PeerMessage::Meta(Box::new(meta(2))),
            PeerMessage::Joined(Ok(CLUSTER)),
            PeerMessage::Meta(Box::new(meta(2))),
        ],
    };
    assert_eq!(step.said[..3], [meet(1), members(2), welcome]);
    // Asking again costs nothing.
    node.settle();
    node.peer(id(1), vec![PeerMessage::Join(join(1))]);
    assert_eq!(node.scheduler.meta(), Some(&meta(2)));
}

#[test]
fn whoever_cannot_join_is_told_why() {
    let mut node = Node::alone(0);
    let foreign = Join { cluster_name: "other".to_owned(), ..join(1) };
    let double = Join { name: "node-0".to_owned(), ..join(1) };
    for (join, refusal) in [
        (foreign, JoinRefusal::OtherCluster { name: "test".to_owned() }),
        (double, JoinRefusal::NameTaken { name: "node-0".to_owned() }),
    ] {
        let said = node.peer(id(1), vec![PeerMessage::Join(join)]).said;
        let [_, Effect::Send { to, messages, .. }] = &said[..] else {
            panic!("no answer: {said:?}");
        };
        assert_eq!((*to, &messages[0]), (id(1), &PeerMessage::Joined(Err(refusal))));
        assert!(!node.is_writing());
    }
}

#[test]
fn a_node_that_is_refused_stops_unless_it_is_a_member() {
    let refusal = JoinRefusal::NameTaken { name: "node-1".to_owned() };
    let refused = || vec![PeerMessage::Joined(Err(refusal.clone()))];
    let mut node = Node::blank(1);
    assert_eq!(node.peer(id(0), refused()).said, [Refused(refusal.clone())]);
    let mut node = Node::alone(0);
    assert_eq!(node.peer(id(1), refused()).said, []);
}

#[test]
fn whoever_hears_of_a_cluster_is_not_admitted_yet() {
    let mut node = Node::blank(2);
    let mut told = |meta| node.peer(id(0), vec![PeerMessage::Meta(Box::new(meta))]).said;
    let heard = told(meta(2));
    assert!(heard.contains(&Joined(CLUSTER)) && !heard.contains(&Admitted), "{heard:?}");
    assert!(told(meta(3)).contains(&Admitted));
}

fn reached(n: u16) -> Event {
    Event::Reached { node: id(n), version: Versions::OWN.max }
}

#[test]
fn a_new_node_asks_whomever_it_reaches() {
    let mut node = Node::blank(1);
    let messages = vec![PeerMessage::MetaVersion(0), PeerMessage::Join(join(1))];
    let asked = Effect::Send { to: id(0), urgent: false, messages };
    assert_eq!(node.step(reached(0)).said, [asked]);
    let mut member = Node::alone(0);
    let told = send(id(1), PeerMessage::MetaVersion(1));
    assert_eq!(member.step(reached(1)).said, [told]);
}

#[test]
fn newer_versions_of_what_the_cluster_is_replace_older_ones() {
    let mut node = Node::blank(1);
    let mut told = |meta| node.peer(id(0), vec![PeerMessage::Meta(Box::new(meta))]).said;
    assert_eq!(
        told(meta(2)),
        [meet(0), members(2), Joined(CLUSTER), Spoken(Versions::OWN.max), Admitted]
    );
    assert_eq!(told(meta(2)), []);
    assert_eq!(told(meta(1)), []);
    assert_eq!(told(meta(3)), [meet(0), meet(2), members(3)]);
    let foreign = Meta { cluster: ClusterId(9), ..meta(5) };
    assert_eq!(told(foreign), [], "two clusters that meet stay two");
    assert_eq!(node.scheduler.meta(), Some(&meta(3)));
}

#[test]
fn who_knows_more_tells_who_knows_less() {
    let mut node = Node::alone(0);
    let mut compared = |version| node.peer(id(1), vec![PeerMessage::MetaVersion(version)]).said;
    assert_eq!(compared(0), [send(id(1), PeerMessage::Meta(Box::new(meta(1))))]);
    assert_eq!(compared(1), []);
    assert_eq!(compared(2), [send(id(1), PeerMessage::MetaVersion(1))]);
}
