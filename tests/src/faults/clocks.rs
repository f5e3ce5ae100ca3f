//! Wall clocks that step, and how far off anything may be for what has gone wrong.

use super::Fault;
use crate::host::{MS_PER_HOUR, true_wall};
use crate::plan::{MS, SECOND};
use crate::world::{What, World};

/// How far times may be off for what has gone wrong, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slack {
    /// Clocks that are not wild were ahead of the truth by so much at most.
    pub ahead: u64,
    /// And behind it.
    pub behind: u64,
    /// What came was read so late at most, by a process that stood still.
    pub read_late: u64,
    /// The same for what waits for a while: clocks that are wild where nobody agrees with them do not count.
    pub waits: (u64, u64),
    /// Whether time was ever carried on since clocks stepped, a little faster or slower than it passes.
    pub was_slewed: bool,
    /// Whether a majority of some group's clocks was ever wild.
    was_wild: bool,
    /// Whether there were others who agreed with those, or a process that remembered nothing else.
    was_believed: bool,
    /// Whether such a majority was ahead. It may have carried the time of a partition on, which stays so for
    /// longer than any world lasts.
    pub was_carried_on: bool,
    /// Whether clocks stepped ahead the last time that they did.
    stepped_ahead: bool,
}

/// So long after a clock is right again all have heard of that who are not cut off.
const HEARD_WITHIN: u64 = 15 * SECOND;

impl World {
    /// The clocks of one host, of a minority or of a majority step by an hour, for a while.
    pub(super) fn step_clocks(&mut self) {
        let hosts = self.hosts.len();
        let few = self.wild_max();
        let to_most = few == 0 || self.flip(0.2);
        let count = if to_most { hosts / 2 + 1 } else { self.between(1, few as u64) as usize };
        let ahead = !self.slack.stepped_ahead;
        self.slack.stepped_ahead = ahead;
        let hour = MS_PER_HOUR;
        let step = if ahead { hour } else { -hour };
        // Those of before are right again, and others need a while to hear of that: until then it is they
        // whose clocks step. Else two minorities may be a majority.
        self.set_clocks_right();
        let now = self.now;
        let known: Vec<usize> =
            (0..hosts).filter(|host| self.hosts[*host].known_wild_until > now).collect();
        let chosen = if to_most || known.is_empty() { self.some_hosts(count) } else { known };
        self.trace(|| format!("the clocks of {chosen:?} step by {step} ms"));
        // Those of before may have been most.
        let is_majority = chosen.len() > few;
        self.saw(match (is_majority, ahead) {
            (false, true) => "a minority's clocks ahead",
            (false, false) => "a minority's clocks behind",
            (true, true) => "a majority's clocks ahead",
            (true, false) => "a majority's clocks behind",
        });
        if is_majority {
            self.slack.was_wild = true;
            self.slack.was_carried_on |= ahead;
            // Of two none is told by the other which of them is right.
            self.slack.was_believed |= hosts > 2;
            self.slack.was_slewed |= hosts <= 2;
        }
        for host in chosen {
            self.hosts[host].step = step;
        }
        self.note_clocks();
        let at = self.now + self.between(SECOND, 10 * SECOND);
        self.push(at, What::Fault(Fault::ClocksRight));
    }

    /// A scheduler starts on `host`: of the time before it remembers what is in its logs.
    pub(crate) fn note_start(&mut self, host: usize) {
        self.slack.was_believed |= self.slack.was_wild && self.hosts[host].step != 0;
        self.note_clocks();
    }

    /// So many clocks may be wild that no group has a majority of them.
    fn wild_max(&self) -> usize {
        let fewest = self.groups().map(|group| {
            let processes = self.hosts.iter().filter_map(|host| host.process.as_ref());
            let copies = processes.filter_map(|process| process.scheduler.copy(group));
            let voters = copies.map(|copy| copy.copies().voters.len());
            voters.min().unwrap_or(0).saturating_sub(1) / 2
        });
        fewest.min().unwrap_or(0)
    }

    pub(super) fn set_clocks_right(&mut self) {
        for host in self.hosts.iter_mut().filter(|host| host.step != 0) {
            host.step = 0;
            host.known_wild_until = self.now + HEARD_WITHIN;
        }
    }

    /// Notes how far clocks are off that are not wild.
    pub(crate) fn note_clocks(&mut self) {
        let truth = true_wall(self.now);
        let mut is_any_off = false;
        for host in &self.hosts {
            let wall = host.wall(self.now);
            let (ahead, behind) = (wall.since(truth), truth.since(wall));
            if host.step == 0 || self.slack.was_believed {
                let waits = &mut self.slack.waits;
                waits.0 = waits.0.max(ahead.as_micros() + 2 * MS);
                waits.1 = waits.1.max(behind.as_micros() + 2 * MS);
            }
            if host.step == 0 || self.slack.was_wild {
                let is_off = ahead.max(behind).as_micros() > SECOND;
                is_any_off |= is_off && host.step == 0;
                self.slack.ahead = self.slack.ahead.max(ahead.as_micros() + 2 * MS);
                self.slack.behind = self.slack.behind.max(behind.as_micros() + 2 * MS);
            }
        }
        self.saw_if("clock off", is_any_off);
        self.saw_if("clock drifts", self.hosts.iter().any(|host| host.rate != 0));
    }
}
