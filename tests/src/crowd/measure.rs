//! What a crowd is measured by.

use std::collections::BTreeSet;

use umbel_protocol::membership::Liveness;
use umbel_protocol::time::{Span, Tick};

use super::network::Network;

/// What a crowd of one size has shown.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// How many hosts.
    pub hosts: usize,
    /// How long until each of several deaths was known to all, ascending.
    pub deaths: Vec<Span>,
    /// How long until a death was known to all while all loads change.
    pub busy_death: Span,
    /// Traffic while nothing happens.
    pub idle: Traffic,
    /// Traffic from a death until it is known to all.
    pub during_death: Traffic,
    /// How long until all knew a newcomer.
    pub joined: Span,
    /// How long until the newcomer knew all.
    pub met: Span,
    /// How long until all knew that a host was started again.
    pub rejoined: Span,
    /// Hosts that were taken to be down by anybody though they lived, with 5 % loss.
    pub lost_by_loss: usize,
    /// The same of hosts that were not among the 5 % that stood still for a while.
    pub lost_beside_pauses: usize,
    /// The same of those that stood still.
    pub lost_by_pauses: usize,
    /// How many stood still.
    pub paused: usize,
}

/// Per host and second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Datagrams.
    pub datagrams: f64,
    /// Bytes in them.
    pub bytes: f64,
}

const fn seconds(seconds: u64) -> Span {
    Span::from_millis(seconds * 1_000)
}

#[allow(clippy::cast_precision_loss, reason = "far fewer than can be told exactly")]
fn traffic(network: &mut Network, act: impl FnOnce(&mut Network)) -> Traffic {
    let (datagrams, bytes, since) = (network.datagrams, network.bytes, network.now);
    act(network);
    let span = network.now.since(since).as_micros() as f64 / 1e6;
    let host_seconds = span * network.live().count() as f64;
    Traffic {
        datagrams: (network.datagrams - datagrams) as f64 / host_seconds,
        bytes: (network.bytes - bytes) as f64 / host_seconds,
    }
}

/// Whoever was taken to be down since a time.
fn blamed(network: &Network, since: Tick) -> BTreeSet<usize> {
    let blamed = network.downs.iter().filter(|(at, ..)| *at >= since);
    blamed.map(|(_, of, _)| *of).collect()
}

impl Figures {
    /// The traffic of so many hosts whose loads change every second: while nothing else happens, and
    /// while one of them dies.
    ///
    /// # Panics
    /// If a host that lives is taken to be down, or the death is not known to all within a minute.
    pub fn of_traffic(&mut self, seed: u64) {
        let mut network = Network::formed(self.hosts, true, seed);
        network.run(seconds(1));
        self.idle = traffic(&mut network, |network| network.run(seconds(3)));
        assert_eq!(network.downs, [], "nobody has died");
        let victim = self.hosts / 2;
        network.stop(victim);
        let mut took = None;
        let down = |network: &Network| network.all_think(victim, Liveness::Down);
        self.during_death = traffic(&mut network, |net| took = net.until(MINUTE, down));
        self.busy_death = took.expect("a death is known to all within a minute");
        assert_eq!(blamed(&network, Tick::START), BTreeSet::from([victim]));
    }

    /// Deaths, a rejoin and a newcomer among so many hosts.
    ///
    /// # Panics
    /// If a host that lives is taken to be down, or something is not known to all within a minute.
    pub fn of_changes(&mut self, deaths: usize, seed: u64) {
        let mut network = Network::formed(self.hosts, false, seed);
        network.run(seconds(2));
        let mut victims = BTreeSet::new();
        for n in 1..=deaths {
            let victim = n * self.hosts / (deaths + 1);
            victims.insert(victim);
            network.stop(victim);
            let down = |network: &Network| network.all_think(victim, Liveness::Down);
            let took = network.until(MINUTE, down);
            self.deaths.push(took.expect("a death is known to all within a minute"));
            // The next one dies at another moment of everybody's round.
            network.run(Span::from_millis(370));
        }
        self.deaths.sort_unstable();
        let back = self.hosts / (deaths + 1);
        network.restart(back, 2, 0);
        let found = |network: &Network| network.all_found(back, 2);
        self.rejoined = network.until(MINUTE, found).expect("a rejoin is known within a minute");
        let newcomer = network.add();
        network.join(newcomer, 0);
        let found = |network: &Network| network.all_found(newcomer, 1);
        self.joined = network.until(MINUTE, found).expect("a newcomer is known within a minute");
        let meets = |network: &Network| network.knows_all(newcomer);
        let rest = network.until(MINUTE, meets).expect("a newcomer knows all within a minute");
        self.met = Span::from_micros(self.joined.as_micros() + rest.as_micros());
        let blamed = blamed(&network, Tick::START);
        assert!(blamed.is_subset(&victims), "taken to be down and alive: {blamed:?}");
    }

    /// A minute in which 5 % of the datagrams get lost, and then 5 % of the hosts stand still for
    /// three seconds.
    pub fn of_noise(&mut self, seed: u64) {
        let mut network = Network::formed(self.hosts, false, seed);
        network.run(seconds(1));
        network.loss = 50;
        let since = network.now;
        network.run(MINUTE);
        self.lost_by_loss = blamed(&network, since).len();
        network.loss = 0;
        network.run(seconds(6));
        let since = network.now;
        self.paused = self.hosts.div_ceil(20);
        let paused: BTreeSet<usize> =
            (0..self.paused).map(|n| n * self.hosts / self.paused).collect();
        for host in &paused {
            network.pause(*host, seconds(3));
        }
        network.run(seconds(10));
        let blamed = blamed(&network, since);
        self.lost_by_pauses = blamed.intersection(&paused).count();
        self.lost_beside_pauses = blamed.difference(&paused).count();
    }
}

const MINUTE: Span = seconds(60);
