//! Meeting, dying, leaving, restarting, splitting and healing.

use super::super::{Effect, Event, Identity, Liveness};
use super::network::{Network, identity, ms, node};
use crate::id::Incarnation;

#[test]
fn all_meet_through_one() {
    for (n, within) in [(2, 1_000), (5, 2_000), (20, 5_000), (50, 10_000)] {
        for seed in 0..3 {
            let mut network = Network::seeded(n, seed);
            let took = network.until(ms(within), Network::agreed);
            println!("{n} nodes, seed {seed}: all met in {took:?}");
            assert!(took.is_some(), "{n} nodes, seed {seed}");
            network.run(ms(20_000));
            assert!(network.agreed());
            assert_eq!(network.count(Liveness::Suspect), 0);
            assert_eq!(network.complaints(), Vec::<&Effect>::new());
        }
    }
}

#[test]
fn a_seed_that_comes_late_is_met() {
    let mut network = Network::strangers(2, 1);
    network.stop(0);
    network.event(1, Event::Announce { to: identity(0, 1).peer() });
    network.run(ms(20_000));
    network.hosts[0].stopped = false;
    assert!(network.until(ms(2_000), Network::agreed).is_some());
}

/// How many milliseconds passed from a death until it was suspected by one, suspected by all, and
/// known to all, each sorted over several seeds.
fn deaths(n: usize, seeds: u64) -> [Vec<u64>; 3] {
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for seed in 0..seeds {
        let mut network = Network::formed(n, seed);
        network.run(ms(4_000 + seed * 17));
        let died = network.now;
        network.stop(1);
        for (place, what) in [(1, Liveness::Suspect), (2, Liveness::Down)] {
            network.until(ms(10_000), |net| net.all_think(1, what)).unwrap();
            times[place].push(network.now.since(died).as_millis());
        }
        times[0].push(network.first(1, Liveness::Suspect, died).unwrap().0.as_millis());
        network.run(ms(5_000));
        assert!(network.agreed());
        assert_eq!(network.complaints(), Vec::<&Effect>::new());
    }
    times.iter_mut().for_each(|times| times.sort_unstable());
    times
}

#[test]
fn death_is_suspected_then_known() {
    for (n, seeds, down) in [(3, 60, 2_800), (5, 60, 2_800), (20, 20, 4_000), (50, 8, 5_000)] {
        let times = deaths(n, seeds);
        let middle = times.each_ref().map(|times| times[times.len() / 2]);
        let worst = times.each_ref().map(|times| times[times.len() - 1]);
        println!(
            "{n} nodes, suspected, by all, down for all: middle {middle:?} worst {worst:?} ms"
        );
        assert!(middle[0] <= 1_500 && middle[1] <= 2_000 && middle[2] <= down, "{n}: {middle:?}");
        // Who probes whom is chance: at worst nobody's turn comes for a few periods.
        assert!(worst[1] <= 4_000 && worst[2] <= down + 2_000, "{n} nodes: {worst:?}");
    }
}

#[test]
fn a_leaver_is_down_at_once() {
    let mut network = Network::formed(5, 3);
    network.run(ms(3_000));
    network.event(2, Event::Leave);
    let left = network.now;
    network.stop(2);
    assert!(network.until(ms(1_500), |net| net.all_think(2, Liveness::Down)).is_some());
    assert_eq!(network.first(2, Liveness::Suspect, left), None);
    assert_eq!(network.hosts[2].machine.next_deadline(), crate::time::Tick::NEVER);
}

#[test]
fn a_restart_replaces_the_old_life_at_once() {
    for seed in 0..5 {
        let mut network = Network::formed(5, seed);
        network.run(ms(3_000));
        network.restart(1, 2, 0);
        let renewed = |net: &Network| {
            let lives =
                |at: usize| net.hosts[at].machine.nodes().find(|(id, _)| id.node == node(1));
            net.live().filter(|&at| at != 1).all(|at| {
                lives(at).is_some_and(|(id, what)| {
                    id.incarnation == Incarnation(2) && what == Liveness::Alive
                })
            })
        };
        assert!(network.until(ms(1_500), renewed).is_some(), "seed {seed}");
        // Told once, with the new incarnation, and nobody was ever missed.
        assert_eq!(network.count(Liveness::Down), 0);
        let told = network.log.iter().filter(|(_, at, effect)| {
            *at == 3
                && matches!(effect, Effect::Changed { identity, .. }
                    if identity.node == node(1) && identity.incarnation == Incarnation(2))
        });
        assert_eq!(told.count(), 1);
        network.run(ms(5_000));
        assert!(network.agreed());
        assert_eq!(network.complaints(), Vec::<&Effect>::new());
    }
}

#[test]
fn an_older_life_is_ignored_and_told_to_end() {
    let mut network = Network::formed(5, 3);
    network.run(ms(2_000));
    network.restart(1, 7, 0);
    network.run(ms(3_000));
    network.restart(1, 4, 0);
    network.log.clear();
    network.sent = 0;
    network.run(ms(5_000));
    for at in [0, 2, 3, 4] {
        let known = network.hosts[at].machine.nodes().find(|(id, _)| id.node == node(1));
        assert_eq!(known.unwrap().0.incarnation, Incarnation(7));
    }
    let told = |effect: &Effect| match effect {
        Effect::Superseded { by } => by.incarnation == Incarnation(7),
        _ => false,
    };
    assert_eq!(network.log.iter().filter(|(_, at, e)| *at == 1 && told(e)).count(), 1);
    assert!(network.sent < 5 * 5 * 40, "{} datagrams: a storm of renewals", network.sent);
}

#[test]
fn a_split_heals_by_itself() {
    for (n, minority) in [(2, 1), (3, 1), (5, 2), (20, 7), (50, 20)] {
        for seed in 0..4 {
            let mut network = Network::formed(n, seed);
            network.run(ms(2_000));
            for host in 0..minority {
                network.hosts[host].side = 1;
            }
            network.run(ms(25_000));
            for at in 0..n {
                for of in (0..n).filter(|&of| of != at) {
                    let same_side = network.hosts[at].side == network.hosts[of].side;
                    let expected = if same_side { Liveness::Alive } else { Liveness::Down };
                    assert_eq!(network.liveness(of, at), Some(expected), "{n} nodes, seed {seed}");
                }
            }
            for host in &mut network.hosts {
                host.side = 0;
            }
            let took = network.until(ms(15_000), Network::agreed);
            println!("{n} nodes, {minority} apart: healed in {took:?}");
            assert!(took.is_some(), "{n} nodes, seed {seed}");
            let back = |effect: &Effect| matches!(effect, Effect::Rejoined { .. });
            assert!(network.log.iter().any(|(_, _, effect)| back(effect)));
            network.run(ms(10_000));
            assert!(network.agreed(), "{n} nodes, seed {seed}: it lasts");
            assert_eq!(network.complaints(), Vec::<&Effect>::new());
        }
    }
}

#[test]
fn a_split_longer_than_memory_heals_too() {
    let mut network = Network::formed(4, 9);
    network.hosts[0].side = 1;
    network.run(ms(20 * 60_000));
    assert_eq!(network.liveness(0, 1), None, "forgotten");
    network.hosts[0].side = 0;
    assert!(network.until(ms(10_000), Network::agreed).is_some());
}

#[test]
fn a_forgotten_member_is_not_looked_for() {
    let mut network = Network::formed(3, 9);
    network.stop(2);
    network.run(ms(10_000));
    network.event(0, Event::Forget { node: node(2) });
    assert_eq!(network.liveness(2, 0), None);
    network.keep_datagrams = true;
    network.log.clear();
    network.run(ms(30_000));
    let sought = |(_, at, effect): &&(_, usize, Effect)| {
        *at == 0 && matches!(effect, Effect::SendDatagram { to, .. } if to.node == node(2))
    };
    assert_eq!(network.log.iter().filter(sought).count(), 0);
}

#[test]
fn one_that_was_forgotten_while_it_lived_is_not_looked_for_later() {
    let mut network = Network::formed(3, 9);
    for at in [0, 1] {
        network.event(at, Event::Forget { node: node(2) });
    }
    network.run(ms(5_000));
    network.stop(2);
    network.run(ms(20 * 60_000));
    assert_eq!(network.liveness(2, 0), None, "the engine has forgotten it, too");
    network.keep_datagrams = true;
    network.log.clear();
    network.run(ms(60_000));
    let sought = |(_, _, effect): &&(_, usize, Effect)| matches!(effect, Effect::SendDatagram { to, .. } if to.node == node(2));
    assert_eq!(network.log.iter().filter(sought).count(), 0);
}

#[test]
fn peers_that_are_known_need_no_introduction() {
    let mut network = Network::strangers(3, 9);
    let all: Vec<Identity> = (0..3).map(|host| identity(host, 1)).collect();
    network.event(0, Event::Restore(all));
    assert_eq!(network.liveness(1, 0), Some(Liveness::Alive));
    assert!(network.until(ms(2_000), Network::agreed).is_some());
}
