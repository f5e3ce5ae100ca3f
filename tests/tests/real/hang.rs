//! A disk that hangs: nothing that is written to it ends, and nothing fails.

use umbel_tests::real::cluster::run_line;
use umbel_tests::real::loop_disk::LoopDisk;
use umbel_tests::real::{Account, Cluster, Setting, skipped};

const MIB: u64 = 600;
/// Whose disk it is.
const PLACE: usize = 2;

#[test]
fn a_node_whose_disk_hangs_says_so_and_owns_nothing_until_it_goes_on() {
    let mut cluster = Cluster::prepared(Setting::three(), false).unwrap();
    let disk = match LoopDisk::mount(&cluster.nodes[PLACE].data, MIB) {
        Ok(disk) => disk,
        Err(why) => return skipped(&why),
    };
    cluster.start_all();
    cluster.is_whole();
    let others = [0, 1].map(|place| cluster.nodes[place].address);
    let client = cluster.client().through(&others);
    let mut account = Account::default();
    account.submit(&client, vec![run_line("0"); 60]);

    cluster.fault(PLACE);
    let frozen = disk.freeze().expect("it was tried when it was mounted");
    account.submit(&client, vec![run_line("0"); 60]);
    cluster.has_parted(&client, PLACE, "disk slow");
    cluster.is_owned(&client);
    account.submit(&client, vec![run_line("0"); 60]);
    assert!(account.doubtful.is_empty(), "{account:?}");
    drop(frozen);
    cluster.is_serving(&client, PLACE);
    cluster.is_whole();
    let audit = cluster.audit(&account);
    eprintln!("a disk that hangs: {audit}");
}
