//! How the process of a host begins and ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use umbel_protocol::cold::{Cold, MemoryColdStore};
use umbel_protocol::executor::{Event as ExecutorEvent, Executor};
use umbel_protocol::formation::Formation;
use umbel_protocol::id::Lessee;
use umbel_protocol::job::Labels;
use umbel_protocol::membership::{Config, Identity, Load, Membership};
use umbel_protocol::meta::Join;
use umbel_protocol::scheduler::{Event as SchedulerEvent, Now, Scheduler, Settings};
use umbel_protocol::time::{Span, Tick};
use umbel_protocol::ways::Ways;

use super::{Host, Local, Process, address};
use crate::invariants::one_vote;
use crate::plan::SECOND;
use crate::world::{What, World};

/// Whatever waits for a little longer than most retries is put away, so that every world does it.
const COLD_AFTER: Span = Span::from_millis(1_500);
/// Some ticks before it is due.
const WARM_AHEAD: Span = Span::from_millis(400);

impl Host {
    /// What people call its node.
    fn name(&self, host: usize) -> String {
        match self.renewals {
            0 => format!("host-{host}"),
            renewals => format!("host-{host}-{renewals}"),
        }
    }
}

impl World {
    /// Starts the process of a host.
    pub fn start(&mut self, host: usize) {
        let (seed, start) = (self.random(), self.random());
        let seeds = self.plan.seeds;
        let now = self.now;
        let one = &mut self.hosts[host];
        assert!(one.process.is_none(), "it runs");
        one.life += 1;
        one.disk.incarnation.0 += 1;
        let incarnation = one.disk.incarnation;
        let listens = address(host, one.moves);
        self.note_start(host);
        let settings = self.settings(host, seed, 1);
        let one = &mut self.hosts[host];
        let at = Now { tick: Tick::START, wall: one.wall(now) };
        let scheduler = Scheduler::new(settings, at, one.disk.open());
        let lessee = Lessee { node: one.node, incarnation, executor: 1 };
        let executor = Executor::new(lessee, one.profile.clone(), Tick::START);
        let identity = Identity::new(one.node, incarnation, start, listens);
        let membership = Membership::new(Config::default(), identity, seed);
        let formation = one
            .disk
            .cluster
            .is_none()
            .then(|| Formation::new(one.node, seeds, host == 0, Tick::START));
        one.process = Some(Process {
            scheduler,
            executor,
            membership,
            ways: Ways::new(identity.node),
            formation,
            load: Load::default(),
            spoken: 0,
            has_left: false,
            started_at: now,
            wake_at: [u64::MAX; 4],
            knows: BTreeMap::new(),
            met: BTreeMap::new(),
            identity,
            seed,
            schedulers: 1,
            builds: [0; 5],
            runs: BTreeMap::new(),
            journals: BTreeMap::new(),
            lanes: [now; 5],
            is_writing: false,
            kept: BTreeMap::new(),
        });
        for other in 0..self.hosts.len() {
            if other != host {
                self.cut_link(host, other);
            }
        }
        self.trace(|| format!("host {host} starts as incarnation {}", incarnation.0));
        let remembers = one_vote::on_start(self, host);
        self.must("one_vote", remembers);
        let me = self.hosts[host].node;
        self.local(host, Local::Executor(ExecutorEvent::Reached(me)));
        // Opening may leave things to be done at once.
        self.local(host, Local::Scheduler(SchedulerEvent::Due));
        for machine in 0..4 {
            self.plan_wake(host, machine);
        }
    }

    /// How the scheduler of a host is set up, the how-manieth of its process.
    pub(super) fn settings(&self, host: usize, seed: u64, scheduler: u32) -> Settings {
        let one = &self.hosts[host];
        let join = Join {
            node: one.node,
            name: one.name(host),
            address: address(host, one.moves),
            cluster_name: "simulated".to_owned(),
            labels: self.labels_of(host),
        };
        let store = Arc::new(MemoryColdStore::default());
        Settings {
            node: one.node,
            incarnation: one.disk.incarnation,
            join,
            seed,
            replace_after: Span::from_micros(self.plan.replace_after),
            limits: self.plan.limits,
            has_seeds: true,
            versions: one.versions,
            scheduler,
            zones: self.zones.clone(),
            follows_wall: false,
            cold: Some(Cold::with_times(store, COLD_AFTER, WARM_AHEAD)),
        }
    }

    /// A third of the hosts are said to be of one kind, the rest of another.
    pub(crate) fn labels_of(&self, host: usize) -> Labels {
        if host.is_multiple_of(3) { "kind=a" } else { "kind=b" }.parse().expect("these are labels")
    }

    /// The process of a host is gone, and all that it had not synced, but for as much of it as the
    /// disk happened to write.
    pub fn crash(&mut self, host: usize) {
        if self.hosts[host].process.is_some() {
            self.is_troubled = true;
            self.trace(|| format!("host {host} crashes"));
            self.end(host, false);
        }
    }

    /// The process of a host is gone: all that it had not synced may be. Whether it `has_left`: then
    /// no run may have ended with it.
    pub(super) fn end(&mut self, host: usize, has_left: bool) {
        self.look_at_crash(host);
        let keep = self.between(0, self.hosts[host].disk.unsynced() as u64);
        let keep = usize::try_from(keep).expect("few batches");
        let one = &mut self.hosts[host];
        one.last_known = one.process.take().map(|process| process.scheduler);
        one.life += 1;
        one.disk.crash(keep);
        one.paused_until = 0;
        one.starved_until = 0;
        one.fails_sync = false;
        one.backlog.clear();
        let key = (one.node, one.disk.incarnation);
        let ends = if has_left { &mut self.ledger.left } else { &mut self.ledger.ended };
        ends.insert(key, self.now);
        self.ledger.observer_gone(host, self.now);
        for other in 0..self.hosts.len() {
            if other == host {
                continue;
            }
            // A process that ends says so; a machine that loses power does not, and what it sent
            // still arrives. Whoever speaks to it notices after a while, or when it is back.
            let silent =
                (!has_left && self.flip(0.5)).then(|| self.network.silence(other, host)).flatten();
            match silent {
                Some(epoch) => {
                    self.saw("silent crash");
                    let at = self.now + self.between(0, 5 * SECOND);
                    self.push(at, What::Breaks { a: host, b: other, epoch });
                }
                None => self.cut_link(host, other),
            }
        }
    }
}
