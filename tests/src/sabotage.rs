//! Known bugs, put in around the real code to see that they are found: each where it would be.

use umbel_protocol::group::{Body, RaftKind};
use umbel_protocol::limits::FRAME_BYTES_MAX;
use umbel_protocol::task::Outcome;
use umbel_protocol::wire::{Envelope, ExecutorSays, PeerMessage, Said, decode, encode};

use crate::world::World;

/// A known bug, put in by the simulator around the real code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A disk says that writes are durable before they are, and loses them in a crash.
    EarlyDisk,
    /// A disk says that writes are durable and now and then keeps nothing of them.
    ForgetfulDisk,
    /// Executors that are asked what they hold say: nothing.
    LostHolds,
    /// A submission that is tried again counts as a new one.
    NoDedup,
    /// Executors start what they are sent twice.
    DoubleStart,
    /// Submissions are acknowledged when they are taken.
    EagerAnswer,
    /// Runs that failed are told to have succeeded.
    FalseSuccess,
    /// Votes are told to be granted that were refused.
    FreeVotes,
    /// Nobody gives on what is to be relayed.
    MuteRelays,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::EarlyDisk,
        Self::ForgetfulDisk,
        Self::LostHolds,
        Self::NoDedup,
        Self::DoubleStart,
        Self::EagerAnswer,
        Self::FalseSuccess,
        Self::FreeVotes,
        Self::MuteRelays,
    ];

    /// The one that is called so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sabotage| format!("{sabotage:?}") == name)
    }
}

impl World {
    fn has(&self, sabotage: Sabotage) -> bool {
        self.plan.sabotage == Some(sabotage)
    }

    /// Whether disks answer before they have written.
    pub(crate) fn answers_early(&self) -> bool {
        self.has(Sabotage::EarlyDisk)
    }

    /// Whether a disk forgets what it has just been given.
    pub(crate) fn forgets(&mut self) -> bool {
        self.has(Sabotage::ForgetfulDisk) && self.flip(0.2)
    }

    /// How often a run is started.
    pub(crate) fn starts_of_a_run(&self) -> usize {
        if self.has(Sabotage::DoubleStart) { 2 } else { 1 }
    }

    /// Whether a submission gets new ids when it is tried again.
    pub(crate) fn renames_retries(&self) -> bool {
        self.has(Sabotage::NoDedup)
    }

    /// Whether clients are told that what they submit is durable before it is.
    pub(crate) fn answers_at_once(&self) -> bool {
        self.has(Sabotage::EagerAnswer)
    }

    /// How the run of the task `mark` is told to have ended.
    pub(crate) fn told_end(&self, mark: u64, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failed(_) if self.has(Sabotage::FalseSuccess) => {
                Outcome::Succeeded(mark.to_string().into())
            }
            outcome => outcome,
        }
    }

    /// Whether what is to be relayed is dropped.
    pub(crate) fn relays_nothing(&self) -> bool {
        self.has(Sabotage::MuteRelays)
    }

    /// What an executor says to the owner on its own node.
    pub(crate) fn said_at_home(&self, says: ExecutorSays) -> ExecutorSays {
        if self.has(Sabotage::LostHolds) { without_runs(says) } else { says }
    }

    /// What is sent to another node.
    pub(crate) fn said_abroad(&self, bytes: Vec<u8>) -> Vec<u8> {
        if !self.has(Sabotage::LostHolds) && !self.has(Sabotage::FreeVotes) {
            return bytes;
        }
        let mut envelope: Envelope = decode(&bytes, FRAME_BYTES_MAX).expect("just encoded");
        for message in &mut envelope.messages {
            match message {
                PeerMessage::FromExecutor(says) if self.has(Sabotage::LostHolds) => {
                    *says = without_runs(says.clone());
                }
                PeerMessage::Relay(relayed) if self.has(Sabotage::LostHolds) => {
                    if let Said::FromExecutor(says) = &mut relayed.said {
                        *says = without_runs(says.clone());
                    }
                }
                PeerMessage::Group(messages) if self.has(Sabotage::FreeVotes) => {
                    for message in messages {
                        grant_vote(&mut message.body);
                    }
                }
                _ => {}
            }
        }
        encode(&envelope)
    }
}

fn grant_vote(body: &mut Body) {
    if let Body::Raft(raft) = body
        && matches!(raft.kind, RaftKind::VoteResponse | RaftKind::PreVoteResponse)
    {
        raft.reject = false;
    }
}

fn without_runs(says: ExecutorSays) -> ExecutorSays {
    match says {
        ExecutorSays::Holds { lessee, partition, term, .. } => {
            ExecutorSays::Holds { lessee, partition, term, runs: Vec::new() }
        }
        other => other,
    }
}
