//! What people say of queues in a world, and until when it must be heeded.

use std::collections::BTreeMap;

use umbel_protocol::meta::{Rule, RuleChange, Subject};
use umbel_protocol::wire::Ask;

use crate::plan::{SECOND, Work};
use crate::work::QUEUES;
use crate::world::World;

/// So many of the limited queue may run at once.
pub const MOST: u32 = 2;

/// Since when something that was said holds, as far as it was not taken back.
#[derive(Debug, Default)]
pub struct Rules {
    /// No more than [`MOST`] run of the first queue.
    pub limited_since: Option<u64>,
    /// None begin of the other.
    pub paused_since: Option<u64>,
    /// The hosts that were seen to know that, in which life, and since when.
    pub heard: BTreeMap<usize, (u64, u64)>,
}

impl World {
    /// Spreads what is said of queues over the storm. All of it is taken back before that ends, and once more.
    pub fn plan_rules(&mut self) {
        if self.plan.work != Work::Ruled {
            return;
        }
        let [limited, paused] = QUEUES.map(|queue| Subject::Queue(queue.to_owned()));
        let limit = Rule { concurrency: Some(Some(MOST)), ..Rule::default() };
        let pause = |paused| Rule { paused: Some(paused), ..Rule::default() };
        let weight = Rule { weight: Some(5), ..Rule::default() };
        for (second, subject, change) in [
            (1, &limited, RuleChange::Say(limit)),
            (3, &limited, RuleChange::Say(weight)),
            (6, &paused, RuleChange::Say(pause(true))),
            (15, &paused, RuleChange::Say(pause(false))),
            (22, &limited, RuleChange::Clear),
            // What was said first may be carried out last, as long as whoever asked waits for it.
            (36, &paused, RuleChange::Say(pause(false))),
            (37, &limited, RuleChange::Clear),
        ] {
            let ask = Ask::ChangeRule { subject: subject.clone(), change };
            self.begin_job(self.now + second * SECOND, ask);
        }
    }

    /// Somebody is about to say something of a queue: what is taken back need not hold any more.
    pub(crate) fn rule_is_asked(&mut self, ask: &Ask) {
        if let Ask::ChangeRule { change, .. } = ask {
            match change {
                RuleChange::Clear => self.rules.limited_since = None,
                RuleChange::Say(Rule { paused: Some(false), .. }) => self.rules.paused_since = None,
                RuleChange::Say(_) => {}
            }
        }
    }

    /// What somebody has said of a queue holds.
    pub(crate) fn rule_holds(&mut self, ask: &Ask) {
        let now = self.now;
        if let Ask::ChangeRule { change: RuleChange::Say(rule), .. } = ask {
            if rule.concurrency().is_some() {
                self.rules.limited_since = Some(now);
            }
            if rule.is_paused() {
                self.rules.paused_since = Some(now);
            }
        }
    }
}
