//! A process that gets little of its processor, as under a quota: it stands still most of the time, and has
//! a moment now and then.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// For how long it runs at a time.
const RUNS: Duration = Duration::from_millis(150);
/// For how long it stands still after that: too short for others to take it to be gone.
const STANDS: Duration = Duration::from_millis(500);

/// Holds a process back until it is dropped.
#[derive(Debug)]
pub struct Throttle {
    release: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Throttle {
    /// Begins to hold the process `pid` back.
    ///
    /// # Panics
    /// In its thread, if the process ends meanwhile.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let pid = Pid::from_raw(i32::try_from(pid).expect("Linux has none beyond 2^22"));
        let (release, released) = channel::<()>();
        let send = move |signal| kill(pid, signal).expect("it is ours, and not buried");
        let thread = std::thread::spawn(move || {
            let passes = |time| released.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
            while passes(RUNS) {
                send(Signal::SIGSTOP);
                let goes_on = passes(STANDS);
                send(Signal::SIGCONT);
                if !goes_on {
                    break;
                }
            }
        });
        Self { release: Some(release), thread: Some(thread) }
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        drop(self.release.take());
        if let Some(thread) = self.thread.take() {
            // What it panicked with has been told; the test fails for what it waits for.
            drop(thread.join());
        }
    }
}
