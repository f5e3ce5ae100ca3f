//! What `raft` sees as its storage: the log's end in memory.
//!
//! Entries are here from the moment they are handed to the store; `raft` itself keeps count of
//! which are durable. What lies before [`Log::first_index`] is only on disk and in snapshots.

use std::cell::Cell;
use std::collections::VecDeque;

use raft::eraftpb::{ConfState, Entry, Snapshot as RaftSnapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use super::translate;
use crate::durable::{HardState, LogEntry, Snapshot};
use crate::id::ReplicaId;

pub(super) struct Log {
    hard_state: raft::eraftpb::HardState,
    /// Who held copies at the point from which the log was opened.
    copies: ConfState,
    /// Index and term of the entry before the first one here.
    before: (u64, u64),
    entries: VecDeque<Entry>,
    bytes: usize,
    /// A state for these followers, which are too far behind, while it is handed out.
    offer: Option<(RaftSnapshot, Vec<ReplicaId>)>,
    wanted: Cell<Option<u64>>,
}

impl Log {
    pub(super) fn new(
        hard_state: HardState,
        snapshot: Option<Snapshot>,
        entries: Vec<LogEntry>,
    ) -> Self {
        let mut log = Self {
            hard_state: translate::to_hard_state(hard_state),
            copies: ConfState::default(),
            before: (0, 0),
            entries: VecDeque::new(),
            bytes: 0,
            offer: None,
            wanted: Cell::new(None),
        };
        if let Some(snapshot) = snapshot {
            log.before = (snapshot.index, snapshot.term);
            log.copies = translate::to_conf_state(&snapshot.copies);
            // A state is only saved of what was committed, though the commit index itself is
            // written lazily.
            log.hard_state.commit = log.hard_state.commit.max(snapshot.index);
        }
        let entries: Vec<Entry> = entries.into_iter().map(translate::to_entry).collect();
        log.append(&entries);
        log.hard_state.commit = log.hard_state.commit.min(log.end());
        log
    }

    fn first(&self) -> u64 {
        self.before.0 + 1
    }

    fn end(&self) -> u64 {
        self.before.0 + self.entries.len() as u64
    }

    /// Adds `entries`, in place of those that stand from the first of them on.
    pub(super) fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else {
            return;
        };
        assert!(
            first.index > self.before.0 && first.index <= self.end() + 1,
            "entry {} does not join a log that ends at {}",
            first.index,
            self.end()
        );
        while self.end() >= first.index {
            if let Some(dropped) = self.entries.pop_back() {
                self.bytes -= dropped.data.len();
            }
        }
        for entry in entries {
            self.bytes += entry.data.len();
            self.entries.push_back(entry.clone());
        }
    }

    /// Starts anew behind `snapshot`.
    pub(super) fn restore(&mut self, index: u64, term: u64, copies: ConfState) {
        self.entries.clear();
        self.bytes = 0;
        self.before = (index, term);
        self.copies = copies;
    }

    /// Drops entries up to `index`, oldest first, until no more than `keep` bytes are left.
    pub(super) fn trim(&mut self, index: u64, keep: usize) {
        while self.bytes > keep || self.entries.len() > 1024 {
            match self.entries.front() {
                Some(entry) if entry.index <= index => {
                    self.before = (entry.index, entry.term);
                    self.bytes -= entry.data.len();
                    self.entries.pop_front();
                }
                _ => break,
            }
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a follower needs a state instead of entries.
    pub(super) const fn wants_snapshot(&self) -> bool {
        self.wanted.get().is_some()
    }

    pub(super) fn offer(&mut self, snapshot: RaftSnapshot, to: &[ReplicaId]) {
        self.wanted.set(None);
        self.offer = Some((snapshot, to.to_vec()));
    }

    pub(super) fn withdraw_wish(&mut self) {
        self.wanted.set(None);
    }

    /// Whoever was meant has it by now: who needs a state once more waits for its turn.
    pub(super) fn withdraw_offer(&mut self) {
        self.offer = None;
    }

    fn position(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.first())?).ok()
    }
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.copies.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let (Some(from), Some(to)) = (self.position(low), self.position(high)) else {
            return Err(raft::Error::Store(StorageError::Compacted));
        };
        if to > self.entries.len() {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        let limit = max_size.into().unwrap_or(u64::MAX);
        let mut taken = Vec::new();
        let mut bytes = 0;
        for entry in self.entries.range(from..to) {
            bytes += entry.data.len() as u64 + 32;
            if bytes > limit && !taken.is_empty() {
                break;
            }
            taken.push(entry.clone());
        }
        Ok(taken)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.before.0 {
            return Ok(self.before.1);
        }
        let Some(position) = self.position(index) else {
            return Err(raft::Error::Store(StorageError::Compacted));
        };
        self.entries
            .get(position)
            .map(|entry| entry.term)
            .ok_or(raft::Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.first())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.end())
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<RaftSnapshot> {
        // Whoever is not meant has to wait for its turn.
        if let Some((offer, _)) = self.offer.as_ref().filter(|(_, of)| of.contains(&ReplicaId(to)))
        {
            let index = offer.get_metadata().index;
            if index >= request_index && index >= self.before.0 {
                return Ok(offer.clone());
            }
        }
        self.wanted.set(Some(request_index));
        Err(raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}
