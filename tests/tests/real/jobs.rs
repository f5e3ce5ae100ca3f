//! Jobs that fire while their owners die.

use umbel_tests::real::Program;
use umbel_tests::real::ticks::{Options, run};

#[test]
fn each_tick_fires_once_though_a_node_is_killed() {
    // One kill, and time for what was killed to be back: see the program `ticks` for more.
    let options = Options { bin: Program::built().path().to_owned(), minutes: 0.8 };
    let report = run(&options);
    assert!(report.is_exact() && report.kills() == 1, "{report}");
    eprintln!("jobs and a kill: {report}");
}
