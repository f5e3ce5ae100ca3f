//! Hosts that come back somewhere else.

use umbel_tests::real::cluster::run_line;
use umbel_tests::real::patience::so;
use umbel_tests::real::{Account, Cluster, Setting, until};

#[test]
fn a_host_is_found_again_under_a_new_address() {
    let Some(mut cluster) = Cluster::networked(Setting::three()) else { return };
    let load = cluster.load("0.1", 120);
    until("a part is acknowledged", || {
        so(load.acknowledged() >= 30, || load.acknowledged().to_string())
    });
    cluster.kill(&[2]);
    cluster.move_node(2);
    cluster.start(2);
    cluster.nodes[2].ready();
    let account = load.join();
    cluster.is_whole();
    let audit = cluster.audit(&account);
    eprintln!("a new address: {audit}");
    // Whoever asks for the members is told the new one, which works.
    let address = cluster.nodes[2].address.to_string();
    let status = cluster.client_of(2).status();
    assert!(status.iter().any(|node| node["address"] == *address), "{status:?}");
}

#[test]
fn all_hosts_are_found_again_under_new_addresses() {
    let Some(mut cluster) = Cluster::networked(Setting::three()) else { return };
    let mut account = Account::default();
    account.submit(&cluster.client(), vec![run_line("1"); 40]);
    cluster.kill(&[0, 1, 2]);
    for place in 0..3 {
        cluster.move_node(place);
    }
    // The file is the same for all, and names them where they are now.
    cluster.configure();
    cluster.start_all();
    cluster.is_whole();
    account.submit(&cluster.client(), vec![run_line("0"); 10]);
    let audit = cluster.audit(&account);
    eprintln!("all addresses new: {audit}");
    assert_eq!(account.acknowledged.len(), 50);
}
