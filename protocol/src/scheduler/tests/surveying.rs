//! What the cluster looks like, whoever is asked.

use super::*;
use crate::id::{NodeId, PartitionId};
use crate::membership::Liveness;
use crate::wire::{Answer, Ask, Claim, Claims, PeerMessage, Share, Status};

/// What node `at` answers at once.
#[track_caller]
fn status(network: &mut Network, at: usize) -> Status {
    network.ask(at, 9, Ask::Status);
    told(network)
}

/// The one answer there is.
#[track_caller]
fn told(network: &mut Network) -> Status {
    match &network.take_answers()[..] {
        [(_, 9, Answer::Status(status))] => Status::clone(status),
        other => panic!("no status: {other:?}"),
    }
}

fn owned(status: &Status) -> (u16, u16) {
    let of_all = status.shares.values().map(|share| share.owned).sum();
    assert_eq!(status.partitions_owned, of_all, "what all own is what each owns");
    (status.partitions_owned, status.partitions_whole)
}

#[test]
fn every_node_tells_of_all_partitions_also_of_those_that_it_has_no_copy_of() {
    let mut network = Network::formed(5, 3);
    let holds =
        |node: &Node| node.scheduler.copies().filter(|copy| copy.partition().is_some()).count();
    assert!(network.nodes.iter().any(|node| holds(node) < usize::from(PARTITIONS)));
    for at in 0..5 {
        let status = status(&mut network, at);
        assert_eq!(owned(&status), (PARTITIONS, PARTITIONS), "asked {at}");
        assert_eq!(status.shares.len(), 5);
        assert!(status.shares.values().all(|share| share.has_told), "{status:?}");
        assert!(status.share(network.node_id(network.owner(HERE))).owned > 0, "{status:?}");
    }
}

#[test]
fn tasks_are_counted_where_they_are_owned_and_runs_where_they_are() {
    let mut network = Network::formed(4, 1);
    let (here, there) = (network.owner(HERE), network.owner(partition(101)));
    assert_ne!(here, there, "else this shows nothing");
    let executor = (0..4).find(|at| *at != here && *at != there).unwrap();
    network.executor(here, granted(network.lessee(executor), 1));
    network.ask(0, 1, submit(&[1, 2]));
    network.ask(0, 2, submit(&[101]));
    network.take_answers();
    for at in 0..4 {
        let status = status(&mut network, at);
        assert_eq!((status.open, status.running), (3, 1));
        let of = |at| Share { copies: 0, ..status.share(network.node_id(at)) };
        let share =
            |owned, open, running| Share { has_told: true, owned, open, running, copies: 0 };
        assert_eq!((of(here), of(there)), (share(1, 2, 0), share(1, 1, 0)));
        assert_eq!(of(executor), share(0, 0, 1));
    }
}

#[test]
fn partitions_of_a_node_that_does_not_answer_have_no_owner() {
    let mut network = Network::formed(4, 1);
    let (silent, here) = (network.owner(partition(101)), network.owner(HERE));
    network.stopped.insert(silent);
    network.ask(here, 9, Ask::Status);
    network.pass(ms(1_000));
    assert_eq!(network.take_answers(), [], "it may answer yet");
    network.pass(ms(100));
    let late = told(&mut network);
    assert_eq!(owned(&late), (1, 1));
    assert_eq!(late.share(network.node_id(silent)), Share::default());
    // A caller that has less time is told in time.
    let step = network.nodes[here].ask_within(ms(500), 9, Ask::Status);
    network.perform(here, step);
    network.pass(ms(500));
    assert_eq!(owned(&told(&mut network)), (1, 1));
    // Nobody waits for one that is suspected.
    network.ask(here, 9, Ask::Status);
    network.all_hear(silent, Liveness::Suspect);
    network.pass(ms(100));
    assert_eq!(owned(&told(&mut network)), (1, 1));
    assert_eq!(owned(&status(&mut network, here)), (1, 1));
}

#[test]
fn a_partition_is_whole_while_all_its_copies_are_there() {
    for nodes in 1..=3 {
        let mut network = Network::formed(nodes, 3);
        assert_eq!(owned(&status(&mut network, 0)), (PARTITIONS, PARTITIONS), "{nodes} nodes");
    }
    let mut network = Network::formed(3, 3);
    network.stop(2);
    network.pass(ms(3_000));
    assert_eq!(owned(&status(&mut network, 0)), (PARTITIONS, 0));
    network.stopped.clear();
    network.all_hear(2, Liveness::Alive);
    network.pass(ms(3_000));
    assert_eq!(owned(&status(&mut network, 0)), (PARTITIONS, PARTITIONS));
}

#[test]
fn without_a_majority_nobody_claims_anything() {
    let mut network = Network::formed(3, 3);
    network.stop(1);
    network.stop(2);
    assert_eq!(owned(&status(&mut network, 0)), (0, 0));
}

#[test]
fn of_two_that_claim_a_partition_the_later_owns_it() {
    let mut network = Network::formed(4, 1);
    let others = [HERE, partition(101)].map(|partition| network.owner(partition));
    let asked = (0..4).find(|at| !others.contains(at)).unwrap();
    let step = network.nodes[asked].ask(9, Ask::Status);
    let sent = step.said.iter().find_map(|effect| match effect {
        Effect::Send { messages, .. } => messages.iter().find_map(|message| match message {
            PeerMessage::Ask { id, ask: Ask::Status, .. } => Some(*id),
            _ => None,
        }),
        _ => None,
    });
    let number = sent.expect("the others are asked");
    let claim = |partition, term, open| {
        let claim = Claim { partition, term, is_whole: false, open };
        Answer::Claims(Box::new(Claims { owned: vec![claim], running: Vec::new(), copies: 2 }))
    };
    let others: Vec<_> = (0..4).filter(|at| *at != asked).map(|at| network.node_id(at)).collect();
    let [one, two, three] = others[..] else { panic!("three others: {others:?}") };
    let mut tell = |from, answer| {
        let message = PeerMessage::Answer { id: number, answer };
        answers(&network.nodes[asked].peer(from, vec![message]))
    };
    assert_eq!(tell(one, claim(HERE, 7, 10)), []);
    assert_eq!(tell(one, claim(HERE, 9, 1_000)), [], "it has told");
    assert_eq!(tell(NodeId(77), claim(HERE, 9, 2_000)), [], "it was not asked");
    assert_eq!(tell(two, claim(HERE, 8, 20)), []);
    let told = tell(three, claim(PartitionId(PARTITIONS), 9, 4_000));
    let [Effect::Answer { answer: Answer::Status(status), .. }] = &told[..] else {
        panic!("no status: {told:?}");
    };
    assert_eq!(owned(status), (1, 0));
    assert_eq!((status.open, status.share(two).owned, status.share(one).owned), (20, 1, 0));
}
