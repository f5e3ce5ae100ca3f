//! A cluster is upgraded node by node, and speaks the newer version when all of them do.

use super::*;
use crate::membership::Liveness;
use crate::task::Options;
use crate::wire::hello::Versions;
use crate::wire::{Answer, ExecutorSays, PeerMessage, RequestError};

const OLD: Versions = Versions { min: 2, max: 2 };

/// What node 0 answers to a submission with an option that came with the newer version.
fn submitted(network: &mut Network) -> Answer {
    network.take_answers();
    network.ask(0, 5, submit_with(Options { crashes_max: Some(9), ..Options::default() }, 1));
    network.pass(ms(2_000));
    let answers = network.take_answers();
    assert_eq!(answers.len(), 1);
    answers.into_iter().next().unwrap().2
}

/// Node `at` is stopped and started anew with the present version.
fn upgrade(network: &mut Network, at: usize) {
    network.nodes[at].versions = Versions::OWN;
    let step = network.nodes[at].restart_among(u16::try_from(at).unwrap(), 2);
    network.perform(at, step);
    let node = network.node_id(at);
    for other in (0..network.nodes.len()).filter(|other| *other != at) {
        let of_other = network.node_id(other);
        let version = network.nodes[other].versions.max;
        network.step(other, Event::Reached { node, version });
        network.step(at, Event::Reached { node: of_other, version });
        let (incarnation, liveness) = (crate::id::Incarnation(1), Liveness::Alive);
        network.step(at, Event::Liveness { node: of_other, incarnation, liveness });
        let incarnation = crate::id::Incarnation(2);
        network.step(other, Event::Liveness { node, incarnation, liveness });
    }
    let (lessee, profile) = (network.lessee(at), profile(0));
    network.executor(at, ExecutorSays::Introduce { lessee, profile });
    network.pass(ms(5_000));
}

fn spoken(network: &Network) -> Vec<u16> {
    let metas = network.nodes.iter().filter_map(|node| node.scheduler.meta());
    metas.map(|meta| meta.spoken).collect()
}

#[test]
fn a_cluster_speaks_the_newer_version_once_all_members_do() {
    let mut network = Network::speaking(3, 3, OLD);
    assert_eq!(spoken(&network), [2, 2, 2]);
    for at in 0..3 {
        assert_eq!(spoken(&network), [2, 2, 2], "{at} nodes are upgraded");
        let not_yet = Answer::Failed(RequestError::NotUpgraded);
        assert_eq!(submitted(&mut network), not_yet, "{at} nodes are upgraded");
        upgrade(&mut network, at);
    }
    assert_eq!(spoken(&network), [3, 3, 3]);
    assert_eq!(submitted(&mut network), Answer::Submitted { refused: Vec::new(), known: 0 });
}

#[test]
fn a_member_that_is_away_is_waited_for() {
    let mut network = Network::speaking(3, 3, OLD);
    network.stop(2);
    upgrade(&mut network, 0);
    upgrade(&mut network, 1);
    network.pass(ms(30_000));
    assert_eq!(spoken(&network)[..2], [2, 2], "it may come back as it was");
}

#[test]
fn a_new_cluster_speaks_what_its_first_member_does() {
    assert_eq!(spoken(&Network::formed(3, 3)), [3, 3, 3]);
    let mut alone = Network::speaking(1, 1, OLD);
    assert_eq!(spoken(&alone), [2]);
    upgrade(&mut alone, 0);
    assert_eq!(spoken(&alone), [3]);
}

#[test]
fn who_was_met_before_it_became_a_member_is_known_to_speak_the_newer_version() {
    let mut network = Network::speaking(2, 1, OLD);
    upgrade(&mut network, 1);
    upgrade(&mut network, 0);
    assert_eq!(spoken(&network), [3, 3]);
    // Two are met; one of them becomes a member first, and the facts change with that.
    let mut owner = Node::speaking(0, OLD);
    owner.found(1, 1);
    owner.settle();
    owner.versions = Versions::OWN;
    owner.restart(0, 2);
    for n in [1, 2] {
        owner.step(Event::Reached { node: id(n), version: 3 });
    }
    for n in [1, 2] {
        owner.peer(id(n), vec![PeerMessage::Join(join(n))]);
        owner.settle();
    }
    owner.pass(ms(3_000));
    let meta = owner.scheduler.meta().unwrap();
    assert_eq!((meta.members.len(), meta.spoken), (3, 3));
}
