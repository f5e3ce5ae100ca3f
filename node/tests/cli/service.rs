//! What a service manager is told: a socket of the test stands for it.

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::program::{Program, output, tell};

/// Ample for a node to say something.
const PATIENCE: Duration = Duration::from_secs(60);

/// The next datagram that has `line` in it.
fn hears(manager: &UnixDatagram, line: &str) -> String {
    let mut heard = [0; 4096];
    loop {
        let length = manager.recv(&mut heard).expect(line);
        let text = std::str::from_utf8(&heard[..length]).expect("text");
        if text.lines().any(|one| one == line) {
            return text.to_owned();
        }
    }
}

#[test]
fn a_service_manager_hears_of_a_node_as_long_as_it_is_well() {
    let program = Program::new();
    let socket = program.path("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = program.command(&["node", "--name", "a", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "400000");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let node = command.spawn().unwrap();

    assert!(hears(&manager, "READY=1").contains("STATUS=a is ready on 127.0.0.1:"));
    for _ in 0..3 {
        hears(&manager, "WATCHDOG=1");
    }
    // One that stands still is not well.
    tell(&node, Signal::SIGSTOP);
    manager.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut heard = [0; 4096];
    // What it said before is still there to be read; then nothing comes.
    while manager.recv(&mut heard).is_ok() {}
    tell(&node, Signal::SIGCONT);
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    hears(&manager, "WATCHDOG=1");
    tell(&node, Signal::SIGTERM);
    hears(&manager, "STOPPING=1");
    let ran = output(node);
    assert!(ran.ok, "{}", ran.err);
}
