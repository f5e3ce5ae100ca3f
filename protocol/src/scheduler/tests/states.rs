//! Whole states on their way to other nodes: they are given up when they cannot arrive.

use super::network::Network;
use super::node::Node;
use super::said::ms;
use crate::id::{GroupId, NodeId};
use crate::limits::STATES_TO_NODE_MAX;
use crate::membership::Liveness;
use crate::scheduler::Event;
use crate::wire::hello::Versions;

/// Groups whose states are on their way from the first node.
fn under_way(network: &Network) -> Vec<GroupId> {
    let copies = network.nodes[0].scheduler.copies();
    copies.filter(|copy| !copy.states_under_way().is_empty()).map(|copy| copy.group()).collect()
}

impl Network {
    fn are_connected(&mut self) {
        for (at, to) in [(0, 1), (1, 0)] {
            let node: NodeId = self.node_id(to);
            self.step(at, Event::Reached { node, version: Versions::OWN.max });
        }
    }
}

/// A node has joined that is to get copies of all groups, and the states that were sent to it are lost.
fn joined() -> Network {
    let mut network = Network::formed(1, 2);
    network.nodes.push(Node::blank(1));
    network.loses_states = true;
    for of in 0..2 {
        network.all_hear(of, Liveness::Alive);
    }
    network.are_connected();
    network.pass(ms(2_000));
    assert_eq!(under_way(&network).len(), STATES_TO_NODE_MAX);
    assert_eq!(network.nodes[0].scheduler.states_waiting(), 1, "another has to wait for its turn");
    assert_eq!(network.lost_states.len(), STATES_TO_NODE_MAX);
    network
}

#[test]
fn what_was_under_way_on_a_way_that_broke_is_sent_once_more() {
    let mut network = joined();
    network.loses_states = false;
    network.are_connected();
    network.pass(ms(1_000));
    let (first, second) = (&network.nodes[0].scheduler, &network.nodes[1].scheduler);
    assert_eq!((under_way(&network), first.states_waiting()), (Vec::new(), 0));
    assert_eq!(second.copies().filter(|copy| copy.applied() > 0).count(), first.copies().count());
}

#[test]
fn what_was_under_way_to_a_node_that_is_gone_holds_up_nobody() {
    let mut network = joined();
    network.all_hear(1, Liveness::Suspect);
    assert_eq!(under_way(&network), network.lost_states, "it may yet arrive");
    let before = under_way(&network);
    network.all_hear(1, Liveness::Down);
    assert!(under_way(&network).iter().all(|group| !before.contains(group)));
}
