//! A long run of three nodes under work, to which something is done every 20 seconds.
//!
//! A node is killed, stopped for a while, or cut from the others, drawn from a seed. Meanwhile tasks
//! come at an even rate. Every single run is accounted for: most tasks do nothing and are known by what
//! the cluster has on record of their runs, many are posted to a server that counts them, and some
//! are commands that write into a ledger. At the end nothing may be lost, and every second run must
//! be explained by something that was done to the node of the first.
//!
//! ```sh
//! cargo build --release
//! cargo run -p umbel-tests --bin soak -- --bin target/release/umbel --minutes 30 --tasks 1000000
//! ```

#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::process::ExitCode;

use umbel_tests::real::soak::{Options, run};

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
