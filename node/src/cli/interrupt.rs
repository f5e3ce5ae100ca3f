//! Being told to stop.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that ask this program to stop. While this lives they do nothing else.
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
    /// Whether there was a terminal that could be closed.
    had_terminal: bool,
}

/// What a program that runs until it is told otherwise is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// To read its file again.
    Reload,
    /// To stop.
    Stop,
}

impl Interrupts {
    /// Listens from now on: a signal that comes before it is waited for is not lost.
    pub(super) fn listen() -> io::Result<Self> {
        // Whoever started this with nohup wants it to outlive the terminal.
        let hangup = (!is_hangup_ignored()).then(|| signal(SignalKind::hangup())).transpose()?;
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { interrupt, terminate, hangup, had_terminal: has_terminal() })
    }

    /// What was told next. A hangup means that the terminal was closed, where there was one and is none
    /// any more; else somebody has sent it to have the file read again.
    pub(super) async fn next(&mut self) -> Told {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
            _ = hangup => if self.had_terminal && !has_terminal() { Told::Stop } else { Told::Reload },
        }
    }

    /// Returns when one has come.
    pub(super) async fn any(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether this process has a terminal that is open.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The first signal is the lowest bit, and that is this one.
    mask.is_some_and(|mask| mask & 1 == 1)
}
