//! A processor that others take: a node goes on, and everything it does is late.

use umbel_tests::real::cluster::run_line;
use umbel_tests::real::patience::so;
use umbel_tests::real::throttle::Throttle;
use umbel_tests::real::{Account, Cluster, Setting, until};

/// Whose processor it is.
const PLACE: usize = 2;

#[test]
fn a_node_that_is_starved_says_so_and_owns_nothing_until_it_has_time_again() {
    let mut cluster = Cluster::on_loopback(Setting::three());
    cluster.is_whole();
    let name = cluster.nodes[PLACE].name.clone();
    let others = [0, 1].map(|place| cluster.nodes[place].address);
    let client = cluster.client().through(&others);
    let line = || {
        let status = client.status();
        status.into_iter().find(|line| line["name"] == *name).unwrap_or_default()
    };
    let mut account = Account::default();
    account.submit(&client, vec![run_line("0"); 60]);

    let throttle = Throttle::of(cluster.fault(PLACE).pid());
    until("it is known to be starved, and owns nothing", || {
        let line = line();
        so(line["condition"] == "starved" && line["partitions"] == 0, || line.to_string())
    });
    cluster.is_owned(&client);
    account.submit(&client, vec![run_line("0"); 60]);
    assert!(account.doubtful.is_empty(), "{account:?}");
    drop(throttle);
    until("it is well again", || {
        let line = line();
        so(line["condition"] == "serving", || line.to_string())
    });
    cluster.is_whole();
    let audit = cluster.audit(&account);
    eprintln!("a processor that others take: {audit}");
}
