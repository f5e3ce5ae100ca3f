//! A wall clock that steps an hour forward, and two hours back.

use std::fs;
use std::path::Path;

use umbel_tests::real::cluster::run_line;
use umbel_tests::real::patience::so;
use umbel_tests::real::{Account, Cluster, Setting, skipped, until};

/// A library that lies about the time to whoever is started with it, if it is here.
pub(crate) fn fake_time() -> Option<String> {
    let places = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let places = places.chain(["/usr/lib".into()]);
    let mut libraries = places.map(|place| place.join("faketime/libfaketime.so.1"));
    let library = libraries.find(|library| library.exists())?;
    Some(library.to_string_lossy().into_owned())
}

/// The wall clock of each node is told by a file; clocks that only measure are left alone.
fn environment(name: &str, dir: &Path) -> Vec<(String, String)> {
    let file = dir.join(format!("clock-{name}")).to_string_lossy().into_owned();
    let library = fake_time().expect("it was looked for");
    let variables = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", &file),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_CACHE_DURATION", "1"),
        ("UMBEL_LOG", "debug"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[test]
fn one_clock_that_steps_an_hour_starts_nothing_early_and_holds_nothing_up() {
    steps_an_hour(Setting { environment, ..Setting::three() }, 1);
}

#[test]
fn the_clock_of_a_lone_node_that_steps_an_hour_starts_nothing_early_and_holds_nothing_up() {
    steps_an_hour(Setting { environment, nodes: 1, replicas: 1, ..Setting::three() }, 0);
}

/// Of a cluster the clock of the node at `place` steps.
fn steps_an_hour(setting: Setting, place: usize) {
    if fake_time().is_none() {
        return skipped("there is no libfaketime");
    }
    let names = ["a", "b", "c"].into_iter().take(setting.nodes);
    let names: Vec<&str> = names.collect();
    let mut cluster = Cluster::prepared(setting, false).unwrap();
    let step = |cluster: &Cluster, node: &str, by: &str| {
        fs::write(cluster.dir().join(format!("clock-{node}")), by).unwrap();
    };
    for node in &names {
        step(&cluster, node, "+0");
    }
    cluster.start_all();
    cluster.is_whole();
    let later = r#"{"task":"run","args":{"for":"0"},"delay":"20m"}"#.to_owned();
    let soon = r#"{"task":"run","args":{"for":"0"},"delay":"2s"}"#.to_owned();
    let mut waiting = Account::default();
    waiting.submit(&cluster.client(), vec![later; 40]);
    let mut account = Account::default();
    for by in ["+3600", "-3600", "+0"] {
        step(&cluster, names[place], by);
        until("its clock says so", || {
            // Whoever is asked has something to log.
            drop(cluster.client_of(place).status());
            let hour = hour_of(by);
            let said = cluster.nodes[place].said();
            let last = said.lines().last().unwrap_or_default().to_owned();
            so(last.starts_with(&hour), || format!("{hour} is not in {last}"))
        });
        account
            .submit(&cluster.client(), [vec![run_line("0"); 30], vec![soon.clone(); 30]].concat());
        let audit = cluster.audit(&account);
        eprintln!("a clock {by} s away: {audit}");
        assert_eq!(audit.duplicated, 0);
    }
    assert_eq!(account.acknowledged.len(), 180, "{account:?}");
    let ledger = cluster.ledger();
    let early = ledger.starts().into_keys().filter(|id| waiting.acknowledged.contains(*id)).count();
    assert_eq!((early, waiting.acknowledged.len()), (0, 40), "started early");
    for place in 0..names.len() {
        assert!(cluster.nodes[place].has_ended().is_none(), "all live on");
    }
}

/// How a line of the log begins so many seconds from now, up to its hour.
fn hour_of(by: &str) -> String {
    let when = format!("now {by} seconds");
    let hour = umbel_tests::real::program::system("date", &["-u", "-d", &when, "+%Y-%m-%dT%H"]);
    hour.unwrap().trim().to_owned()
}
