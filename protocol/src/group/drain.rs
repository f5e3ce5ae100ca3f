//! Taking out of a group what is to be done.

use std::mem;

use bytes::Bytes;
use raft::eraftpb::{Entry, EntryType, Message, MessageType};
use raft::{ProgressState, SnapshotStatus};

use super::message::{Body, GroupMessage};
use super::{Change, Group, Role, Roster, translate};
use crate::durable::{EntryKind, GroupWrite, LogEntry, Snapshot};
use crate::id::{NodeId, ReplicaId};
use crate::limits::LOG_MEMORY_BYTES_MAX;
use crate::sabotage::{self, Defect};

/// Ticks after which a snapshot that was sent and not acknowledged is taken to be lost, if it is small.
pub(super) const SNAPSHOT_TICKS_MAX: u32 = 50;
/// A large one has a tick more for each so many bytes: it may share a slow way with others, and to
/// send it again would only make that slower.
const SNAPSHOT_BYTES_PER_TICK: usize = 256 * 1024;

/// What a group wants done, in the order of the fields.
#[derive(Debug, Default)]
pub struct Drained {
    /// To be sent at once.
    pub messages: Vec<(NodeId, GroupMessage)>,
    /// To be made durable; then [`Group::persisted`] is to be called with the number.
    pub write: Option<(GroupWrite, u64)>,
    /// A state that replaces that of the machine, with its index.
    pub restored: Option<(u64, Bytes)>,
    /// Committed commands, to be applied in order.
    pub committed: Vec<LogEntry>,
    /// Changes of the copies that cannot be carried out, and why: they have no effect.
    pub passed_over: Vec<(u64, String)>,
    /// Reads that may be answered once the entry at the index is applied: (context, index).
    pub reads: Vec<(u64, u64)>,
    /// The copies have changed.
    pub copies_changed: bool,
    /// A follower needs the machine's state: [`Group::wants_state`], [`Group::offer_snapshot`].
    pub snapshot_wanted: bool,
}

impl Drained {
    /// Empties it for the next group.
    pub fn clear(&mut self) {
        *self = Self {
            messages: mem::take(&mut self.messages),
            committed: mem::take(&mut self.committed),
            ..Self::default()
        };
        self.messages.clear();
        self.committed.clear();
    }
}

impl Group {
    /// Whether [`drain`](Self::drain) would find anything.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.raw.has_ready() || self.quiescence.has_messages()
    }

    /// Takes out all there is to be done now.
    pub fn drain(&mut self, out: &mut Drained) {
        if self.role() == Role::Leader && sabotage::has(Defect::ApplyUncommitted) {
            self.raw.raft.raft_log.committed = self.raw.raft.raft_log.persisted;
        }
        while self.raw.has_ready() {
            self.drain_ready(out);
        }
        self.dismiss(out);
        for (to, body) in self.quiescence.take_messages() {
            self.address(to, body, &mut out.messages);
        }
        out.snapshot_wanted = self.raw.store().wants_snapshot();
        self.trim();
    }

    pub(super) fn drain_ready(&mut self, out: &mut Drained) {
        let mut ready = self.raw.ready();
        let number = ready.number();
        let mut needs_write = false;

        for state in ready.take_read_states() {
            if let Ok(context) = <[u8; 8]>::try_from(state.request_ctx.as_slice()) {
                out.reads.push((u64::from_le_bytes(context), state.index));
            }
        }
        if !ready.snapshot().is_empty() {
            self.install(ready.snapshot().clone(), out);
            needs_write = true;
        }
        let entries = ready.take_entries();
        if !entries.is_empty() {
            self.raw.mut_store().append(&entries);
            append(self.write_of(out), entries);
            needs_write = true;
        }
        let state = translate::from_hard_state(&self.raw.raft.hard_state());
        let new_vote = self.promised != (state.term, state.vote);
        self.promised = (state.term, state.vote);
        if new_vote || needs_write {
            // The commit index alone is not worth a sync. But it must be on disk with the entries
            // behind it: a copy that has an entry and does not know that a change of the copies
            // before it was committed would, after a restart, vote in a configuration long left.
            self.write_of(out).hard_state = Some(state);
            needs_write = true;
        }
        if needs_write {
            self.writes.push_back(number);
            if let Some((_, write_number)) = &mut out.write {
                *write_number = number;
            }
        }
        if new_vote {
            self.vote_in_flight = Some(number);
        }

        let now = ready.take_messages();
        if self.vote_in_flight.is_some() {
            self.hold(number, now);
        } else {
            self.send(now, &mut out.messages);
        }
        let later = ready.take_persisted_messages();
        if self.writes.is_empty() || sabotage::has(Defect::AcknowledgeUnsynced) {
            self.send(later, &mut out.messages);
        } else {
            self.hold(number, later);
        }

        let committed = ready.take_committed_entries();
        self.raw.advance_append_async(ready);
        if self.writes.is_empty() {
            self.raw.on_persist_ready(number);
        }
        self.apply(committed, out);
    }

    /// All that was drained up to `number` is durable.
    pub fn persisted(&mut self, number: u64) {
        while self.writes.pop_front_if(|oldest| *oldest <= number).is_some() {}
        if self.vote_in_flight.is_some_and(|newest| newest <= number) {
            self.vote_in_flight = None;
        }
        self.raw.on_persist_ready(number);
        // A state that was installed counts as applied only now.
        let log = &self.raw.raft.raft_log;
        if log.applied < self.applied && log.persisted >= self.applied {
            self.raw.advance_apply_to(self.applied);
        }
    }

    /// Messages that were held back for durability and may go now; to be called after
    /// [`persisted`](Self::persisted).
    pub fn release(&mut self, out: &mut Drained) {
        // What was drained before the oldest write that is still on its way.
        let limit = self.writes.front().copied().unwrap_or(u64::MAX);
        while self.held.front().is_some_and(|(number, _)| *number < limit) {
            if let Some((_, mut messages)) = self.held.pop_front() {
                // What was taken in under an earlier leader may have been overwritten before it was on
                // disk. Nobody but that leader would be told, and it leads no more.
                messages.retain(|message| {
                    message.get_msg_type() != MessageType::MsgAppendResponse
                        || message.reject
                        || message.term >= self.term()
                });
                self.send(messages, &mut out.messages);
            }
        }
    }

    /// Whether the log has grown so much, compared to a state of `state_bytes`, that the state
    /// should be saved.
    #[must_use]
    pub fn wants_checkpoint(&self, state_bytes: usize) -> bool {
        let limits = &self.limits;
        self.log_bytes > limits.log_bytes_min.max(state_bytes.saturating_mul(limits.log_per_state))
    }

    /// The machine's state at the last applied entry, to be saved in place of the log before it.
    pub fn checkpoint(&mut self, data: &Bytes) -> Snapshot {
        self.log_bytes = 0;
        self.state(data)
    }

    /// Followers that are too far behind for entries, and are not on their way to have a state. There
    /// are none if this copy has lost the lead since one asked: the library would send all the same,
    /// in the name of a term that another leads.
    #[must_use]
    pub fn wants_state(&self) -> Vec<(ReplicaId, NodeId)> {
        if self.role() != Role::Leader {
            return Vec::new();
        }
        let first = self.raw.raft.raft_log.first_index();
        (self.raw.raft.prs().iter())
            .filter(|(id, progress)| match progress.state {
                _ if **id == self.replica.0 => false,
                // In the second case it was away while more was sent than may be under way, or what
                // it needs next was cut meanwhile.
                ProgressState::Probe | ProgressState::Replicate => {
                    progress.recent_active && progress.next_idx < first
                }
                ProgressState::Snapshot => false,
            })
            .filter_map(|(id, _)| Some((ReplicaId(*id), self.roster.node(ReplicaId(*id))?)))
            .collect()
    }

    /// Nodes to which a state is under way.
    #[must_use]
    pub fn states_under_way(&self) -> Vec<NodeId> {
        if self.role() != Role::Leader {
            return Vec::new();
        }
        (self.raw.raft.prs().iter())
            .filter(|(_, progress)| progress.state == ProgressState::Snapshot)
            .filter_map(|(id, _)| self.roster.node(ReplicaId(*id)))
            .collect()
    }

    /// What was under way to `node` is lost: a state that was is sent once more, when it is its turn.
    pub fn lose_states_to(&mut self, node: NodeId) {
        let lost: Vec<u64> = (self.raw.raft.prs().iter())
            .filter(|(_, progress)| progress.state == ProgressState::Snapshot)
            .filter(|(id, _)| self.roster.node(ReplicaId(**id)) == Some(node))
            .map(|(id, _)| *id)
            .collect();
        for replica in lost {
            self.raw.report_snapshot(replica, SnapshotStatus::Failure);
        }
    }

    /// Nobody wants a state any more.
    pub fn forget_wish(&mut self) {
        self.raw.mut_store().withdraw_wish();
    }

    /// Gives the followers `to`, which are too far behind, the machine's state.
    pub fn offer_snapshot(&mut self, data: &Bytes, to: &[ReplicaId]) {
        if self.role() != Role::Leader {
            return self.forget_wish();
        }
        let state = self.state(data);
        self.offered_bytes = state.data.len();
        self.raw.mut_store().offer(translate::to_snapshot(state), to);
        for replica in to {
            if let Some(progress) = self.raw.raft.mut_prs().get_mut(replica.0) {
                progress.resume();
            }
            self.raw.raft.send_append(replica.0);
        }
        self.raw.mut_store().withdraw_offer();
    }

    /// Copies that wait for a state for too long are sent another.
    pub(super) fn tick_snapshots(&mut self) {
        let mut any = false;
        let mut lost = Vec::new();
        for (id, progress) in self.raw.raft.prs().iter() {
            if progress.state == ProgressState::Snapshot {
                any = true;
                lost.push(*id);
            }
        }
        self.snapshot_ticks = if any { self.snapshot_ticks + 1 } else { 0 };
        let more = self.offered_bytes / SNAPSHOT_BYTES_PER_TICK;
        let patience = SNAPSHOT_TICKS_MAX.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        if self.snapshot_ticks > patience {
            self.snapshot_ticks = 0;
            for replica in lost {
                self.raw.report_snapshot(replica, SnapshotStatus::Failure);
            }
        }
    }

    fn state(&self, data: &Bytes) -> Snapshot {
        let term = self.raw.raft.raft_log.term(self.applied).expect("the last applied is at hand");
        Snapshot { index: self.applied, term, copies: self.copies(), data: self.roster.seal(data) }
    }

    fn install(&mut self, snapshot: raft::eraftpb::Snapshot, out: &mut Drained) {
        let copies = snapshot.get_metadata().get_conf_state().clone();
        let snapshot = translate::from_snapshot(snapshot);
        self.raw.mut_store().restore(snapshot.index, snapshot.term, copies);
        let (roster, data) = Roster::unseal(&snapshot.data)
            .expect("a state is checked when it arrives, before it gets here");
        self.roster = roster;
        self.applied = snapshot.index;
        self.log_bytes = 0;
        out.copies_changed = true;
        out.committed.clear();
        out.restored = Some((snapshot.index, data));
        let write = self.write_of(out);
        write.entries.clear();
        write.snapshot = Some(snapshot);
    }

    fn apply(&mut self, committed: Vec<Entry>, out: &mut Drained) {
        let Some(last) = committed.last().map(|entry| entry.index) else {
            return;
        };
        for entry in committed {
            self.log_bytes += entry.data.len() + entry.context.len();
            match entry.get_entry_type() {
                EntryType::EntryNormal if entry.data.is_empty() => {}
                EntryType::EntryNormal => out.committed.push(translate::from_entry(entry)),
                EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
                    match self.apply_change(&entry.context) {
                        Ok(()) => out.copies_changed = true,
                        Err(why) => out.passed_over.push((entry.index, why)),
                    }
                }
            }
        }
        self.applied = last;
        // While an installed state is not durable nothing behind it can be committed here.
        self.raw.advance_apply_to(last);
    }

    fn write_of<'a>(&self, out: &'a mut Drained) -> &'a mut GroupWrite {
        let empty = GroupWrite {
            group: self.id,
            replica: self.replica,
            destroy: false,
            snapshot: None,
            entries: Vec::new(),
            hard_state: None,
            checkpoint: None,
        };
        &mut out.write.get_or_insert((empty, 0)).0
    }

    fn hold(&mut self, number: u64, messages: Vec<Message>) {
        if !messages.is_empty() {
            self.held.push_back((number, messages));
        }
    }

    fn send(&self, messages: Vec<Message>, out: &mut Vec<(NodeId, GroupMessage)>) {
        for message in messages {
            let to = ReplicaId(message.to);
            if let Some(message) = translate::from_raft(message) {
                self.address(to, Body::Raft(Box::new(message)), out);
            }
        }
    }

    fn address(&self, to: ReplicaId, body: Body, out: &mut Vec<(NodeId, GroupMessage)>) {
        // A blank copy that was just added knows nobody's place yet: whoever drives it answers the
        // node that the question came from.
        if let Some(node) = self.roster.node(to).or_else(|| self.leader_hint(to)) {
            let message = GroupMessage { group: self.id, from: self.replica, to, body };
            out.push((node, message));
        }
    }

    fn trim(&mut self) {
        let applied = self.raw.raft.raft_log.applied;
        // Only a leader knows how far the others are, and only it has to bring them further.
        let needed = (self.raw.raft.prs().iter())
            .filter(|_| self.role() == Role::Leader)
            .filter(|(id, progress)| **id != self.replica.0 && progress.recent_active)
            .map(|(_, progress)| progress.matched)
            .min()
            .unwrap_or(applied);
        let tail = self.limits.log_tail_bytes;
        if self.raw.store().bytes() > tail {
            self.raw.mut_store().trim(applied.min(needed), tail);
            self.raw.mut_store().trim(applied, LOG_MEMORY_BYTES_MAX);
        }
    }
}

/// Adds entries to what is to be written; they replace those that stand from the first of them on.
fn append(write: &mut GroupWrite, entries: Vec<Entry>) {
    if let Some(first) = entries.first() {
        write.entries.retain(|entry| entry.index < first.index);
    }
    write.entries.extend(entries.into_iter().map(translate::from_entry));
}

impl GroupWrite {
    /// Adds what the same copy writes later, so that both become durable as one.
    pub fn merge(&mut self, later: Self) {
        if later.replica != self.replica || later.destroy {
            *self = later;
            return;
        }
        if later.snapshot.is_some() {
            self.snapshot = later.snapshot;
            self.entries.clear();
            self.checkpoint = None;
        }
        if let Some(first) = later.entries.first() {
            let index = first.index;
            self.entries.retain(|entry| entry.index < index);
        }
        self.entries.extend(later.entries);
        self.hard_state = later.hard_state.or(self.hard_state);
        self.checkpoint = later.checkpoint.or_else(|| self.checkpoint.take());
    }
}

impl LogEntry {
    /// Whether it can be carried out once it is committed.
    pub(super) fn is_sound(&self) -> bool {
        match self.kind {
            EntryKind::Commands => true,
            EntryKind::Membership => Change::read(&self.data).is_ok(),
        }
    }

    /// Whether it holds commands.
    #[must_use]
    pub fn is_commands(&self) -> bool {
        self.kind == EntryKind::Commands
    }
}
