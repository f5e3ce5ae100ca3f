//! What a message must be for the library to take it: it panics of much that no copy of ours says.
//!
//! Who sends a frame is a member, and members are trusted to mean well. They are not trusted to be
//! free of bugs: one bad message must cost a repetition, not all groups of whoever receives it.
//! Absent on purpose: what can only be told by reading the commands of entries. Those are looked at
//! when they are applied; see `scheduler/applied.rs`.

use super::message::{RaftKind, RaftMessage};
use crate::durable::Copies;

impl RaftMessage {
    /// Whether a copy whose log ends at `last` may be given it.
    pub(super) fn is_sound(&self, last: u64) -> bool {
        // Without a term the library takes a message for one of its own making.
        self.term > 0
            && self.request_snapshot == 0
            && (self.kind == RaftKind::Snapshot) == self.snapshot.is_some()
            && (self.kind == RaftKind::Append || self.entries.is_empty())
            && match self.kind {
                // Before the first entry stands the state with which the group was founded.
                RaftKind::Append => {
                    (self.index > 0 || self.entries.is_empty()) && self.entries_join()
                }
                // A leader tells no more than what was acknowledged to it.
                RaftKind::Heartbeat => self.commit <= last,
                RaftKind::Snapshot => self.snapshot.as_ref().is_some_and(|state| {
                    state.index > 0 && state.term <= self.term && are_sound(&state.copies)
                }),
                RaftKind::AppendResponse
                | RaftKind::HeartbeatResponse
                | RaftKind::PreVote
                | RaftKind::PreVoteResponse
                | RaftKind::TimeoutNow
                | RaftKind::Vote
                | RaftKind::VoteResponse => true,
                // Only the owner reads, and only the leader hands over: nobody sends these.
                RaftKind::ReadIndex | RaftKind::ReadIndexResponse | RaftKind::TransferLeader => {
                    false
                }
            }
    }

    /// Whether the entries follow on the one before them, and on each other.
    fn entries_join(&self) -> bool {
        let mut before = (self.index, self.log_term);
        self.entries.iter().all(|entry| {
            let (index, term) = before;
            before = (entry.index, entry.term);
            index.checked_add(1) == Some(entry.index)
                && (term..=self.term).contains(&entry.term)
                && entry.is_sound()
        })
    }
}

/// Whether somebody votes, and nobody both votes and learns.
fn are_sound(copies: &Copies) -> bool {
    let votes = |copy| copies.voters.contains(copy) || copies.voters_outgoing.contains(copy);
    let ids = [&copies.voters, &copies.voters_outgoing, &copies.learners, &copies.learners_next];
    !copies.voters.is_empty()
        && !copies.learners.iter().any(votes)
        && copies.learners_next.iter().all(|copy| copies.voters_outgoing.contains(copy))
        && ids.iter().all(|ids| ids.iter().all(|copy| copy.0 > 0) && ids.is_sorted_by(|a, b| a < b))
}
