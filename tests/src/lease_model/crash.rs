//! Nodes that stop and start.

use std::sync::Arc;

use super::state::{Link, NODES, Node};
use super::step::Act;

impl Act {
    /// A node stops: its runs end with it, and all that it knew is gone but for its log. What it has
    /// said last may still arrive.
    pub(super) fn crash(&mut self, at: usize, heard: bool) {
        self.state.left.crashes -= 1;
        for other in NODES {
            self.state.links[other][at] = Link::default();
            if other == at {
                continue;
            }
            let link = &self.state.links[at][other];
            let (orders, words) =
                if heard { (link.orders.len(), link.words.len()) } else { (0, 0) };
            self.cut(at, other, orders, words);
            self.state.nodes[other].reached[at] = false;
        }
        if self.state.log.leader == Some(at) {
            self.state.log.leader = None;
        }
        let node = &mut self.state.nodes[at];
        let me = node.executor.me();
        let denied = |(task, token): &(_, _)| {
            let record = self.state.log.partition.record(*task);
            record.and_then(|record| super::properties::lessee_of(&record, *token)) == Some(me)
        };
        self.state.denied = self.state.denied.iter().filter(|run| !denied(run)).copied().collect();
        let mut stopped = Node::start(at, node.incarnation, self.slots);
        stopped.up = false;
        *node = stopped;
    }

    pub(super) fn restart(&mut self, at: usize) {
        let incarnation = self.state.nodes[at].incarnation + 1;
        let node = Node::start(at, incarnation, self.slots);
        let says = node.introduction(self.slots);
        self.state.nodes[at] = node;
        self.state.links[at][at].words.push_back(Arc::new(says));
        self.connect();
    }
}
