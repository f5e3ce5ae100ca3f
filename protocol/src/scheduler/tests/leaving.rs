//! A node that is told to stop hands all over at once, and nobody gives it anything any more.

use super::*;
use crate::group::Role;
use crate::id::{GroupId, Incarnation, Lessee};
use crate::membership::{Condition, Liveness, Load};
use crate::task::State;
use crate::wire::{Answer, Ask, ExecutorSays};

/// Longer than it takes to hand a group over, and far shorter than anybody's patience.
const MOMENT: crate::time::Span = ms(500);

/// A cluster of three in which one node owns both partitions, busy as it is; which.
fn one_owns_all() -> (Network, usize) {
    let mut network = Network::formed(3, 3);
    let keeper = network.owner(HERE);
    for of in network.others(HERE) {
        network.step(of, Event::Condition(Condition::Starved));
    }
    network.pass(MOMENT);
    for of in network.others(HERE) {
        network.step(of, Event::Condition(Condition::Serving));
    }
    assert_eq!(network.owner(partition(101)), keeper);
    network.told.clear();
    (network, keeper)
}

fn leads_nothing(network: &Network, at: usize) -> bool {
    network.nodes[at].scheduler.copies().all(|copy| copy.role() != Role::Leader)
}

#[test]
fn all_that_a_node_owns_goes_to_others_at_once() {
    let (mut network, leaver) = one_owns_all();
    network.ask(leaver, 1, submit(&[1]));
    network.step(leaver, Event::Leave);
    network.pass(MOMENT);
    assert!(leads_nothing(&network, leaver));
    assert_ne!(network.owner(HERE), leaver);
    assert_eq!(network.left, [], "its executor still holds something, for all that is known");
    network.step(leaver, Event::Retired);
    network.pass(MOMENT);
    assert_eq!(network.left, [leaver]);
    // What it is asked it passes on.
    network.take_answers();
    network.ask(leaver, 2, submit(&[2]));
    network.pass(MOMENT);
    let submitted = Answer::Submitted { refused: Vec::new(), known: 0 };
    assert_eq!(network.take_answers(), [(leaver, 2, submitted)]);
}

#[test]
fn a_run_goes_on_under_its_lease_when_its_owner_leaves() {
    let (mut network, leaver) = one_owns_all();
    let worker = network.others(HERE)[0];
    let lessee = network.lessee(worker);
    network.executor(leaver, granted(lessee, 1));
    network.ask(leaver, 1, submit(&[1]));
    let [(_, run)] = &network.dispatched(worker)[..] else { panic!("it runs") };
    let (task, token) = (run.task, run.token);
    network.step(leaver, Event::Leave);
    network.pass(MOMENT);
    let next = network.owner(HERE);
    network.told.clear();
    let term = network.nodes[next].scheduler.copy(GroupId::of(HERE)).unwrap().term();
    let runs = vec![(task, token)];
    network.executor(next, ExecutorSays::Holds { lessee, partition: HERE, term, runs });
    network.pass(ms(10_000));
    let runs = network.dispatched(worker);
    assert!(runs.iter().all(|(_, again)| again.token == token), "it runs once: {runs:?}");
    network.executor(next, ended(lessee, 1, token, success()));
    assert!(network.nodes[next].record(task).unwrap().state().is_final());
}

#[test]
fn leases_to_itself_are_taken_back_before_a_group_is_handed_over() {
    let (mut network, leaver) = one_owns_all();
    network.executor(leaver, granted(network.lessee(leaver), 1));
    // The lease is on its way into the log when the node is told to stop.
    let mut said = network.nodes[leaver].ask(1, submit(&[1]));
    said.extend(network.nodes[leaver].step(Event::Leave));
    said.extend(network.nodes[leaver].pass(ms(100)));
    network.perform(leaver, said);
    network.pass(ms(1_000));
    assert_eq!(network.dispatched(leaver), []);
    let next = network.owner(HERE);
    assert_ne!(next, leaver);
    assert_eq!(network.nodes[next].record(task(1)).unwrap().state(), State::Ready);
}

#[test]
fn nothing_is_handed_or_leased_to_a_node_that_leaves() {
    let (mut network, owner) = one_owns_all();
    let others = network.others(HERE);
    let (leaver, other) = (others[0], others[1]);
    network.all_hear_condition(leaver, Condition::Leaving);
    let lessee = network.lessee(leaver);
    network.executor(owner, granted(lessee, 1));
    network.ask(owner, 1, submit(&[1]));
    network.pass(ms(1_000));
    assert_eq!(network.dispatched(leaver), []);
    network.step(owner, Event::Leave);
    network.pass(MOMENT);
    assert_eq!((network.owner(HERE), network.owner(partition(101))), (other, other));
}

#[test]
fn a_node_that_began_anew_has_not_said_yet_that_it_leaves() {
    let mut owner = Node::alone(0);
    owner.far(1, 1);
    let leaves = Load { condition: Condition::Leaving, ..Load::default() };
    let lessee = lessee(1);
    let Lessee { node, incarnation, .. } = lessee;
    owner.step(Event::Load { node, incarnation, load: leaves });
    owner.ask_and_settle(1, submit(&[1]));
    assert_eq!(owner.record(task(1)).unwrap().state(), State::Ready);
    let next = Lessee { incarnation: Incarnation(2), ..lessee };
    owner.hear_of(next, Liveness::Alive);
    owner.introduce(next, 1);
    owner.settle();
    assert_eq!(owner.record(task(1)).unwrap().state(), State::Leased);
}

#[test]
fn a_lease_that_comes_too_late_for_an_executor_that_leaves_is_taken_back_untold() {
    let mut owner = Node::alone(0);
    owner.far(1, 1);
    let step = owner.ask(1, submit(&[1]));
    assert_eq!(step.entries.len(), 1);
    let Lessee { node, incarnation, .. } = lessee(1);
    let load = Load { condition: Condition::Leaving, ..Load::default() };
    owner.step(Event::Load { node, incarnation, load });
    assert_eq!(started(&owner.settle()), []);
    let record = owner.record(task(1)).unwrap();
    assert_eq!((record.state(), record.crashes()), (State::Ready, 0));
}

/// Its executor would start it, and the record say that it never was.
#[test]
fn a_lease_that_is_being_taken_back_is_not_dispatched_again() {
    let mut owner = Node::alone(0);
    owner.far(1, 1);
    owner.ask(1, submit(&[1]));
    owner.hear_of(lessee(1), Liveness::Down);
    assert_eq!(started(&owner.persisted()), []);
    owner.is_stuck = true;
    owner.hear_of(lessee(1), Liveness::Alive);
    assert_eq!(started(&owner.pass(ms(6_000))), []);
    assert_eq!(owner.record(task(1)).unwrap().state(), State::Leased, "the disk is slow");
    owner.is_stuck = false;
    owner.settle();
    assert_eq!(owner.record(task(1)).unwrap().state(), State::Ready);
}

#[test]
fn one_that_nobody_can_stand_in_for_does_not_wait_for_anybody() {
    let mut alone = Node::alone(1);
    alone.step(Event::Leave);
    alone.step(Event::Retired);
    assert!(alone.pass(ms(200)).said.contains(&Effect::Left));

    let mut network = Network::formed(3, 3);
    for at in 0..3 {
        network.all_hear_condition(at, Condition::Leaving);
        network.step(at, Event::Leave);
        network.step(at, Event::Retired);
    }
    network.pass(MOMENT);
    network.left.sort_unstable();
    assert_eq!(network.left, [0, 1, 2], "all leave together");
}

#[test]
fn those_that_lack_a_majority_wait_for_one() {
    let (mut network, leaver) = one_owns_all();
    network.apart.insert(leaver);
    network.step(leaver, Event::Leave);
    network.step(leaver, Event::Retired);
    network.pass(ms(900));
    assert_eq!(network.left, []);
    network.apart.clear();
    network.pass(ms(5_000));
    assert_eq!(network.left, [leaver]);
}

#[test]
fn one_that_is_to_have_nothing_does_not_hand_over_to_those_that_leave() {
    let mut network = Network::formed(4, 3);
    let owner = network.owner(HERE);
    let node = network.node_id(owner);
    for voter in network.voters(HERE).into_iter().filter(|voter| *voter != node) {
        let at = network.index(voter);
        network.step(at, Event::Condition(Condition::Leaving));
        network.all_hear_condition(at, Condition::Leaving);
    }
    network.ask(owner, 1, Ask::Drain { node, draining: true });
    network.pass(ms(5_000));
    let terms = |network: &Network| {
        let copies = network.nodes[owner].scheduler.copies();
        copies.map(|copy| (copy.group(), copy.term())).collect::<Vec<_>>()
    };
    let before = terms(&network);
    network.pass(ms(5_000));
    assert_eq!(terms(&network), before, "the lead does not go to and fro");
    assert_eq!(network.owner(HERE), owner);
}

#[test]
fn a_node_that_cannot_make_progress_lets_others_lead() {
    let (mut network, owner) = one_owns_all();
    network.step(owner, Event::Condition(Condition::DiskSlow));
    network.all_hear_condition(owner, Condition::DiskSlow);
    network.pass(MOMENT);
    assert!(leads_nothing(&network, owner));
    let next = network.owner(HERE);
    // It comes back when all is well there, as any that ranks first, and not before.
    network.pass(ms(70_000));
    assert_eq!(network.owner(HERE), next);
}

#[test]
fn where_all_are_unfit_the_cluster_goes_on() {
    let mut network = Network::formed(3, 3);
    for at in 0..3 {
        network.step(at, Event::Condition(Condition::Starved));
        network.all_hear_condition(at, Condition::Starved);
    }
    let owner = network.owner(HERE);
    network.pass(ms(2_000));
    assert_eq!(network.owner(HERE), owner, "nobody does better");
    network.stop(owner);
    network.pass(ms(8_000));
    let next = network.owner(HERE);
    let lessee = network.lessee(next);
    network.executor(next, granted(lessee, 1));
    network.ask(next, 1, submit(&[1]));
    network.pass(ms(200));
    assert_eq!(network.dispatched(next).len(), 1);
}

#[test]
fn of_those_that_lose_their_leader_the_unfit_campaign_last() {
    for unfit in 0..2 {
        let mut network = Network::formed(3, 3);
        let gone = network.owner(HERE);
        let others = network.others(HERE);
        network.step(others[unfit], Event::Condition(Condition::DiskFull));
        network.stop(gone);
        network.pass(ms(3_000));
        assert_eq!(network.owner(HERE), others[1 - unfit]);
    }
}

#[test]
fn new_copies_go_to_those_that_serve() {
    let network = Network::formed(5, 3);
    let before = network.voters(HERE);
    let gone = network.others(HERE).into_iter().find(|at| before.contains(&network.node_id(*at)));
    let gone = gone.unwrap();
    let spare: Vec<usize> = (0..5).filter(|at| !before.contains(&network.node_id(*at))).collect();
    for (unfit, fit) in [(spare[0], spare[1]), (spare[1], spare[0])] {
        let mut network = Network::formed(5, 3);
        network.all_hear_condition(unfit, Condition::DiskFull);
        network.stop(gone);
        network.pass(ms(35_000));
        let after = network.voters(HERE);
        assert!(after.contains(&network.node_id(fit)), "{after:?}");
        assert!(!after.contains(&network.node_id(unfit)), "{after:?}");
    }
}
