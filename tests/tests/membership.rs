//! Membership at size: 10, 100 and 1,000 hosts.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a test for people to run")]

use std::thread;

use umbel_protocol::time::Span;
use umbel_tests::crowd::Figures;

const SIZES: [usize; 3] = [10, 100, 1_000];
/// Deaths that are measured in each crowd.
const DEATHS: usize = 5;
/// Within that a death must be known everywhere.
const DEATH_MAX: Span = Span::from_millis(15_000);
/// The same of a newcomer, and of a host that was started again: such news needs no suspicion.
const NEWS_MAX: Span = Span::from_millis(5_000);
/// Within that a newcomer must know everybody: each answer holds some twenty of them.
const MEETING_MAX: Span = Span::from_millis(45_000);
/// How much more a host may send among a thousand than among a hundred. Chance alone decides who is
/// probed through others in the few seconds that are measured; what grows with the cluster would be
/// ten times as much.
const GROWTH_MAX: f64 = 1.15;

/// What is measured of a crowd of each size, on two threads.
fn measure(seed: u64) -> Vec<Figures> {
    let each = |measure: fn(&mut Figures, u64)| {
        SIZES.map(|hosts| {
            let mut figures = Figures { hosts, ..Figures::default() };
            measure(&mut figures, seed);
            figures
        })
    };
    thread::scope(|scope| {
        let noise = scope.spawn(move || each(Figures::of_noise));
        let others = each(|figures, seed| {
            figures.of_traffic(seed);
            figures.of_changes(DEATHS, seed);
        });
        let noise = noise.join().expect("it does not panic");
        let merged = others.into_iter().zip(noise).map(|(others, noise)| Figures {
            lost_by_loss: noise.lost_by_loss,
            lost_beside_pauses: noise.lost_beside_pauses,
            lost_by_pauses: noise.lost_by_pauses,
            paused: noise.paused,
            ..others
        });
        merged.collect()
    })
}

fn print_row(name: &str, all: &[Figures], cell: impl Fn(&Figures) -> String) {
    let cells: Vec<String> = all.iter().map(cell).collect();
    println!("| {name} | {} |", cells.join(" | "));
}

fn seconds(span: Span) -> String {
    let hundredths = span.as_millis() / 10;
    format!("{}.{:02} s", hundredths / 100, hundredths % 100)
}

fn print_table(all: &[Figures]) {
    print_row("hosts", all, |one| one.hosts.to_string());
    println!("|---|---|---|---|");
    print_row("a death is known to all, median of 5", all, |one| seconds(one.deaths[DEATHS / 2]));
    print_row("the same, worst", all, |one| seconds(one.deaths[DEATHS - 1]));
    print_row("the same, one while all loads change", all, |one| seconds(one.busy_death));
    let both = |datagrams: f64, bytes: f64| format!("{datagrams:.1}, {bytes:.0}");
    print_row("datagrams, bytes per host and second, idle", all, |one| {
        both(one.idle.datagrams, one.idle.bytes)
    });
    print_row("the same, during a death", all, |one| {
        both(one.during_death.datagrams, one.during_death.bytes)
    });
    print_row("false deaths, 5 % loss for 60 s", all, |one| one.lost_by_loss.to_string());
    print_row("false deaths of others, 5 % stand still for 3 s", all, |one| {
        one.lost_beside_pauses.to_string()
    });
    print_row("false deaths of those that stood still", all, |one| {
        format!("{} of {}", one.lost_by_pauses, one.paused)
    });
    print_row("a newcomer is known to all", all, |one| seconds(one.joined));
    print_row("a newcomer knows all", all, |one| seconds(one.met));
    print_row("a host that starts again is known to all", all, |one| seconds(one.rejoined));
}

#[test]
fn a_thousand_hosts_keep_an_eye_on_each_other() {
    let seed = std::env::var("UMBEL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let all = measure(seed);
    print_table(&all);
    for one in &all {
        let hosts = one.hosts;
        let slowest = one.deaths[DEATHS - 1].max(one.busy_death);
        assert!(slowest < DEATH_MAX, "{hosts} hosts: a death takes {slowest:?}");
        let news = one.joined.max(one.rejoined);
        assert!(news < NEWS_MAX, "{hosts} hosts: an arrival takes {news:?}");
        assert!(one.met < MEETING_MAX, "{hosts} hosts: a newcomer takes {:?}", one.met);
        assert_eq!(one.lost_by_loss, 0, "{hosts} hosts: down for loss");
        assert_eq!(one.lost_beside_pauses, 0, "{hosts} hosts: down while others stand still");
    }
    let [_, hundred, thousand] = all.as_slice() else {
        panic!("three sizes");
    };
    for (small, large) in
        [(hundred.idle, thousand.idle), (hundred.during_death, thousand.during_death)]
    {
        let grown = (large.datagrams / small.datagrams).max(large.bytes / small.bytes);
        assert!(grown < GROWTH_MAX, "a host sends {grown:.2} times as much: {small:?}, {large:?}");
    }
}
