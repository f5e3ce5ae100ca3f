//! How a node without data finds its cluster, or forms it.
//!
//! A node without seeds forms a cluster of its own. With seeds, it asks all of them who they are,
//! again and again, until one belongs to a cluster: then it joins that. The first listed seed forms
//! the cluster, and only when *all* listed seeds answer that they are blank: a seed that is silent
//! may well belong to a cluster that this node was once a member of.

use std::collections::BTreeMap;

use crate::id::{ClusterId, NodeId};
use crate::time::{Span, Tick};

/// Whether a member that is connected to `connected` of the `others` that it knows of calls its seeds.
/// It calls the others where they were last. If all have moved, those that find each other by chance
/// may be two parties that do not: one of them is no majority, and the seeds' names lead it to the
/// other. One that knows of nobody, as it ended before it had that on disk, cannot tell how many
/// others there are.
#[must_use]
pub const fn calls_seeds(connected: usize, others: usize) -> bool {
    others == 0 || (connected + 1) * 2 <= others + 1
}

/// How often seeds are asked.
const ASK_EVERY: Span = Span::from_millis(250);

/// Finds a cluster or forms one.
#[derive(Debug)]
pub struct Formation {
    me: NodeId,
    /// How many seeds are listed. They are told apart by position.
    seeds: usize,
    /// Whether this node may form a cluster at all.
    may_found: bool,
    answers: BTreeMap<usize, Answer>,
    ask_at: Tick,
    done: bool,
}

/// What a seed says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who it is.
    pub node: NodeId,
    /// Its cluster, unless it is blank.
    pub cluster: Option<ClusterId>,
}

/// What happens to a forming node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A seed answered.
    Answered {
        /// Which, by its place in the list.
        seed: usize,
        /// What.
        answer: Answer,
    },
    /// The deadline has come.
    Due,
    /// This node belongs to a cluster now.
    Joined,
    /// A seed did not answer.
    Silent {
        /// Which.
        seed: usize,
    },
}

/// What a forming node wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask a seed who it is.
    Ask {
        /// Which, by its place in the list.
        seed: usize,
    },
    /// Form a cluster of so many founders.
    Found {
        /// How many.
        founders: usize,
    },
    /// Join the cluster of this seed.
    Join {
        /// Which.
        seed: usize,
    },
}

impl Formation {
    /// For a node without data. `may_found` is false for one that was told to join.
    #[must_use]
    pub const fn new(me: NodeId, seeds: usize, may_found: bool, now: Tick) -> Self {
        Self { me, seeds, may_found, answers: BTreeMap::new(), ask_at: now, done: false }
    }

    /// When [`Event::Due`] is to be given.
    #[must_use]
    pub const fn next_deadline(&self) -> Tick {
        if self.done { Tick::NEVER } else { self.ask_at }
    }

    /// Seeds that have not answered, by place: what an operator wants to know.
    pub fn missing(&self) -> impl Iterator<Item = usize> {
        (0..self.seeds).filter(|seed| !self.answers.contains_key(seed))
    }

    /// Takes an event and appends what is to be done to `effects`.
    pub fn step(&mut self, now: Tick, event: Event, effects: &mut Vec<Effect>) {
        if self.done {
            return;
        }
        match event {
            Event::Due if self.seeds == 0 => self.found(1, effects),
            Event::Due => {
                self.ask_at = now + ASK_EVERY;
                effects.extend((0..self.seeds).map(|seed| Effect::Ask { seed }));
            }
            Event::Joined => self.done = true,
            Event::Silent { seed } => {
                self.answers.remove(&seed);
            }
            Event::Answered { seed, answer } => {
                self.answers.insert(seed, answer);
                if answer.cluster.is_some() {
                    effects.push(Effect::Join { seed });
                } else if self.is_founder() {
                    self.found(self.seeds, effects);
                }
            }
        }
    }

    /// Whether this node is the first seed and all seeds are blank.
    fn is_founder(&self) -> bool {
        let all_blank = (0..self.seeds)
            .all(|seed| self.answers.get(&seed).is_some_and(|answer| answer.cluster.is_none()));
        let first = self.answers.get(&0).is_some_and(|answer| answer.node == self.me);
        all_blank && first
    }

    fn found(&mut self, founders: usize, effects: &mut Vec<Effect>) {
        if self.may_found {
            self.done = true;
            effects.push(Effect::Found { founders });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);

    fn blank(node: NodeId) -> Answer {
        Answer { node, cluster: None }
    }

    fn run(formation: &mut Formation, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        formation.step(Tick::START, event, &mut effects);
        effects
    }

    #[test]
    fn alone_without_seeds() {
        let mut alone = Formation::new(ME, 0, true, Tick::START);
        assert_eq!(run(&mut alone, Event::Due), [Effect::Found { founders: 1 }]);
        assert_eq!(run(&mut alone, Event::Due), []);
    }

    #[test]
    fn the_first_seed_waits_for_all() {
        let mut first = Formation::new(ME, 2, true, Tick::START);
        assert_eq!(run(&mut first, Event::Due), [Effect::Ask { seed: 0 }, Effect::Ask { seed: 1 }]);
        assert_eq!(run(&mut first, Event::Answered { seed: 0, answer: blank(ME) }), []);
        assert_eq!(run(&mut first, Event::Silent { seed: 1 }), []);
        let found = run(&mut first, Event::Answered { seed: 1, answer: blank(OTHER) });
        assert_eq!(found, [Effect::Found { founders: 2 }]);
    }

    #[test]
    fn of_two_parties_that_know_of_each_other_one_calls_the_seeds() {
        for members in 2..10 {
            for party in 1..members {
                let calls = |party: usize| calls_seeds(party - 1, members - 1);
                assert!(calls(party) || calls(members - party), "{party} of {members}");
                assert!(!calls(members), "all are there");
            }
        }
        for connected in 0..3 {
            assert!(calls_seeds(connected, 0), "these may not be all");
        }
    }

    #[test]
    fn others_never_form() {
        let mut second = Formation::new(ME, 2, true, Tick::START);
        assert_eq!(run(&mut second, Event::Answered { seed: 0, answer: blank(OTHER) }), []);
        assert_eq!(run(&mut second, Event::Answered { seed: 1, answer: blank(ME) }), []);
    }

    #[test]
    fn a_cluster_that_exists_is_joined() {
        let mut first = Formation::new(ME, 2, true, Tick::START);
        run(&mut first, Event::Answered { seed: 0, answer: blank(ME) });
        let member = Answer { node: OTHER, cluster: Some(ClusterId(7)) };
        assert_eq!(
            run(&mut first, Event::Answered { seed: 1, answer: member }),
            [Effect::Join { seed: 1 }]
        );
    }
}
