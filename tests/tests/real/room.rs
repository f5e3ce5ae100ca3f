//! A disk with less room than its node should have: the node says so in time, and owns nothing meanwhile.

use umbel_tests::real::cluster::run_line;
use umbel_tests::real::{Account, Cluster, Setting, skipped};

/// Less than a node keeps in reserve, and far more than it needs here.
const LITTLE_MIB: u32 = 200;
/// Ample.
const ENOUGH_MIB: u32 = 600;
/// Whose disk it is.
const PLACE: usize = 2;

#[test]
fn a_node_with_too_little_room_says_so_and_owns_nothing_until_there_is_more() {
    let mut cluster = Cluster::prepared(Setting::three(), false).unwrap();
    if let Err(why) = cluster.put_on_small_disk(PLACE, LITTLE_MIB) {
        return skipped(&why);
    }
    cluster.start_all();
    cluster.is_owned(&cluster.client());
    cluster.has_parted(&cluster.client(), PLACE, "disk full");
    let said = cluster.nodes[PLACE].said();
    assert!(said.contains("less room than `disk_reserve`"), "{said}");

    let mut account = Account::default();
    account.submit(&cluster.client(), vec![run_line("0"); 60]);
    assert!(account.doubtful.is_empty(), "{account:?}");
    cluster.is_whole();
    cluster.resize_disks(ENOUGH_MIB);
    cluster.is_serving(&cluster.client(), PLACE);
    let audit = cluster.audit(&account);
    eprintln!("too little room: {audit}");
}
