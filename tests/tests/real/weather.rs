//! Networks that lose, double, reorder and delay.

use umbel_tests::real::switch::Weather;
use umbel_tests::real::{Cluster, Setting};

#[test]
fn a_third_of_all_packets_lost_loses_no_task() {
    bad("lossy", Weather { loss: 0.3, ..Weather::default() });
}

#[test]
fn half_of_all_packets_doubled_and_many_overtaken_run_nothing_twice() {
    let weather = Weather { duplication: 0.5, reordering: 0.3, ..Weather::default() };
    bad("doubled", weather);
}

#[test]
fn packets_that_come_seconds_late_lose_no_task() {
    bad("late", Weather { long_tail: 0.2, reordering: 0.2, ..Weather::default() });
}

fn bad(what: &str, weather: Weather) {
    let Some(mut cluster) = Cluster::networked(Setting::three()) else { return };
    cluster.switch().weather(weather);
    let is_doubled_only = weather.loss == 0.0 && weather.long_tail == 0.0;
    if !is_doubled_only {
        // Any of them may be taken for lost at any time.
        for place in 0..3 {
            cluster.fault(place);
        }
    }
    let load = cluster.load("0.05", 120);
    let account = load.join();
    let audit = cluster.audit(&account);
    let suffered = cluster.switch().suffered();
    eprintln!("{what}: {audit}, {suffered} packets suffered");
    assert!(!is_doubled_only || audit.duplicated == 0, "nothing was lost, so nothing runs twice");
    assert!(suffered > 100, "the weather was fine");
    cluster.switch().heal();
    cluster.is_whole();
    cluster.audit(&account);
}
