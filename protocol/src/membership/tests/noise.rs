//! Pauses, loss, silent connections, garbage: what must not be taken for death.

use bytes::Bytes;
use proptest::prelude::*;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::super::health::Health;
use super::super::{Config, Effect, Event, Liveness, Membership, Rejection};
use super::network::{Network, identity, load, ms, node};
use crate::limits::DATAGRAM_BYTES_MAX;
use crate::time::Tick;

#[test]
fn short_pauses_are_not_death() {
    for seed in 0..5 {
        let mut network = Network::formed(5, seed);
        for round in 0..60 {
            network.pause(round % 5, ms(200));
            network.run(ms(500));
        }
        assert_eq!(network.count(Liveness::Down), 0, "seed {seed}");
        network.run(ms(3_000));
        assert!(network.agreed());
    }
}

#[test]
fn a_node_that_slept_blames_nobody() {
    for seed in 0..5 {
        let mut network = Network::formed(5, seed);
        network.run(ms(3_000));
        network.pause(2, ms(20_000));
        network.run(ms(19_900));
        assert!([0, 1, 3, 4].iter().all(|&at| network.liveness(2, at) == Some(Liveness::Down)));
        network.log.clear();
        assert!(network.until(ms(8_000), Network::agreed).is_some(), "seed {seed}");
        let blamed = network.log.iter().find(|(_, at, effect)| {
            *at == 2 && matches!(effect, Effect::Changed { liveness: Liveness::Down, .. })
        });
        assert_eq!(blamed, None, "seed {seed}");
    }
}

#[test]
fn doubt_in_ourselves_stretches_suspicion_and_passes() {
    let at = |millis: u64| Tick::START + ms(millis);
    let mut health = Health::default();
    assert_eq!(health.held_up(at(1_050), at(1_000)), None, "a little late is not late");
    assert_eq!(health.held_up(at(6_000), at(1_000)), Some(ms(5_100)));
    assert_eq!(health.held_up(at(6_500), at(6_100)), None, "not again and again");
    assert_eq!(health.patience(), 3);
    health.probed(at(7_000));
    health.probed(at(7_500));
    assert_eq!(health.patience(), 1);
    health.probe_failed(at(8_000), node(1));
    assert_eq!(health.patience(), 1, "one dead member is no sign");
    for host in 2..9 {
        health.probe_failed(at(8_000 + host as u64), node(host));
    }
    assert_eq!(health.patience(), 4, "bounded");
    health.probed(at(12_100));
    assert_eq!(health.patience(), 1);
}

#[test]
fn loss_makes_no_lasting_death() {
    for (n, loss) in [(3, 100), (5, 100), (5, 200), (20, 200), (50, 100)] {
        let (mut suspects, mut downs, mut back) = (0, 0, 0);
        for seed in 0..3 {
            let mut network = Network::formed(n, seed);
            network.loss = loss;
            network.run(ms(60_000));
            suspects += network.count(Liveness::Suspect);
            downs += network.count(Liveness::Down);
            let rejoined = |effect: &Effect| matches!(effect, Effect::Rejoined { .. });
            back += network.log.iter().filter(|(_, _, effect)| rejoined(effect)).count();
            assert!(back <= downs, "only who was declared down comes back");
            // Whoever is thought dead at some moment is back soon, while datagrams still get lost.
            let nobody_down = |net: &Network| {
                net.hosts.iter().all(|host| host.machine.nodes().all(|(_, w)| w != Liveness::Down))
            };
            assert!(network.until(ms(5_000), nobody_down).is_some(), "{n} nodes, seed {seed}");
            network.loss = 0;
            assert!(network.until(ms(5_000), Network::agreed).is_some(), "{n} nodes, seed {seed}");
        }
        println!("{n} nodes, loss {loss}/1000, 180 s: {suspects} suspicions, {downs} deaths");
    }
}

#[test]
fn a_silent_connection_is_suspicion_until_the_node_answers() {
    let mut network = Network::formed(5, 4);
    network.run(ms(3_000));
    network.event(0, Event::Silent { node: node(1) });
    assert_eq!(network.liveness(1, 0), Some(Liveness::Suspect), "at once");
    assert_eq!(network.liveness(1, 2), Some(Liveness::Alive), "the hint is ours alone");
    network.run(ms(50));
    assert_eq!(network.liveness(1, 0), Some(Liveness::Alive), "it was asked and has answered");

    network.event(0, Event::Silent { node: node(1) });
    network.event(0, Event::Heard { node: node(1) });
    assert_eq!(network.liveness(1, 0), Some(Liveness::Alive));

    network.stop(1);
    network.event(0, Event::Silent { node: node(1) });
    network.run(ms(200));
    assert_eq!(network.liveness(1, 0), Some(Liveness::Suspect));
    assert!(network.until(ms(4_000), |net| net.all_think(1, Liveness::Down)).is_some());
}

#[test]
fn a_hint_expires_when_only_we_are_cut_off_from_the_node() {
    let mut network = Network::formed(5, 4);
    network.run(ms(1_000));
    let mut effects = Vec::new();
    let machine = &mut network.hosts[0].machine;
    let now = network.now;
    machine.step(now, Event::Silent { node: node(1) }, &mut effects);
    machine.step(now + ms(5_001), Event::Tick, &mut effects);
    machine.step(now + ms(5_002), Event::Tick, &mut effects);
    assert_eq!(machine.liveness(node(1)), Some(Liveness::Alive));
}

fn meeting() -> (Membership, Tick) {
    let mut network = Network::formed(5, 4);
    network.run(ms(3_000));
    (network.hosts.remove(0).machine, network.now)
}

#[test]
fn what_is_wrong_with_a_datagram_is_told() {
    let (mut machine, now) = meeting();
    let mut why = |from: usize, data: &[u8]| {
        let mut effects = Vec::new();
        let data = Bytes::copy_from_slice(data);
        machine.step(now, Event::Received { from: Some(node(from)), data }, &mut effects);
        effects.into_iter().find_map(|effect| match effect {
            Effect::Rejected { why, .. } => Some(why),
            _ => None,
        })
    };
    assert!(matches!(why(1, &[]), Some(Rejection::Malformed(_))));
    assert!(matches!(why(1, &[255; DATAGRAM_BYTES_MAX + 1]), Some(Rejection::Malformed(_))));
    let mut other = Membership::new(Config::default(), identity(1, 1), 5);
    let mut effects = Vec::new();
    other.step(now, Event::Announce { to: identity(0, 1).peer() }, &mut effects);
    let Effect::SendDatagram { data, .. } = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(why(2, data), Some(Rejection::Foreign { claimed: node(1) }));
    assert_eq!(why(1, data), None);
    let mut longer = data.to_vec();
    longer.push(0);
    assert!(matches!(why(1, &longer), Some(Rejection::Refused(_))));
    let mut twin = Membership::new(Config::default(), identity(0, 1), 5);
    effects.clear();
    twin.step(now, Event::Announce { to: identity(1, 1).peer() }, &mut effects);
    let Effect::SendDatagram { data, .. } = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(why(0, data), Some(Rejection::FromOurselves));
    assert_eq!(machine.rejected(), 5);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_bytes_do_nothing(data in proptest::collection::vec(any::<u8>(), 1..1_300)) {
        let mut machine = Membership::new(Config::default(), identity(0, 1), 1);
        let mut effects = Vec::new();
        for len in [0, 1, data.len() / 2, data.len()] {
            let data = Bytes::copy_from_slice(&data[..len]);
            machine.step(Tick::from_micros(9), Event::Received { from: None, data }, &mut effects);
        }
        let rejected = |effect: &Effect| matches!(effect, Effect::Rejected { .. });
        prop_assert!(effects.iter().filter(|effect| rejected(effect)).count() >= 3);
    }
}

/// Real datagrams with flipped bytes get much deeper than random ones.
#[test]
fn damaged_datagrams_do_not_panic() {
    let mut network = Network::seeded(6, 8);
    network.keep_datagrams = true;
    for host in 0..6 {
        network.event(host, Event::LoadChanged(load(host, 9)));
    }
    network.run(ms(30_000));
    network.stop(5);
    network.run(ms(4_000));
    let datagrams: Vec<Bytes> = network
        .log
        .iter()
        .filter_map(|(_, _, effect)| match effect {
            Effect::SendDatagram { to, data } if to.node == node(0) => Some(data.clone()),
            _ => None,
        })
        .collect();
    assert!(datagrams.len() > 100);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(6);
    let mut now = network.now;
    let machine = &mut network.hosts[0].machine;
    let mut effects = Vec::new();
    for round in 0..20_000 {
        let mut data = datagrams[round % datagrams.len()].to_vec();
        for _ in 0..rng.random_range(1..4) {
            let place = rng.random_range(0..data.len());
            data[place] = rng.random();
        }
        data.truncate(rng.random_range(0..=data.len() * 2).min(data.len()));
        machine.step(now, Event::Received { from: None, data: data.into() }, &mut effects);
        while machine.next_deadline() <= now {
            machine.step(now, Event::Tick, &mut effects);
        }
        now = now + ms(1);
        effects.clear();
    }
    assert!(machine.rejected() > 100);
    assert!(machine.is_consistent());
}
