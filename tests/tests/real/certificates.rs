//! Certificates whose time is over.

use std::fs;

use umbel_tests::real::cluster::run_line;
use umbel_tests::real::patience::so;
use umbel_tests::real::program::{Program, system};
use umbel_tests::real::{Account, Cluster, Setting, skipped, until};

use crate::clocks::fake_time;

#[test]
fn a_node_whose_certificate_has_expired_is_refused_until_it_is_renewed() {
    let Some(library) = fake_time() else { return skipped("there is no libfaketime") };
    let mut cluster = Cluster::on_loopback(Setting::three());
    let mut account = Account::default();
    account.submit(&cluster.client(), vec![run_line("0"); 20]);
    cluster.kill(&[2]);
    let tls = cluster.dir().join("tls").to_string_lossy().into_owned();
    let program = Program::built().path().to_string_lossy().into_owned();
    let pem = format!("{tls}/c.pem");
    // Issued long ago, as far as it knows.
    fs::remove_file(&pem).unwrap();
    let (preload, then) = (format!("LD_PRELOAD={library}"), "FAKETIME=-4000d");
    system("env", &[&preload, then, &program, "ca", "issue", "c", "--dir", &tls]).unwrap();
    cluster.start(2);
    until("it says why it is not let in", || {
        let said = cluster.nodes[2].said();
        so(said.to_lowercase().contains("expired"), || said.clone())
    });
    // The others take no notice, but for one copy less.
    let others = cluster.client().through(&[0, 1].map(|place| cluster.nodes[place].address));
    cluster.is_owned(&others);
    account.submit(&others, vec![run_line("0"); 20]);
    assert!(account.doubtful.is_empty(), "{account:?}");
    cluster.kill(&[2]);
    fs::remove_file(&pem).unwrap();
    system(&program, &["ca", "issue", "c", "--dir", &tls]).unwrap();
    cluster.start(2);
    cluster.nodes[2].ready();
    cluster.is_whole();
    let audit = cluster.audit(&account);
    eprintln!("an expired certificate: {audit}");
}
