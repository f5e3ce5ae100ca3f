//! Whether each tick of each job fires once, whoever dies.
//!
//! Five nodes, each a process, and twenty jobs that fire every second; every 30 seconds one node is
//! killed with signal 9, and comes back a few seconds later. Every run writes down that it began. At the
//! end no tick may be missing, none may have two tasks, a task may have run twice only if its first run
//! was lost with its node, and a tick may be late only while its job had no owner.
//!
//! ```sh
//! cargo build --release
//! cargo run -p umbel-tests --bin ticks -- --bin target/release/umbel --minutes 3
//! ```

#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::process::ExitCode;

use umbel_tests::real::ticks::{Options, run};

fn main() -> ExitCode {
    let report = match Options::read(std::env::args().skip(1)) {
        Ok(options) => run(&options),
        Err(why) => {
            println!("error: {why}");
            return ExitCode::FAILURE;
        }
    };
    println!("{report}");
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
