//! Sleeping while nothing happens, and waking without harm.
//!
//! A group that has had no work for a while stops ticking and sending altogether. Its leader asks
//! every copy, by a handshake, and all must have everything: so a sleeping group always has a
//! leader and nothing to catch up with. Liveness then comes from gossip: whoever learns that the
//! leader's node is suspected wakes the group's followers, and they campaign.
//!
//! Waking must reset what stood still. A leader counts its followers as active again, else its next
//! quorum check would depose it; followers forgive the time they slept, else they would campaign.

use std::collections::BTreeSet;
use std::mem;

use super::message::Body;
use super::{CAMPAIGN_TICKS, ELECTION_TICKS, Group, Role};
use crate::id::{NodeId, ReplicaId};
use crate::sabotage::{self, Defect};

/// Ticks without work after which a leader asks to sleep.
pub(super) const QUIET_TICKS: u32 = 10;
/// Ticks for which a leader waits for all to agree before it beats again.
pub(super) const HANDSHAKE_TICKS: u32 = 5;

/// The index in the answer of a copy that does not sleep.
const NOT_ASLEEP: u64 = 0;

pub(super) struct Quiescence {
    state: State,
    quiet_ticks: u32,
    messages: Vec<(ReplicaId, Body)>,
}

enum State {
    Awake,
    /// A leader that has asked and waits for these.
    Asking {
        index: u64,
        missing: BTreeSet<ReplicaId>,
        ticks: u32,
    },
    Asleep,
}

impl Quiescence {
    pub(super) const fn new() -> Self {
        Self { state: State::Awake, quiet_ticks: 0, messages: Vec::new() }
    }

    pub(super) const fn is_asleep(&self) -> bool {
        matches!(self.state, State::Asleep)
    }

    pub(super) const fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    pub(super) fn take_messages(&mut self) -> Vec<(ReplicaId, Body)> {
        mem::take(&mut self.messages)
    }

    /// Something happened: the time of quiet begins anew.
    pub(super) fn on_work(&mut self) {
        self.quiet_ticks = 0;
        if matches!(self.state, State::Asking { .. }) {
            self.state = State::Awake;
        }
    }
}

impl Group {
    /// Whether it neither ticks nor sends.
    #[must_use]
    pub const fn is_asleep(&self) -> bool {
        self.quiescence.is_asleep()
    }

    /// Ticks again, as if no time had passed.
    pub fn wake(&mut self) {
        if !self.is_asleep() {
            return;
        }
        self.quiescence.state = State::Awake;
        self.quiescence.quiet_ticks = 0;
        self.silent_ticks = 0;
        self.raw.raft.election_elapsed = 0;
        if self.role() == Role::Leader {
            self.all_are_there();
            // Followers that fell asleep wake by this, too.
            self.raw.ping();
        }
    }

    /// All copies have been heard of a moment ago, also by messages that the library knows nothing of.
    /// Nobody would count one as there that a quorum check in between had forgotten: no more is heard
    /// while all sleep.
    fn all_are_there(&mut self) {
        for (_, progress) in self.raw.raft.mut_prs().iter_mut() {
            progress.recent_active = true;
        }
    }

    /// The node of the leader is suspected: campaigns within the next `jitter` ticks (at most 3),
    /// and no longer protects that leader. One that is reluctant only does the latter.
    pub fn suspect_leader(&mut self, node: NodeId, jitter: usize) {
        if self.role() != Role::Follower || self.leader() != Some(node) {
            return;
        }
        if self.is_asleep() && sabotage::has(Defect::SleepOn) {
            return;
        }
        self.wake();
        self.set_patience();
        if self.is_reluctant {
            let raft = &mut self.raw.raft;
            raft.election_elapsed = raft.election_elapsed.max(ELECTION_TICKS);
            return;
        }
        let due = self.raw.raft.randomized_election_timeout().saturating_sub(1 + jitter.min(2));
        const { assert!(CAMPAIGN_TICKS - 3 >= ELECTION_TICKS) };
        self.raw.raft.election_elapsed = self.raw.raft.election_elapsed.max(due);
    }

    pub(super) fn tick_quiescence(&mut self) {
        if self.role() != Role::Leader {
            return;
        }
        match &mut self.quiescence.state {
            State::Asleep => {}
            State::Asking { ticks, .. } => {
                *ticks += 1;
                if *ticks > HANDSHAKE_TICKS {
                    self.quiescence.on_work();
                    self.raw.ping();
                }
            }
            State::Awake => {
                self.quiescence.quiet_ticks += 1;
                if self.quiescence.quiet_ticks >= QUIET_TICKS && self.may_sleep() {
                    self.ask_to_sleep();
                }
            }
        }
    }

    /// Whether every copy has everything and nothing is under way.
    fn may_sleep(&self) -> bool {
        let raft = &self.raw.raft;
        let last = raft.raft_log.last_index();
        raft.raft_log.committed == last
            && self.applied == last
            && self.writes.is_empty()
            && !self.is_changing()
            && raft.lead_transferee.is_none()
            && raft.pending_read_count() == 0
            && raft.prs().iter().all(|(id, progress)| {
                *id == self.replica.0 || (progress.matched == last && progress.recent_active)
            })
    }

    fn ask_to_sleep(&mut self) {
        let (term, index) = (self.term(), self.raw.raft.raft_log.last_index());
        let missing: BTreeSet<ReplicaId> = (self.raw.raft.prs().iter())
            .map(|(id, _)| ReplicaId(*id))
            .filter(|replica| *replica != self.replica)
            .collect();
        if missing.is_empty() {
            self.quiescence.state = State::Asleep;
            return;
        }
        for replica in &missing {
            self.quiescence.messages.push((*replica, Body::Sleep { term, index }));
        }
        self.quiescence.state = State::Asking { index, missing, ticks: 0 };
    }

    pub(super) fn asked_to_sleep(&mut self, from: ReplicaId, term: u64, index: u64) {
        let raft = &self.raw.raft;
        let agrees = self.role() == Role::Follower
            && raft.leader_id == from.0
            && raft.term == term
            && raft.raft_log.last_index() == index
            && raft.raft_log.committed == index
            && self.applied == index
            && self.writes.is_empty();
        if agrees {
            self.quiescence.state = State::Asleep;
        }
        let index = if agrees { index } else { NOT_ASLEEP };
        self.quiescence.messages.push((from, Body::Slept { term, index }));
    }

    /// A copy that has heard nothing for long asks whether it still is one. It may have started again
    /// while all others sleep: it does not know who leads, may lack what it had not been told to be
    /// committed, and one that has no vote cannot wake the others by an election. So it is asked whether
    /// it sleeps as well, and the group wakes if it does not.
    pub fn ask_stray(&mut self, replica: ReplicaId) {
        let is_other = replica != self.replica && self.raw.raft.prs().get(replica.0).is_some();
        if is_other && self.role() == Role::Leader && self.is_asleep() {
            let (term, index) = (self.term(), self.raw.raft.raft_log.last_index());
            self.quiescence.messages.push((replica, Body::Sleep { term, index }));
        }
    }

    pub(super) fn copy_sleeps(&mut self, from: ReplicaId, term: u64, index: u64) {
        if self.role() != Role::Leader || self.term() != term {
            return;
        }
        match &mut self.quiescence.state {
            State::Asking { index: asked, missing, .. } if *asked == index => {
                missing.remove(&from);
                if missing.is_empty() {
                    self.quiescence.state = State::Asleep;
                    self.all_are_there();
                }
            }
            State::Asleep if index == NOT_ASLEEP => self.wake(),
            // It slept too late: the leader went on. Its next beat wakes the copy.
            _ => {}
        }
    }
}
