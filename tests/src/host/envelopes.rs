//! What hosts say to each other, as bytes, as `node` writes it out and routes it in.

use rand::RngExt;
use umbel_protocol::group::Body;
use umbel_protocol::id::NodeId;
use umbel_protocol::limits::FRAME_BYTES_MAX;
use umbel_protocol::wire::{Envelope, OwnerSays, PeerMessage, decode_from, encode_for};
use umbel_protocol::{executor, membership, scheduler, ways};

use super::Local;
use crate::invariants::{
    finished_never_runs, leased_runs_only, nothing_unsynced_is_promised, one_vote,
};
use crate::network::Fate;
use crate::plan::SECOND;
use crate::world::{What, World};

impl World {
    /// Something leaves the owner `host` for an executor.
    pub(super) fn note_leases(&mut self, host: usize, says: &OwnerSays) {
        let OwnerSays::Dispatch { runs, .. } = says else {
            return;
        };
        for run in runs {
            let key = (run.task, run.token);
            if self.ledger.leased.contains_key(&key) {
                continue;
            }
            self.ledger.leased.insert(key, self.now);
            let leased = leased_runs_only::on_dispatch(self, host, run.task, run.token);
            self.must("leased_runs_only", leased);
            let unfinished = finished_never_runs::on_dispatch(self, run.task, run.token);
            self.must("finished_never_runs", unfinished);
        }
    }

    /// A host has something to say to another.
    pub(super) fn send(
        &mut self,
        host: usize,
        to: NodeId,
        urgent: bool,
        messages: Vec<PeerMessage>,
    ) {
        for message in &messages {
            if let PeerMessage::ToExecutor(says) = message {
                self.note_leases(host, says);
            }
            let kept = nothing_unsynced_is_promised::on_send(self, host, message);
            self.must("nothing_unsynced_is_promised", kept);
            let voted = one_vote::on_send(self, message);
            self.must("one_vote", voted);
            if let PeerMessage::Group(messages) = message {
                for message in messages {
                    match &message.body {
                        Body::Raft(raft) if raft.snapshot.is_some() => self.saw("state sent"),
                        Body::Slept { .. } => self.saw("group asleep"),
                        _ => {}
                    }
                }
            }
        }
        if urgent {
            return self.transmit(host, to, urgent, messages);
        }
        self.step_ways(host, ways::Event::Say { to, messages });
    }

    /// Puts messages on their way, as bytes.
    pub(super) fn transmit(
        &mut self,
        host: usize,
        to: NodeId,
        urgent: bool,
        messages: Vec<PeerMessage>,
    ) {
        let Some(other) = self.host_of(to) else {
            // That node is gone for ever: nobody has a connection to it.
            return;
        };
        let clock = self.hosts[host].wall(self.now);
        let version = self.network.version(host, other);
        let envelope = Envelope { clock, synced: 0, messages };
        let bytes = self.said_abroad(version, encode_for(version, &envelope));
        self.traffic.frames += 1;
        self.traffic.frame_bytes += bytes.len() as u64;
        let noise = self.network.noise;
        let is_doubled = urgent && self.rng.random_ratio(noise.consensus_doubled, 1_000);
        let times = if is_doubled { 2 } else { 1 };
        for _ in 0..times {
            match self.network.send(host, other, urgent, self.now, &mut self.rng) {
                Fate::Arrives { at, epoch, overtakes } => {
                    self.saw_if("message overtakes", overtakes);
                    self.saw_if("message doubled", is_doubled);
                    self.saw_if("message seconds late", at > self.now + SECOND);
                    let bytes = bytes.clone();
                    self.push(
                        at,
                        What::Envelope { from: host, to: other, epoch, version, urgent, bytes },
                    );
                }
                Fate::Dooms { at, epoch } => {
                    self.push(at, What::Breaks { a: host, b: other, epoch });
                }
                Fate::Lost => self.saw_if("message lost", self.network.is_up(host, other)),
            }
        }
    }

    /// An envelope arrives.
    pub fn received(&mut self, from: usize, host: usize, version: u16, bytes: &[u8]) {
        let sender = self.hosts[from].node;
        let Envelope { clock, synced, messages } =
            decode_from(version, bytes, FRAME_BYTES_MAX).expect("what is sent can be read");
        let mut for_scheduler = Vec::new();
        let mut for_relay = Vec::new();
        for message in messages {
            self.look_at_message(host, &message);
            match message {
                PeerMessage::NoWay { to } => {
                    self.saw("no way");
                    self.step_ways(host, ways::Event::NoWay { via: sender, to });
                }
                PeerMessage::Relay(relayed) => for_relay.push(*relayed),
                PeerMessage::ToExecutor(says) => {
                    let event = executor::Event::Owner { from: sender, says };
                    self.local(host, Local::Executor(event));
                }
                other => for_scheduler.push(other),
            }
        }
        if !for_scheduler.is_empty() {
            let envelope = Envelope { clock, synced, messages: for_scheduler };
            let event = scheduler::Event::Peer { from: sender, envelope };
            self.local(host, Local::Scheduler(event));
        }
        if !for_relay.is_empty() {
            self.relay(sender, host, for_relay);
        }
        self.local(host, Local::Membership(membership::Event::Heard { node: sender }));
    }
}
