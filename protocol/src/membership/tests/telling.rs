//! Loads, encodings, and that nothing is left to chance.

use foca::{BroadcastHandler, Codec as _, Invalidates, Member, State};

use super::super::codec::Codec;
use super::super::load::{Listener, News};
use super::super::{Condition, Effect, Event, Identity, Load};
use super::network::{Network, identity, load, ms, node};
use crate::id::{Incarnation, NodeId};
use crate::time::Wall;
use crate::wire;

fn free_of(network: &Network, of: usize, at: usize) -> Option<u16> {
    network.hosts[at].machine.load(node(of)).map(|load| load.free[0])
}

fn all_heard(network: &Network, free: u16) -> bool {
    network.live().all(|at| {
        network.live().filter(|&of| of != at).all(|of| free_of(network, of, at) == Some(free))
    })
}

#[test]
fn every_load_reaches_everybody() {
    for (n, loss, within) in [(3, 0, 1_500), (5, 0, 1_500), (20, 100, 7_000), (50, 100, 12_000)] {
        let mut network = Network::formed(n, 2);
        network.loss = loss;
        for free in [5, 6] {
            for host in 0..n {
                network.event(host, Event::LoadChanged(load(host, free)));
            }
            let took = network.until(ms(within), |net| all_heard(net, free));
            println!("{n} nodes, loss {loss}/1000: all loads everywhere in {took:?}");
            assert!(took.is_some(), "{n} nodes");
        }
        assert!(network.complaints().is_empty());
    }
}

#[test]
fn a_newcomer_hears_all_loads() {
    let mut network = Network::seeded(4, 2);
    for host in 0..4 {
        network.event(host, Event::LoadChanged(load(host, 5)));
    }
    network.run(ms(20_000));
    network.restart(3, 2, 0);
    network.event(3, Event::LoadChanged(load(3, 5)));
    assert!(network.until(ms(7_000), |net| all_heard(net, 5)).is_some());
}

/// Gossip falls and is built anew while its process goes on: the node is still the same start.
#[test]
fn a_teller_that_was_built_anew_is_listened_to() {
    let mut network = Network::formed(4, 2);
    for free in 1..20 {
        network.event(3, Event::LoadChanged(load(3, free)));
        network.run(ms(2_000));
    }
    network.restart(3, 1, 0);
    network.event(3, Event::LoadChanged(load(3, 50)));
    let heard = |net: &Network| (0..3).all(|at| free_of(net, 3, at) == Some(50));
    assert!(network.until(ms(5_000), heard).is_some());
}

#[test]
fn newer_loads_are_never_overwritten() {
    let mut network = Network::formed(5, 2);
    network.loss = 150;
    for free in 1..200 {
        network.event(1, Event::LoadChanged(load(1, free)));
        network.run(ms(37));
    }
    network.restart(1, 2, 0);
    for free in 200..300 {
        network.event(1, Event::LoadChanged(load(1, free)));
        network.run(ms(37));
    }
    for at in [0, 2, 3, 4] {
        let told: Vec<u16> = network
            .log
            .iter()
            .filter_map(|(_, host, effect)| match effect {
                Effect::Load { node: of, load, .. } if *host == at && *of == node(1) => {
                    Some(load.free[0])
                }
                _ => None,
            })
            .collect();
        assert!(told.is_sorted(), "{told:?}");
        // Told at most every 200 ms, though changed every 37.
        assert!((20..=62).contains(&told.len()), "{}", told.len());
    }
}

#[test]
fn an_unchanged_load_is_told_now_and_then_with_a_clock_that_ran_on() {
    let mut network = Network::formed(3, 2);
    for _ in 0..100 {
        let passed = ms(network.now.as_micros() / 1_000);
        let clock = Wall::from_millis(1_000) + passed;
        network.event(0, Event::LoadChanged(Load { clock, ..load(0, 5) }));
        network.run(ms(300));
    }
    let told: Vec<Wall> = network
        .log
        .iter()
        .filter_map(|(_, host, effect)| match effect {
            Effect::Load { load, .. } if *host == 1 => Some(load.clock),
            _ => None,
        })
        .collect();
    assert!((6..=8).contains(&told.len()), "{told:?}");
    let pauses: Vec<u64> = told.windows(2).map(|two| two[1].since(two[0]).as_millis()).collect();
    assert!(pauses.iter().all(|pause| (4_950..5_100).contains(pause)), "{pauses:?}");
}

#[test]
fn the_listener_knows_news_from_old() {
    let (sender, news) = std::sync::mpsc::channel();
    let mut listener = Listener::new(node(0), sender);
    let mut told = |of: usize, incarnation: u64, version: u64, by: Option<&Identity>| {
        let incarnation = Incarnation(incarnation);
        let item = News { node: node(of), incarnation, version, load: load(of, 1) };
        listener.receive_item(&wire::encode(&item), by).unwrap()
    };
    let by = identity(3, 1);
    let first = told(1, 1, 5, Some(&by)).unwrap();
    assert!(told(1, 1, 5, Some(&by)).is_none());
    assert!(told(1, 1, 4, Some(&by)).is_none());
    let second = told(1, 2, 1, Some(&by)).unwrap();
    assert!(second.invalidates(&first) && !first.invalidates(&second));
    assert!(told(1, 1, 9, Some(&by)).is_none(), "of an earlier life");
    assert!(told(0, 1, 9, Some(&by)).is_none(), "nobody tells us our own");
    assert!(told(0, 1, 1, None).is_some());
    assert!(!told(2, 9, 9, Some(&by)).unwrap().invalidates(&second));
    assert_eq!(news.try_iter().count(), 3);
    assert!(listener.receive_item(&[0; 97], Some(&by)).is_err());
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let trace = |seed| {
        let mut network = Network::seeded(8, seed);
        network.keep_datagrams = true;
        network.loss = 100;
        network.event(1, Event::LoadChanged(load(1, 5)));
        network.run(ms(5_000));
        network.stop(2);
        network.hosts[3].side = 1;
        network.run(ms(10_000));
        network.hosts[3].side = 0;
        network.restart(2, 2, 0);
        network.run(ms(5_000));
        network.log
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

#[test]
fn encodings_stay_as_they_are() {
    let me = Identity::new(
        NodeId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
        Incarnation(300),
        0xfeed,
        "192.0.2.7:7070".parse().unwrap(),
    );
    assert_eq!(
        hex(&wire::encode(&me)),
        "fe100f0e0d0c0b0a090807060504030201fb2c0100fbedfe00c0000207fb9e1b"
    );
    let six = Identity { bump: 2, address: "[2001:db8::7]:7070".parse().unwrap(), ..me };
    assert_eq!(
        hex(&wire::encode(&six)),
        "fe100f0e0d0c0b0a090807060504030201fb2c0102fbedfe0120010db8000000000000000000000007fb9e1b"
    );
    let (journal, _keep) = std::sync::mpsc::channel();
    let mut bytes = Vec::new();
    Codec::new(journal).encode_member(&Member::new(me, 3, State::Suspect), &mut bytes).unwrap();
    assert_eq!(
        hex(&bytes),
        "22fe100f0e0d0c0b0a090807060504030201fb2c0100fbedfe00c0000207fb9e1b0301"
    );
    let header =
        foca::Header { src: me, src_incarnation: 3, dst: six, message: foca::Message::Ping(7) };
    assert_eq!(
        hex(&wire::encode(&header)),
        "fe100f0e0d0c0b0a090807060504030201fb2c0100fbedfe00c0000207fb9e1b03fe100f0e0d0c0b0a0908\
         07060504030201fb2c0102fbedfe0120010db8000000000000000000000007fb9e1b0007"
    );
    let load = Load {
        free: [16, 4, 0, 1_000],
        backlog: 70_000,
        clock: Wall::from_millis(1_800_000_000_123),
        condition: Condition::Serving,
        is_tight: false,
    };
    let news = News { node: me.node, incarnation: me.incarnation, version: 12, load };
    let as_ever =
        "fe100f0e0d0c0b0a090807060504030201fb2c010c100400fbe803fc70110100fd7b505c18a3010000";
    assert_eq!(hex(&news.to_bytes()), as_ever);
    let load = Load { condition: Condition::DiskSlow, ..load };
    let slow = News { load, ..news };
    assert_eq!(hex(&slow.to_bytes()), as_ever.to_owned() + "0300");
    assert_eq!(News::from_bytes(&slow.to_bytes()), Ok(slow));
    for identity in [me, six] {
        assert_eq!(wire::decode(&wire::encode(&identity), 60), Ok(identity));
    }
    assert_eq!(News::from_bytes(&news.to_bytes()), Ok(news));
}

#[test]
fn the_longest_items_fit() {
    let longest = Identity {
        node: NodeId(u128::MAX),
        incarnation: Incarnation(u64::MAX),
        bump: u32::MAX,
        start: u64::MAX,
        address: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap(),
    };
    assert_eq!(wire::encode(&longest).len(), 60);
    let header = foca::Header {
        src: longest,
        src_incarnation: u16::MAX,
        dst: longest,
        message: foca::Message::PingReq { target: longest, probe_number: u8::MAX },
    };
    assert!(wire::encode(&header).len() < 255);
    let load = Load {
        free: [u16::MAX; 4],
        backlog: u32::MAX,
        clock: Wall::from_millis(u64::MAX),
        condition: Condition::Starved,
        is_tight: true,
    };
    let incarnation = longest.incarnation;
    let news = News { node: longest.node, incarnation, version: u64::MAX, load };
    assert_eq!(news.to_bytes().len(), 63);
}

#[test]
fn the_machine_may_live_on_any_thread() {
    fn assert_send<T: Send>() {}
    assert_send::<super::super::Membership>();
}

#[test]
fn what_does_not_travel_is_left_out() {
    let scoped = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 7, 1, 2);
    let me = Identity::new(node(0), Incarnation(1), 0, scoped.into());
    assert_eq!(wire::decode(&wire::encode(&me), 60), Ok(me));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
