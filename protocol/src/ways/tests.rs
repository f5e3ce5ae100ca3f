//! Effect tests: what happens to the ways of a node, and where it then sends what it has to say.

use std::collections::BTreeMap;

use super::*;
use crate::id::{Incarnation, Lessee, PartitionId};
use crate::time::Span;
use crate::wire::{ExecutorSays, OwnerSays};

const ME: NodeId = NodeId(1 << 96);
const FAR: NodeId = NodeId(2 << 96);
const C: NodeId = NodeId(3 << 96);
const D: NodeId = NodeId(4 << 96);

/// The ways of a node and its clock.
struct Host {
    ways: Ways,
    now: Tick,
}

impl Host {
    /// A member among members that are all connected and alive.
    fn new(node: NodeId, others: &[NodeId]) -> Self {
        let mut host = Self { ways: Ways::new(node), now: Tick::START };
        host.step(Event::Members(others.iter().copied().chain([node]).collect()));
        for other in others {
            host.step(Event::Connected(*other));
            host.told(*other, Liveness::Alive);
        }
        host
    }

    /// One that has had no connection with `FAR` for a second.
    fn cut(others: &[NodeId]) -> Self {
        let mut host = Self::new(ME, others);
        host.step(Event::Disconnected(FAR));
        host.pass(RELAY_AFTER);
        host
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.ways.step(self.now, event, &mut effects);
        effects
    }

    fn told(&mut self, node: NodeId, liveness: Liveness) {
        assert_eq!(self.step(Event::Liveness { node, liveness }), []);
    }

    fn pass(&mut self, span: Span) {
        self.now = self.now + span;
    }

    fn say(&mut self, messages: Vec<PeerMessage>) -> Vec<Effect> {
        self.step(Event::Say { to: FAR, messages })
    }

    /// Who is spoken to when `FAR` is to be told something.
    fn asks(&mut self) -> NodeId {
        match &self.say(vec![PeerMessage::FromExecutor(beat(ME))])[..] {
            [Effect::Send { to, .. }] => *to,
            other => panic!("{other:?}"),
        }
    }

    fn hear(&mut self, sender: NodeId, relayed: Vec<Relayed>) -> Vec<Effect> {
        self.step(Event::Relayed { sender, relayed })
    }
}

fn just_before(span: Span) -> Span {
    Span::from_micros(span.as_micros() - 1)
}

fn lessee(node: NodeId) -> Lessee {
    Lessee { node, incarnation: Incarnation(1), executor: 1 }
}

fn beat(node: NodeId) -> ExecutorSays {
    ExecutorSays::Beat { lessee: lessee(node), runs: Vec::new() }
}

fn ask() -> OwnerSays {
    OwnerSays::Ask { lessee: lessee(FAR), partition: PartitionId(1), term: 2 }
}

fn relayed(from: NodeId, to: NodeId) -> Relayed {
    Relayed { from, to, said: Said::FromExecutor(beat(from)) }
}

fn relay(relayed: Relayed) -> PeerMessage {
    PeerMessage::Relay(Box::new(relayed))
}

fn send(to: NodeId, messages: Vec<PeerMessage>) -> Effect {
    Effect::Send { to, messages }
}

#[test]
fn what_is_said_over_a_connection_is_left_as_it_is() {
    let mut host = Host::new(ME, &[FAR, C]);
    let messages = vec![PeerMessage::ToExecutor(ask()), PeerMessage::MetaVersion(1)];
    assert_eq!(host.say(messages.clone()), [send(FAR, messages)]);
}

#[test]
fn after_a_second_without_a_connection_a_third_is_asked() {
    let mut host = Host::new(ME, &[FAR, C]);
    host.step(Event::Disconnected(FAR));
    let messages = || {
        let from = PeerMessage::FromExecutor(beat(ME));
        vec![PeerMessage::MetaVersion(1), PeerMessage::ToExecutor(ask()), from]
    };
    host.pass(just_before(RELAY_AFTER));
    assert_eq!(host.say(messages()), [send(FAR, messages())], "it may be back in a moment");
    host.pass(Span::from_micros(1));
    let owner = Relayed { from: ME, to: FAR, said: Said::ToExecutor(ask()) };
    let through = vec![relay(owner), relay(relayed(ME, FAR))];
    // The others find their own way, or are lost.
    let rest = vec![PeerMessage::MetaVersion(1)];
    assert_eq!(host.say(messages()), [send(C, through), send(FAR, rest)]);
}

#[test]
fn a_member_that_was_never_connected_is_spoken_to_through_a_third_as_well() {
    let mut host = Host { ways: Ways::new(ME), now: Tick::from_micros(5) };
    host.step(Event::Connected(C));
    host.told(C, Liveness::Alive);
    host.step(Event::Members(vec![ME, FAR, C]));
    assert_eq!(host.asks(), FAR);
    host.pass(RELAY_AFTER);
    assert_eq!(host.asks(), C);
}

#[test]
fn only_members_that_are_alive_and_connected_relay() {
    let mut host = Host::cut(&[FAR, C]);
    host.told(C, Liveness::Suspect);
    assert_eq!(host.asks(), FAR);
    host.told(C, Liveness::Alive);
    host.step(Event::Disconnected(C));
    assert_eq!(host.asks(), FAR);
    host.step(Event::Connected(C));
    assert_eq!(host.asks(), C);
    host.step(Event::Members(vec![ME, FAR]));
    assert_eq!(host.asks(), FAR);
}

#[test]
fn nothing_is_relayed_to_the_down_and_to_strangers() {
    let mut host = Host::cut(&[FAR, C]);
    host.told(FAR, Liveness::Suspect);
    assert_eq!(host.asks(), C, "who was cut off is suspected first");
    host.told(FAR, Liveness::Down);
    assert_eq!(host.asks(), FAR);
    host.told(FAR, Liveness::Alive);
    assert_eq!(host.asks(), C);
    host.step(Event::Members(vec![ME, C]));
    assert_eq!(host.asks(), FAR);
}

#[test]
fn relays_take_turns() {
    let mut host = Host::cut(&[FAR, C, D]);
    let mut asked = Vec::new();
    for _ in 0..4 {
        let first = host.asks();
        host.pass(just_before(RELAY_TURN));
        assert_eq!(host.asks(), first, "not before a turn is over");
        host.pass(Span::from_micros(1));
        asked.push(first);
    }
    assert!(asked == [C, D, C, D] || asked == [D, C, D, C], "{asked:?}");
}

#[test]
fn pairs_of_nodes_spread_over_their_relays() {
    let id = |n: u128| NodeId((n << 96) | (n * 0x9e37_79b9_7f4a_7c15));
    let others: Vec<NodeId> = (1..=20).map(id).collect();
    let mut taken: BTreeMap<NodeId, usize> = BTreeMap::new();
    for far in &others {
        let mut host = Host::new(id(100), &others);
        host.step(Event::Disconnected(*far));
        host.pass(RELAY_AFTER);
        let messages = vec![PeerMessage::FromExecutor(beat(id(100)))];
        let effects = host.step(Event::Say { to: *far, messages });
        let [Effect::Send { to, .. }] = &effects[..] else { panic!("{effects:?}") };
        *taken.entry(*to).or_default() += 1;
    }
    assert!(taken.len() > 6, "{taken:?}");
}

#[test]
fn a_relay_without_a_way_is_passed_over_while_there_is_another() {
    let mut host = Host::cut(&[FAR, C, D]);
    let (first, second) = if host.asks() == C { (C, D) } else { (D, C) };
    assert_eq!(host.step(Event::NoWay { via: first, to: FAR }), []);
    for _ in 0..4 {
        assert_eq!(host.asks(), second);
        host.pass(RELAY_TURN);
    }
    // Then it is asked again, in its turn.
    host.pass(RELAY_AVOIDED);
    let asked = host.asks();
    host.pass(RELAY_TURN);
    assert_ne!(host.asks(), asked);
    // And if none has one, all of them are.
    for via in [C, D] {
        host.step(Event::NoWay { via, to: FAR });
    }
    let asked = host.asks();
    host.pass(RELAY_TURN);
    let next = host.asks();
    assert!([asked, next] == [C, D] || [asked, next] == [D, C], "{asked:?} {next:?}");
}

#[test]
fn a_stranger_cannot_have_a_relay_passed_over() {
    let mut host = Host::cut(&[FAR, C]);
    host.step(Event::Connected(D));
    host.step(Event::NoWay { via: D, to: FAR });
    assert_eq!(host.ways.others[&FAR].avoided, BTreeMap::new());
    host.step(Event::NoWay { via: C, to: D });
    assert_eq!(host.ways.others[&D].avoided, BTreeMap::new());
}

#[test]
fn who_is_connected_again_is_told_for_a_while_that_it_may_be_out_of_order() {
    let mut host = Host::cut(&[FAR, C]);
    assert_eq!(host.asks(), C);
    host.step(Event::Connected(FAR));
    let say = |host: &mut Host| {
        host.say(vec![PeerMessage::MetaVersion(1), PeerMessage::FromExecutor(beat(ME))])
    };
    host.pass(just_before(CROSSING_MAX));
    let rest = send(FAR, vec![PeerMessage::MetaVersion(1)]);
    assert_eq!(say(&mut host), [send(FAR, vec![relay(relayed(ME, FAR))]), rest]);
    host.pass(Span::from_micros(1));
    let plain = vec![PeerMessage::MetaVersion(1), PeerMessage::FromExecutor(beat(ME))];
    assert_eq!(say(&mut host), [send(FAR, plain)]);
}

#[test]
fn a_connection_that_only_broke_leaves_no_mark() {
    let mut host = Host::new(ME, &[FAR, C]);
    host.step(Event::Disconnected(FAR));
    host.asks();
    host.step(Event::Connected(FAR));
    let messages = vec![PeerMessage::FromExecutor(beat(ME))];
    assert_eq!(host.say(messages.clone()), [send(FAR, messages)]);
}

#[test]
fn a_relay_gives_on_what_its_sender_says() {
    let mut host = Host::new(C, &[ME, FAR, D]);
    let messages = vec![relayed(ME, FAR), relayed(ME, D), relayed(ME, FAR)];
    let twice = vec![relay(relayed(ME, FAR)), relay(relayed(ME, FAR))];
    let effects = host.hear(ME, messages);
    assert_eq!(effects, [send(FAR, twice), send(D, vec![relay(relayed(ME, D))])]);
}

#[test]
fn a_relay_without_a_way_says_so_and_asks_no_other() {
    let mut host = Host::new(C, &[ME, FAR, D]);
    host.step(Event::Disconnected(FAR));
    host.pass(RELAY_AFTER);
    let effects = host.hear(ME, vec![relayed(ME, FAR), relayed(ME, FAR)]);
    assert_eq!(effects, [send(ME, vec![PeerMessage::NoWay { to: FAR }])]);
}

#[test]
fn a_relay_is_no_way_around_checks() {
    let mut host = Host::new(C, &[ME, FAR, D]);
    // In the name of another, back to its sender, and for another node's executor.
    assert_eq!(host.hear(ME, vec![relayed(D, FAR)]), []);
    assert_eq!(host.hear(ME, vec![relayed(ME, ME)]), []);
    let said = Said::FromExecutor(beat(D));
    assert_eq!(host.hear(ME, vec![Relayed { from: ME, to: FAR, said }]), []);
    // To a stranger, from a stranger.
    let stranger = NodeId(9 << 96);
    host.step(Event::Connected(stranger));
    assert_eq!(host.hear(ME, vec![relayed(ME, stranger)]), []);
    assert_eq!(host.hear(stranger, vec![relayed(stranger, FAR)]), []);
}

#[test]
fn what_was_relayed_is_taken_from_members_in_the_name_of_members() {
    let mut host = Host::new(FAR, &[ME, C]);
    let said = Said::ToExecutor(ask());
    let one = || Relayed { from: ME, to: FAR, said: said.clone() };
    let delivered = || Effect::Deliver { from: ME, said: said.clone() };
    assert_eq!(host.hear(C, vec![one()]), [delivered()]);
    assert_eq!(host.hear(ME, vec![one()]), [delivered()], "without a relay, but out of order");
    let said = Said::FromExecutor(beat(ME));
    let from_executor = host.hear(C, vec![relayed(ME, FAR)]);
    assert_eq!(from_executor, [Effect::Deliver { from: ME, said }]);

    let stranger = NodeId(9 << 96);
    host.step(Event::Connected(stranger));
    assert_eq!(host.hear(stranger, vec![relayed(ME, FAR)]), []);
    assert_eq!(host.hear(C, vec![relayed(stranger, FAR)]), []);
    assert_eq!(host.hear(C, vec![relayed(FAR, FAR)]), [], "in the name of this very node");
    let said = Said::FromExecutor(beat(C));
    assert_eq!(host.hear(C, vec![Relayed { from: ME, to: FAR, said }]), []);
}

#[test]
fn strangers_are_forgotten_when_they_are_gone() {
    let mut host = Host::new(ME, &[FAR]);
    for n in 10..1_000 {
        let stranger = NodeId(n << 96);
        host.step(Event::Connected(stranger));
        host.step(Event::Disconnected(stranger));
        host.told(stranger, Liveness::Alive);
        host.told(stranger, Liveness::Down);
    }
    assert_eq!(host.ways.others.len(), 1);
}
