//! A processor that others take: a node goes on, and everything it does is late.

use umbel_tests::real::cluster::run_line;
use umbel_tests::real::throttle::Throttle;
use umbel_tests::real::{Account, Cluster, Setting};

/// Whose processor it is.
const PLACE: usize = 2;

#[test]
fn a_node_that_is_starved_says_so_and_owns_nothing_until_it_has_time_again() {
    let mut cluster = Cluster::on_loopback(Setting::three());
    cluster.is_whole();
    let others = [0, 1].map(|place| cluster.nodes[place].address);
    let client = cluster.client().through(&others);
    let mut account = Account::default();
    account.submit(&client, vec![run_line("0"); 60]);

    let throttle = Throttle::of(cluster.fault(PLACE).pid());
    cluster.has_parted(&client, PLACE, "starved");
    cluster.is_owned(&client);
    account.submit(&client, vec![run_line("0"); 60]);
    assert!(account.doubtful.is_empty(), "{account:?}");
    drop(throttle);
    cluster.is_serving(&client, PLACE);
    cluster.is_whole();
    let audit = cluster.audit(&account);
    eprintln!("a processor that others take: {audit}");
}
