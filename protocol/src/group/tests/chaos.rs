//! Whatever happens to messages, disks, hosts and copies: what was applied stays, and once it is
//! quiet there is one leader and all agree.
//!
//! The world checks what must hold at every step. Here is the driver that does its worst, from a
//! seed, and then lets things heal.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::super::{Body, Group, GroupMessage, Role};
use super::sent::Sent;
use super::world::{GROUP, Host, World, command, copy, host, node, nothing, stored};
use crate::durable::GroupWrite;
use crate::id::{NodeId, ReplicaId};
use crate::placement::{Aim, next_change};

const HOSTS: usize = 5;
/// Days that are tried, and what happens on each.
const SEEDS: u64 = 60;
const STEPS: usize = 8_000;

struct Chaos {
    world: World,
    rng: Xoshiro256PlusPlus,
    /// Hosts whose copy is gone, with the highest id that one of theirs had.
    destroyed: [ReplicaId; HOSTS],
    absent: [bool; HOSTS],
    commands: usize,
    bytes: usize,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut world = World::open(stored(GROUP, 3, 0));
        for host in 3..HOSTS {
            world.join(copy(host));
        }
        let bytes = [16, 3_000, 30_000][rng.random_range(0..3usize)];
        let absent = [false, false, false, true, true];
        Self { world, rng, destroyed: [ReplicaId(0); HOSTS], absent, commands: 0, bytes }
    }

    fn any(&mut self) -> usize {
        self.rng.random_range(0..HOSTS)
    }

    fn drain(&mut self, at: usize) {
        if !self.absent[at] {
            self.world.drain(at);
        }
    }

    /// As a scheduler takes messages.
    fn hand(&mut self, sent: Sent) {
        let Sent { from, to, message } = &sent;
        if self.world.cut.contains(from) || self.world.cut.contains(to) {
            return;
        }
        let here = &self.world.hosts[*to].group;
        let is_here = !self.absent[*to] && here.replica() == message.to;
        match &message.body {
            Body::Gone => {
                if is_here {
                    self.destroyed[*to] = message.to;
                    self.absent[*to] = true;
                }
                return;
            }
            Body::Stray => return self.dismiss(&sent),
            Body::Lost | Body::Raft(_) | Body::Sleep { .. } | Body::Slept { .. } => {}
        }
        if !is_here {
            let begins = message.body.is_of_leader() && matches!(message.body, Body::Raft(_));
            let is_later = self.absent[*to] || here.replica() < message.to;
            if !begins || !is_later || self.destroyed[*to] >= message.to {
                return;
            }
            self.world.hosts[*to] = Host::open(Group::blank(GROUP, message.to));
            self.absent[*to] = false;
        }
        if self.world.hosts[*to].group.roster().has_lost(message.from) {
            return self.dismiss(&sent);
        }
        self.world.hand(sent);
    }

    fn dismiss(&mut self, sent: &Sent) {
        let here = &self.world.hosts[sent.to].group;
        if !self.absent[sent.to] && here.roster().has_lost(sent.message.from) && here.may_dismiss()
        {
            let message = GroupMessage {
                group: GROUP,
                from: here.replica(),
                to: sent.message.from,
                body: Body::Gone,
            };
            self.world.wire.push_back(Sent { from: sent.to, to: sent.from, message });
        }
    }

    fn deliver(&mut self) {
        let waiting = self.world.wire.len();
        if waiting == 0 {
            return;
        }
        // Mostly in order.
        let place = match self.rng.random_range(0..4) {
            0 => self.rng.random_range(0..waiting),
            _ => 0,
        };
        let sent = match self.rng.random_range(0..40) {
            0 => self.world.wire[place].clone(),
            _ => self.world.wire.remove(place).unwrap(),
        };
        if self.rng.random_range(0..30) != 0 {
            self.hand(sent);
        }
    }

    fn crash(&mut self, at: usize) {
        if self.absent[at] {
            return;
        }
        let keep = self.rng.random_range(0..3);
        for _ in 0..keep {
            self.world.hosts[at].disk.sync_one();
        }
        self.world.crash(at);
        let group = &mut self.world.hosts[at].group;
        if group.copies().voters == [group.replica()] {
            group.campaign();
        }
    }

    fn move_copies(&mut self, at: usize, eligible: Vec<NodeId>) {
        let group = &self.world.hosts[at].group;
        if !group.is_settled_leader() || group.is_changing() && !group.copies().is_joint() {
            return;
        }
        let copies = group.copies();
        let aim = Aim { eligible, copies: 3 };
        let caught_up = |copy| group.is_caught_up(copy);
        let Some(change) = next_change(&copies, group.roster(), &aim, caught_up, |_| false) else {
            return;
        };
        let leaves =
            |copy: &ReplicaId| change.removed.contains(copy) || change.demoted.contains(copy);
        if leaves(&group.replica()) {
            let next = copies.voters.iter().find(|copy| !leaves(copy) && caught_up(**copy));
            if let Some(to) = next.and_then(|copy| group.roster().node(*copy)) {
                self.world.group(at).hand_over(to);
            }
            return;
        }
        let _ = self.world.group(at).propose_change(&change);
    }

    fn step(&mut self) {
        let at = self.any();
        if self.absent[at] {
            return self.deliver();
        }
        match self.rng.random_range(0..1_000) {
            0..150 => self.world.hosts[at].group.tick(),
            150..350 => self.drain(at),
            350..500 => {
                self.world.sync_one(at);
            }
            500..880 => self.deliver(),
            880..960 => {
                self.commands += 1;
                let command = command(self.commands, self.bytes);
                let _ = self.world.propose(at, &command);
            }
            960..970 => self.world.group(at).read_index(9),
            970..973 => self.crash(at),
            973..980 => {
                if !self.world.cut.remove(&at) && self.world.cut.len() < 2 {
                    self.world.cut.insert(at);
                }
            }
            980..985 => {
                if let Some(leader) = self.world.group(at).leader() {
                    let jitter = self.rng.random_range(0..3);
                    self.world.group(at).suspect_leader(leader, jitter);
                }
            }
            985..988 => {
                let to = node(self.rng.random_range(0..HOSTS));
                self.world.group(at).hand_over(to);
            }
            988..996 => {
                let mut eligible: Vec<NodeId> = (0..HOSTS).map(node).collect();
                eligible.rotate_left(self.commands / 40 % HOSTS);
                for at in self.world.leaders() {
                    self.move_copies(at, eligible.clone());
                }
            }
            996..998 => {
                self.drain(at);
                let one = &mut self.world.hosts[at];
                if !one.group.is_blank() && one.group.applied() > 0 {
                    let state = one.state();
                    let checkpoint = Some(one.group.checkpoint(&state));
                    let write = GroupWrite { checkpoint, ..nothing(&one.group) };
                    one.disk.writing.push_back((write, 0));
                }
            }
            _ => self.world.group(at).wake(),
        }
    }

    /// All is well again: nothing gets lost, and time passes.
    fn heal(&mut self) {
        self.world.cut.clear();
        for _ in 0..200 {
            for at in 0..HOSTS {
                if !self.absent[at] {
                    self.world.hosts[at].group.tick();
                }
            }
            self.settle();
            for at in 0..HOSTS {
                if !self.absent[at] && self.world.hosts[at].group.is_stray() {
                    for to in 0..HOSTS {
                        let from = self.world.hosts[at].group.replica();
                        let message = GroupMessage {
                            group: GROUP,
                            from,
                            to: ReplicaId(0),
                            body: Body::Stray,
                        };
                        self.world.wire.push_back(Sent { from: at, to, message });
                    }
                }
            }
            self.settle();
        }
    }

    fn settle(&mut self) {
        for _ in 0..1_000 {
            for at in 0..HOSTS {
                self.drain(at);
                if !self.absent[at] {
                    self.world.sync(at);
                    self.drain(at);
                }
            }
            if self.world.wire.is_empty() {
                return;
            }
            for _ in 0..self.world.wire.len() {
                let sent = self.world.wire.pop_front().unwrap();
                self.hand(sent);
            }
        }
        panic!("it never comes to rest");
    }

    fn check(&mut self) {
        let leaders: Vec<usize> = (0..HOSTS)
            .filter(|at| !self.absent[*at] && self.world.hosts[*at].group.role() == Role::Leader)
            .collect();
        let [leader] = leaders[..] else {
            panic!("not one leader: {leaders:?}");
        };
        let group = &self.world.hosts[leader].group;
        assert!(group.is_settled_leader() && !group.copies().is_joint());
        let places: Vec<usize> = group.roster().iter().map(|(_, node)| host(node)).collect();
        for at in 0..HOSTS {
            assert_eq!(!self.absent[at], places.contains(&at), "copies {places:?}, host {at}");
            if places.contains(&at) {
                assert!(self.world.agree(at, leader), "{at} and {leader}");
                assert!(self.world.hosts[at].group.is_asleep(), "{at} is awake");
            }
        }
    }
}

#[test]
fn after_any_day_all_agree() {
    let (mut restored, mut changes, mut reads, mut terms) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        // Told only if it fails: then the last one is the one to replay.
        println!("seed {seed}");
        let mut chaos = Chaos::new(seed);
        for _ in 0..STEPS {
            chaos.step();
        }
        chaos.heal();
        chaos.check();
        for host in &chaos.world.hosts {
            restored += host.restored;
            changes += host.changes;
            reads += host.reads.len();
        }
        terms += chaos.world.hosts[0].group.term();
    }
    // All of it did happen.
    assert!(restored > 40 && changes > 200 && reads > 20, "{restored} {changes} {reads}");
    assert!(terms > 3 * SEEDS, "{terms}");
}
