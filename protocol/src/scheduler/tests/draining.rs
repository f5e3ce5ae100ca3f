//! Members that are to have nothing, for a while or for good.

use super::*;
use crate::id::GroupId;
use crate::membership::Liveness;
use crate::meta::{JoinRefusal, PartingRefusal};
use crate::task::State;
use crate::wire::{Answer, Ask, Drain, ExecutorSays, PeerMessage, RequestError, Status};

/// Long enough for all copies of a small cluster to move.
const MOVED: crate::time::Span = ms(20_000);

fn drain(network: &mut Network, at: usize, of: usize, draining: bool) -> Answer {
    let node = network.node_id(of);
    asked(network, at, Ask::Drain { node, draining })
}

fn forget(network: &mut Network, at: usize, of: usize) -> Answer {
    let node = network.node_id(of);
    asked(network, at, Ask::Forget { node })
}

/// What node `at` answers within two seconds.
#[track_caller]
fn asked(network: &mut Network, at: usize, ask: Ask) -> Answer {
    network.take_answers();
    network.ask(at, 5, ask);
    network.pass(ms(2_000));
    match &network.take_answers()[..] {
        [(answers, 5, answer)] if *answers == at => answer.clone(),
        other => panic!("no answer: {other:?}"),
    }
}

fn status(network: &mut Network, at: usize) -> Status {
    match asked(network, at, Ask::Status) {
        Answer::Status(status) => *status,
        other => panic!("no status: {other:?}"),
    }
}

fn copies(network: &Network, at: usize) -> usize {
    network.nodes[at].scheduler.copies().count()
}

fn refused(why: PartingRefusal) -> Answer {
    Answer::Failed(RequestError::Parting(why))
}

fn leader_of_facts(network: &Network) -> usize {
    let leads = |at: &usize| {
        let copy = network.nodes[*at].scheduler.copy(GroupId::META);
        copy.is_some_and(|copy| copy.is_settled())
    };
    (0..network.nodes.len()).filter(|at| !network.stopped.contains(at)).find(leads).unwrap()
}

#[test]
fn a_drained_member_has_nothing_and_all_else_has_its_copies() {
    for asked_of in 0..4 {
        let mut network = Network::formed(4, 3);
        let drained = network.owner(HERE);
        network.ask(drained, 1, submit(&[1]));
        assert_eq!(drain(&mut network, asked_of, drained, true), Answer::Done);
        network.pass(MOVED);
        assert_eq!(copies(&network, drained), 0);
        assert_eq!(network.voters(HERE).len(), 3);
        assert!(!network.voters(HERE).contains(&network.node_id(drained)));
        let owner = network.owner(HERE);
        assert_eq!(network.nodes[owner].record(task(1)).unwrap().state(), State::Ready);
        let status = status(&mut network, asked_of);
        assert_eq!(status.drain(network.node_id(drained)), Drain::Drained);
        assert_eq!(status.drain(network.node_id(owner)), Drain::Serving);
        assert_eq!((status.partitions_owned, status.partitions_whole), (PARTITIONS, PARTITIONS));
    }
}

#[test]
fn it_is_leased_nothing_and_what_it_runs_ends_first() {
    let mut network = Network::formed(4, 3);
    let owner = network.owner(HERE);
    let drained = network.others(HERE)[0];
    let lessee = network.lessee(drained);
    network.executor(owner, granted(lessee, 2));
    network.ask(owner, 1, submit(&[1]));
    let [(_, run)] = &network.dispatched(drained)[..] else { panic!("it runs") };
    let token = run.token;
    drain(&mut network, owner, drained, true);
    network.pass(MOVED);
    let now = status(&mut network, owner);
    assert_eq!(now.drain(network.node_id(drained)), Drain::Draining, "its run goes on");
    network.told.clear();
    network.ask(owner, 2, submit(&[2]));
    network.pass(ms(1_000));
    assert!(network.dispatched(drained).iter().all(|(_, run)| run.token == token));
    network.executor(owner, ended(lessee, 1, token, success()));
    let now = status(&mut network, owner);
    assert_eq!(now.drain(network.node_id(drained)), Drain::Drained);
}

#[test]
fn one_that_serves_again_gets_its_copies_back() {
    let mut network = Network::formed(4, 3);
    let drained = network.owner(HERE);
    drain(&mut network, drained, drained, true);
    network.pass(MOVED);
    assert_eq!(drain(&mut network, drained, drained, false), Answer::Done);
    network.pass(MOVED);
    assert!(network.voters(HERE).contains(&network.node_id(drained)));
}

#[test]
fn two_of_three_may_be_drained_and_the_last_takes_work() {
    let mut network = Network::formed(3, 3);
    assert_eq!(drain(&mut network, 0, 1, true), Answer::Done);
    network.pass(MOVED);
    assert_eq!(drain(&mut network, 1, 2, true), Answer::Done);
    network.pass(MOVED);
    let node = network.node_id(0);
    assert_eq!(drain(&mut network, 2, 0, true), refused(PartingRefusal::LastOne { node }));
    assert_eq!((copies(&network, 1), copies(&network, 2)), (0, 0));
    network.ask(2, 6, submit(&[1]));
    network.pass(ms(500));
    assert_eq!(network.take_answers().len(), 1);
    assert!(network.nodes[0].record(task(1)).is_some());
}

#[test]
fn who_is_no_member_is_not_drained() {
    let mut network = Network::formed(3, 3);
    let node = id(9);
    for at in 0..3 {
        let ask = Ask::Drain { node, draining: true };
        assert_eq!(asked(&mut network, at, ask), refused(PartingRefusal::NoMember { node }));
        let ask = Ask::Forget { node };
        assert_eq!(asked(&mut network, at, ask), refused(PartingRefusal::NoMember { node }));
    }
}

#[test]
fn a_request_survives_the_leader_of_the_facts() {
    let mut network = Network::formed(4, 3);
    let leader = leader_of_facts(&network);
    let asks = (0..4).find(|at| *at != leader).unwrap();
    let node = network.node_id((0..4).find(|at| *at != leader && *at != asks).unwrap());
    network.stopped.insert(leader);
    network.ask(asks, 5, Ask::Drain { node, draining: true });
    network.stop(leader);
    network.pass(ms(5_000));
    assert_eq!(network.take_answers(), [(asks, 5, Answer::Done)]);
}

#[test]
fn without_a_majority_that_is_said_in_time() {
    let mut network = Network::formed(3, 3);
    network.apart.insert(0);
    let node = network.node_id(1);
    let step = network.nodes[0].ask_within(ms(3_000), 5, Ask::Drain { node, draining: true });
    network.perform(0, step);
    network.pass(ms(3_000));
    assert_eq!(network.take_answers(), [(0, 5, Answer::Failed(RequestError::NoFacts))]);
}

#[test]
fn a_live_member_with_work_is_not_forgotten() {
    let mut network = Network::formed(4, 3);
    let of = network.owner(HERE);
    let node = network.node_id(of);
    for at in 0..4 {
        assert_eq!(forget(&mut network, at, of), refused(PartingRefusal::InUse { node }));
    }
    drain(&mut network, 0, of, true);
    network.pass(MOVED);
    let at = network.owner(HERE);
    assert_eq!(forget(&mut network, at, of), Answer::Done);
    let [meta, far] = [at, of].map(|at| network.nodes[at].scheduler.meta().unwrap().clone());
    assert!(meta.is_forgotten(node) && !meta.members.contains_key(&node));
    assert!(far.is_forgotten(node), "it is told");
    assert_eq!(network.refused, [(of, JoinRefusal::Forgotten)]);
}

#[test]
fn to_forget_a_dead_member_shrinks_the_aim() {
    let mut network = Network::formed(3, 3);
    let gone = network.owner(HERE);
    let at = network.others(HERE)[0];
    network.stop(gone);
    network.pass(ms(40_000));
    assert_eq!(network.voters(HERE).len(), 3, "death alone does not");
    assert_eq!(forget(&mut network, at, gone), Answer::Done);
    network.pass(MOVED);
    assert_eq!(network.voters(HERE).len(), 1, "of two members one votes");
    let node = network.node_id(gone);
    assert!(network.others(HERE).iter().all(|at| network.forgotten.contains(&(*at, node))));
    network.ask(at, 6, submit(&[1]));
    network.pass(ms(500));
    assert_eq!(network.take_answers().len(), 1);
}

#[test]
fn the_runs_of_a_forgotten_member_are_lost_and_its_executor_is_of_no_use() {
    let mut network = Network::formed(4, 3);
    let owner = network.owner(HERE);
    let gone = network.others(HERE)[0];
    let lessee = network.lessee(gone);
    network.executor(owner, granted(lessee, 1));
    network.ask(owner, 1, submit(&[1]));
    assert_eq!(network.dispatched(gone).len(), 1);
    network.stop(gone);
    forget(&mut network, owner, gone);
    assert_eq!(network.nodes[owner].record(task(1)).unwrap().state(), State::Ready);
    // It comes back: nobody leases to it, and it is told.
    network.stopped.clear();
    network.all_hear(gone, Liveness::Alive);
    network.executor(owner, ExecutorSays::Introduce { lessee, profile: profile(1) });
    network.executor(owner, granted(lessee, 1));
    network.told.clear();
    network.pass(ms(3_000));
    assert_eq!(network.dispatched(gone), []);
    assert_eq!(network.refused, [(gone, JoinRefusal::Forgotten)]);
    let join = PeerMessage::Join(join(u16::try_from(gone).unwrap()));
    let leader = leader_of_facts(&network);
    let said = network.nodes[leader].peer(lessee.node, vec![join]);
    let refusal = PeerMessage::Joined(Err(JoinRefusal::Forgotten));
    assert!(said.said.iter().any(|effect| {
        matches!(effect, Effect::Send { messages, .. } if messages.contains(&refusal))
    }));
}
