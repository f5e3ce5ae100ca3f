//! Connections that break, and words that schedulers hear.

use std::mem;

use umbel_protocol::executor::Event;

use super::sabotage::Sabotage;
use super::state::{Link, NODES, node_id};
use super::step::Act;

impl Act {
    pub(super) fn hear_word(&mut self, from: usize, to: usize, late: bool) {
        let link = &mut self.state.links[from][to];
        let words = if late { &mut link.late_words } else { &mut link.words };
        if let Some(says) = words.pop_front() {
            self.executor_says(to, (*says).clone());
        }
    }

    /// What stands at `place` comes first; from now on executors know that order does not count.
    pub(super) fn overtake(&mut self, from: usize, to: usize, is_order: bool, place: usize) {
        self.state.left.overtakes -= 1;
        let link = &mut self.state.links[from][to];
        link.is_relayed = true;
        if is_order {
            let first = link.orders.remove(place);
            first.into_iter().for_each(|says| link.orders.push_front(says));
            self.hear_order(from, to, false);
        } else {
            let first = link.words.remove(place);
            first.into_iter().for_each(|says| link.words.push_front(says));
            self.hear_word(from, to, false);
        }
    }

    /// The connection between the two nodes breaks and is opened anew: of what was under way the
    /// first few may have been received, and are looked at some time.
    pub(super) fn break_links(&mut self, orders: [usize; 2], words: [usize; 2]) {
        self.state.left.breaks -= 1;
        for (from, to) in [(0, 1), (1, 0)] {
            self.cut(from, to, orders[from], words[from]);
        }
        self.connect();
    }

    /// What is under way from one node to another is lost but for the first few words.
    pub(super) fn cut(&mut self, from: usize, to: usize, orders: usize, words: usize) {
        let mut link = mem::take(&mut self.state.links[from][to]);
        link.orders.truncate(orders);
        link.words.truncate(words);
        self.state.links[from][to] = Link {
            late_orders: link.orders,
            late_words: link.words,
            is_relayed: link.is_relayed,
            ..Link::default()
        };
    }

    /// A connection between the two nodes is opened: their executors are told before anything comes
    /// over it.
    pub(super) fn connect(&mut self) {
        for at in NODES {
            self.reach(at, 1 - at);
        }
    }

    pub(super) fn reach(&mut self, at: usize, to: usize) {
        if !self.state.nodes[at].up {
            return;
        }
        if self.has(Sabotage::LateReach) {
            self.state.nodes[at].reached[to] = true;
        } else {
            self.step_executor(at, Event::Reached(node_id(to)));
        }
    }
}
