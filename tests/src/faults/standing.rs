//! Processes that stand still: for seconds, for minutes, or now and again for a moment.

use super::Fault;
use crate::plan::{MS, SECOND};
use crate::world::{What, World};

/// For how long a process stands still at most, if it is not stopped for long.
const PAUSE_MAX: u64 = 8 * SECOND;
/// A connection to somebody who says nothing is given up after so long.
const IDLE: u64 = 5 * SECOND;

impl World {
    pub(super) fn pause(&mut self, host: usize) {
        let time = self.between(100 * MS, PAUSE_MAX);
        self.saw_if("pause", self.hosts[host].process.is_some());
        self.stand(host, time);
    }

    /// Longer than anybody waits. Whoever is connected notices after a while that nothing comes.
    pub(super) fn stop_for_long(&mut self, host: usize) {
        let time = self.between(60 * SECOND, 180 * SECOND);
        if self.hosts[host].process.as_ref().is_some_and(|process| process.executor.held() > 0) {
            self.saw("stopped with runs");
        }
        self.saw_if("stopped for long", self.hosts[host].process.is_some());
        self.stand(host, time);
        for other in 0..self.hosts.len() {
            if let Some(epoch) = self.network.present(host, other) {
                let at = self.now + self.between(IDLE / 2, IDLE);
                self.push(at, What::Breaks { a: host, b: other, epoch });
            }
        }
    }

    fn stand(&mut self, host: usize, time: u64) {
        if self.hosts[host].process.is_none() {
            return;
        }
        self.trace(|| format!("host {host} stands still for {time} us"));
        self.slack.read_late = self.slack.read_late.max(time);
        let until = self.hosts[host].paused_until.max(self.now + time);
        self.hosts[host].paused_until = until;
        self.hosts[host].late_until = self.hosts[host].late_until.max(until);
        self.push(until, What::Fault(Fault::GoOn(host)));
    }

    /// Each thing that happens to it is dealt with late, in order: it has a moment now and then.
    pub(super) fn starve(&mut self, host: usize) {
        self.saw_if("starved", self.hosts[host].process.is_some());
        self.note_trouble(host);
        // Now so that all goes on late, now so that its node has to let others do its part.
        self.hosts[host].turn_after = if self.flip(0.5) { 200 * MS } else { 1_500 * MS };
        self.hosts[host].starved_until = self.now + self.between(2 * SECOND, 20 * SECOND);
        self.turn_ends(host);
    }

    /// A starved process waits for its next turn.
    pub(super) fn turn_ends(&mut self, host: usize) {
        let one = &self.hosts[host];
        if one.starved_until > self.now && one.paused_until <= self.now {
            let time = self.between(5 * MS, one.turn_after);
            self.stand(host, time);
        }
    }

    /// It deals with all that has come meanwhile, in order.
    pub(super) fn go_on(&mut self, host: usize) {
        if self.hosts[host].paused_until > self.now {
            return;
        }
        for what in std::mem::take(&mut self.hosts[host].backlog) {
            self.happen(what);
        }
        if self.hosts[host].starved_until > self.now {
            let at = self.now + self.between(0, 5 * MS);
            self.push(at, What::Fault(Fault::TurnEnds(host)));
        }
    }

    /// Whether a process stands still now, and not just for a moment.
    #[must_use]
    pub fn stands(&self, host: usize) -> bool {
        let one = &self.hosts[host];
        one.paused_until > self.now && one.starved_until <= self.now
    }
}
