//! One consensus group, driven through TiKV's `raft` without I/O.
//!
//! A [`Group`] keeps one copy of a log in step with the other copies. It knows nothing of what the
//! entries mean. Its driver feeds it ([`step`](Group::step), [`propose`](Group::propose),
//! [`tick`](Group::tick), [`persisted`](Group::persisted)) and then drains what is to be done
//! ([`drain`](Group::drain)): what to write, what to send, what to apply.
//!
//! What is sent before it is durable here: a leader's entries, so that followers write them at the
//! same time as the leader. What is never: anything of a term or vote that is not durable yet.

mod copies;
mod drain;
mod log;
mod message;
mod quiescence;
mod soundness;
#[cfg(test)]
mod tests;
mod translate;

use std::collections::VecDeque;

use raft::{Config, RawNode, StateRole};
use slog::{Discard, Logger, o};
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use self::copies::{Change, Roster};
pub use self::drain::Drained;
use self::log::Log;
pub use self::message::{Body, GroupMessage, RaftKind, RaftMessage};
use self::quiescence::Quiescence;
use crate::durable::{Copies, Snapshot, StoredGroup};
use crate::id::{GroupId, NodeId, ReplicaId};
use crate::limits::{
    APPEND_BYTES_MAX, APPENDS_IN_FLIGHT_MAX, ENTRY_BYTES_MAX, GROUP_UNCOMMITTED_BYTES_MAX, Limits,
};
use crate::sabotage::{self, Defect};
use crate::time::Span;

/// How often a group that is awake is ticked.
pub const TICK: Span = Span::from_millis(100);
/// Ticks between two heartbeats of a leader.
const HEARTBEAT_TICKS: usize = 3;
/// Ticks without a leader after which its followers stop protecting it.
const ELECTION_TICKS: usize = 10;
/// Each copy campaigns after this many ticks plus 0 to 9, fixed by its id and its term: the generator
/// that the library would draw from is not seeded. Copies whose times fall together split the vote,
/// which makes a new term, in which they do not.
const CAMPAIGN_TICKS: usize = 13;
/// Different times that there are.
const CAMPAIGN_SPREAD: usize = 10;

/// So many ticks later than it else would does a copy campaign whose node cannot do its part: long
/// after all that can, and yet in time if nobody does.
const RELUCTANT_TICKS: usize = 30;

/// One copy of a group.
pub struct Group {
    id: GroupId,
    replica: ReplicaId,
    raw: RawNode<Log>,
    roster: Roster,
    quiescence: Quiescence,
    /// Messages that wait for the readiness of this number to be durable.
    held: VecDeque<(u64, Vec<raft::eraftpb::Message>)>,
    /// The term and vote that were last handed to the store.
    promised: (u64, u64),
    /// The newest readiness whose term or vote is not durable.
    vote_in_flight: Option<u64>,
    /// Every readiness that writes anything and is not durable, oldest first.
    writes: VecDeque<u64>,
    /// Log bytes of what was applied since the last state that was saved: so much less the next one
    /// would leave.
    log_bytes: usize,
    /// Ticks for which some copy has waited for a state.
    snapshot_ticks: u32,
    /// How large the state is that was handed out last.
    offered_bytes: usize,
    /// Where messages of copies came from that the roster does not tell yet.
    heard_from: Option<(ReplicaId, NodeId)>,
    /// Copies that were removed lately; a leader tells them.
    gone: VecDeque<(ReplicaId, NodeId)>,
    /// Term and index of the entry behind which they may be told.
    farewell: Option<(u64, u64)>,
    /// Ticks since a leader last spoke to this copy.
    silent_ticks: u32,
    /// How much of the log is kept.
    limits: Limits,
    /// The highest index for which the driver has been given all entries.
    applied: u64,
    /// Whether it campaigns only if nobody else does.
    is_reluctant: bool,
}

/// What part a copy plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It asks for votes.
    Candidate,
    /// It follows, or looks for a leader.
    Follower,
    /// It leads: its node owns the partition.
    Leader,
}

/// A proposal was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Too much is proposed and not committed.
    #[error("too much is waiting to be committed")]
    Full,
    /// This copy does not lead, or is handing its lead over.
    #[error("this copy does not lead its group")]
    NotLeader,
    /// It is longer than [`ENTRY_BYTES_MAX`]: no frame could carry it. Propose it in parts.
    #[error("an entry of {bytes} bytes where {ENTRY_BYTES_MAX} are allowed")]
    TooLarge {
        /// How long it is.
        bytes: usize,
    },
}

impl Group {
    /// The first copy of a new group, alone in it: its state at index 1 is `data`.
    #[must_use]
    pub fn founding(group: GroupId, node: NodeId, data: bytes::Bytes) -> StoredGroup {
        let roster = Roster::founding(node);
        StoredGroup {
            group,
            replica: ReplicaId::FIRST,
            destroyed: false,
            hard_state: crate::durable::HardState { term: 1, vote: 0, commit: 1 },
            snapshot: Some(Snapshot {
                index: 1,
                term: 1,
                copies: Copies { voters: vec![ReplicaId::FIRST], ..Copies::default() },
                data: roster.seal(&data),
            }),
            entries: Vec::new(),
        }
    }

    /// A copy that knows nothing yet: a leader will bring it up to date.
    #[must_use]
    pub fn blank(group: GroupId, replica: ReplicaId) -> StoredGroup {
        StoredGroup {
            group,
            replica,
            destroyed: false,
            hard_state: crate::durable::HardState::default(),
            snapshot: None,
            entries: Vec::new(),
        }
    }

    /// The copy that `stored` holds, and the state its machine is to be rebuilt from.
    ///
    /// # Panics
    /// When `stored` is not what a group writes: the store has checked it.
    #[must_use]
    pub fn open(stored: StoredGroup) -> (Self, Option<bytes::Bytes>) {
        let StoredGroup { group, replica, destroyed: _, hard_state, snapshot, entries } = stored;
        let applied = snapshot.as_ref().map_or(0, |snapshot| snapshot.index);
        let (roster, data) = match &snapshot {
            Some(snapshot) => {
                let (roster, data) =
                    Roster::unseal(&snapshot.data).expect("the store checks what it returns");
                (roster, Some(data))
            }
            None => (Roster::default(), None),
        };
        let vote = if sabotage::has(Defect::ForgetVote) { 0 } else { hard_state.vote };
        let hard_state = crate::durable::HardState { vote, ..hard_state };
        let promised = (hard_state.term, hard_state.vote);
        let log = Log::new(hard_state, snapshot, entries);
        let logger = Logger::root(Discard, o!());
        let raw = RawNode::new(&config(replica, applied), log, &logger)
            .expect("the configuration is ours and the storage cannot fail");
        let group = Self {
            id: group,
            replica,
            raw,
            roster,
            quiescence: Quiescence::new(),
            held: VecDeque::new(),
            promised,
            vote_in_flight: None,
            writes: VecDeque::new(),
            log_bytes: 0,
            snapshot_ticks: 0,
            offered_bytes: 0,
            heard_from: None,
            gone: VecDeque::new(),
            farewell: None,
            silent_ticks: 0,
            limits: Limits::default(),
            applied,
            is_reluctant: false,
        };
        (group, data)
    }

    /// Keeps as much of the log as `limits` say.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether it campaigns only if nobody else does.
    pub const fn set_reluctant(&mut self, is_reluctant: bool) {
        self.is_reluctant = is_reluctant;
    }

    /// Which group.
    #[must_use]
    pub const fn id(&self) -> GroupId {
        self.id
    }

    /// Which copy of it.
    #[must_use]
    pub const fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// What part it plays.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.raw.raft.state {
            StateRole::Leader => Role::Leader,
            StateRole::Follower => Role::Follower,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
        }
    }

    /// Whether it leads and has applied an entry of its own term, so that it may grant and answer.
    #[must_use]
    pub fn is_settled_leader(&self) -> bool {
        self.role() == Role::Leader
            && self.raw.raft.commit_to_current_term()
            && self.raw.raft.raft_log.term(self.applied).is_ok_and(|term| term == self.term())
    }

    /// The present term.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.raw.raft.term
    }

    /// The copy that this one has voted for in the present term, if any.
    #[must_use]
    pub fn vote(&self) -> Option<ReplicaId> {
        let vote = self.raw.raft.vote;
        (vote != raft::INVALID_ID).then_some(ReplicaId(vote))
    }

    /// The node of the leader, as far as this copy knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.roster.node(ReplicaId(self.raw.raft.leader_id))
    }

    /// Where the copy `to` was last heard from, if the roster does not tell: a new copy knows only
    /// who speaks to it.
    fn leader_hint(&self, to: ReplicaId) -> Option<NodeId> {
        self.heard_from.filter(|(replica, _)| *replica == to).map(|(_, node)| node)
    }

    /// The highest index whose entries were handed out.
    #[must_use]
    pub const fn applied(&self) -> u64 {
        self.applied
    }

    /// The index that the next proposal would get.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.raw.raft.raft_log.last_index() + 1
    }

    /// Which copies there are, and where.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Whether this copy has any state: a blank one waits for its leader.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.raw.raft.raft_log.last_index() == 0
    }

    /// Puts `data` into the log, if this copy leads; returns the index that it stands at.
    ///
    /// # Errors
    /// When it does not lead, too much is uncommitted, or no frame could carry it: nothing was
    /// proposed.
    pub fn propose(&mut self, data: Vec<u8>) -> Result<u64, ProposeError> {
        if self.role() != Role::Leader {
            return Err(ProposeError::NotLeader);
        }
        if data.len() > ENTRY_BYTES_MAX {
            return Err(ProposeError::TooLarge { bytes: data.len() });
        }
        self.wake();
        self.quiescence.on_work();
        match self.raw.propose(Vec::new(), data) {
            Ok(()) => Ok(self.raw.raft.raft_log.last_index()),
            Err(_) if self.raw.raft.lead_transferee.is_some() => Err(ProposeError::NotLeader),
            Err(_) => Err(ProposeError::Full),
        }
    }

    /// Asks for the log to be confirmed up to now; the answer comes as a
    /// [read](Drained::reads) with `context` once it is.
    pub fn read_index(&mut self, context: u64) {
        self.wake();
        self.raw.read_index(context.to_le_bytes().to_vec());
    }

    /// One tick has passed.
    pub fn tick(&mut self) {
        if self.quiescence.is_asleep() {
            return self.tick_stray();
        }
        self.set_patience();
        if !self.waits_for_disk() {
            self.raw.tick();
        }
        self.tick_snapshots();
        self.tick_quiescence();
        self.tick_stray();
    }

    /// Whether the next tick would make it campaign while its disk is busy. The library takes it for
    /// granted that a copy which campaigns has all it knows on disk; and nobody would be asked for a
    /// vote before that is so.
    fn waits_for_disk(&self) -> bool {
        let raft = &self.raw.raft;
        self.role() != Role::Leader
            && !self.writes.is_empty()
            && raft.election_elapsed + 1 >= raft.randomized_election_timeout()
    }

    /// Fixes for how long it hears no leader before it campaigns.
    pub(super) fn set_patience(&mut self) {
        let reluctance = if self.is_reluctant { RELUCTANT_TICKS } else { 0 };
        let patience = CAMPAIGN_TICKS + spread(self.id, self.replica, self.term()) + reluctance;
        self.raw.raft.set_randomized_election_timeout(patience);
    }

    /// Hands the lead to the copy on `node`, if it is caught up.
    pub fn hand_over(&mut self, node: NodeId) {
        if self.role() != Role::Leader {
            return;
        }
        if let Some(to) = self.roster.replica_on(node) {
            self.wake();
            self.raw.transfer_leader(to.0);
        }
    }

    /// Whether it is letting another copy lead: it proposes nothing meanwhile. That comes to its end
    /// also if the other one does not answer.
    #[must_use]
    pub fn is_handing_over(&self) -> bool {
        self.raw.raft.lead_transferee.is_some()
    }

    /// Campaigns at once: for the first copy of a new group, which has nobody to wait for.
    pub fn campaign(&mut self) {
        // The library would let one campaign that does not vote.
        if self.raw.raft.promotable() {
            let _ = self.raw.campaign();
        }
    }

    /// Takes a message from another copy, which came from `node`.
    pub fn step(&mut self, node: NodeId, message: GroupMessage) {
        let GroupMessage { group: _, from, to: _, body } = message;
        self.heard_from = Some((from, node));
        if body.is_of_leader() {
            self.silent_ticks = 0;
        }
        match body {
            Body::Raft(message) => {
                if !message.is_sound(self.raw.raft.raft_log.last_index()) {
                    return;
                }
                if message.kind == RaftKind::TimeoutNow && !self.writes.is_empty() {
                    // As in `waits_for_disk`; it is one that comes late.
                    return;
                }
                self.wake();
                if message.carries_work() {
                    self.quiescence.on_work();
                }
                if self.raw.raft.leader_id == from.0 && message.seeks_term_after(self.term()) {
                    // Its leader has started again and knows nothing of that. Those that sleep would
                    // protect it from itself.
                    self.raw.raft.leader_id = raft::INVALID_ID;
                }
                let message = translate::to_raft(from, self.replica, *message);
                // Errors are messages from copies that are gone; they change nothing.
                let _ = self.raw.step(message);
            }
            Body::Sleep { term, index } => self.asked_to_sleep(from, term, index),
            Body::Slept { term, index } => self.copy_sleeps(from, term, index),
            Body::Gone | Body::Stray | Body::Lost => {}
        }
    }
}

fn config(replica: ReplicaId, applied: u64) -> Config {
    Config {
        id: replica.0,
        election_tick: ELECTION_TICKS,
        heartbeat_tick: HEARTBEAT_TICKS,
        min_election_tick: CAMPAIGN_TICKS,
        max_election_tick: CAMPAIGN_TICKS + CAMPAIGN_SPREAD + RELUCTANT_TICKS,
        applied,
        max_size_per_msg: APPEND_BYTES_MAX,
        max_inflight_msgs: APPENDS_IN_FLIGHT_MAX,
        check_quorum: true,
        pre_vote: true,
        max_uncommitted_size: GROUP_UNCOMMITTED_BYTES_MAX,
        ..Config::default()
    }
}

/// By how many ticks a copy of `group` campaigns later than it might.
fn spread(group: GroupId, replica: ReplicaId, term: u64) -> usize {
    let of = u128::from(replica.0) << 64 | u128::from(term);
    let hash = xxh3_64_with_seed(&of.to_le_bytes(), u64::from(group.0));
    let ticks = hash % CAMPAIGN_SPREAD as u64;
    usize::try_from(ticks).expect("below ten")
}
