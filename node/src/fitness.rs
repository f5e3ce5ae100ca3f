//! What of this node's condition no machine can see: whether its disk has room, and whether tasks get
//! any time.
//!
//! A node that cannot go on should say so before it must stop: others then take over what it owns, one
//! partition after the other and without a run lost. Its scheduler is told, which judges for itself how
//! long writes take and how late its own deadlines come.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::warn;
use umbel_protocol::membership::Condition;
use umbel_protocol::scheduler::Event;
use umbel_protocol::time::{Span, Tick};

use crate::actors::{Handles, Happened};
use crate::clock::Clock;

/// How often it is looked.
const TURN: Duration = Duration::from_millis(500);
/// The disk is asked, and the scheduler told again, in one of so many turns: it may have been built
/// anew since.
const SLOW_TURN: u64 = 8;
/// Where tasks run nothing else gets a turn for so long only if they block the threads that they
/// share: then none of them goes on, and no time limit is kept.
const LAG_MAX: Span = Span::from_millis(3_000);

/// Looks after the condition of a node until it stops.
pub(crate) struct Watch {
    pub(crate) clock: Clock,
    /// Where it keeps everything.
    pub(crate) data: PathBuf,
    /// Bytes that should be free there; none if nobody cares.
    pub(crate) reserve: u64,
    pub(crate) handles: Handles,
}

impl Watch {
    /// Returns when the node stops.
    pub(crate) async fn run(self) {
        let beat = self.beat();
        let (mut is_full, mut told) = (false, Condition::Serving);
        let mut turn = 0_u64;
        loop {
            if turn.is_multiple_of(SLOW_TURN) {
                is_full = self.is_full(is_full).await;
            }
            let lag = self.clock.tick().since(Tick::from_micros(beat.load(Ordering::Relaxed)));
            let condition = if is_full {
                Condition::DiskFull
            } else if lag > LAG_MAX {
                Condition::Starved
            } else {
                Condition::Serving
            };
            if condition != told {
                self.say(condition);
            }
            if condition != told || turn.is_multiple_of(SLOW_TURN) {
                told = condition;
                let event = Event::Condition(condition);
                self.handles.tell(&self.handles.scheduler, Happened(vec![event]));
            }
            turn += 1;
            tokio::time::sleep(TURN).await;
        }
    }

    /// When a task that does nothing had its last turn among those of the user.
    fn beat(&self) -> Arc<AtomicU64> {
        let (clock, stopping) = (self.clock, self.handles.stopping.clone());
        let beat = Arc::new(AtomicU64::new(clock.tick().as_micros()));
        let beats = Arc::clone(&beat);
        self.handles.tasks.spawn(async move {
            let beating = async {
                loop {
                    beats.store(clock.tick().as_micros(), Ordering::Relaxed);
                    tokio::time::sleep(TURN).await;
                }
            };
            // It ends in no other way.
            let _: Option<()> = stopping.run_until_cancelled(beating).await;
        });
        beat
    }

    /// Whether less is free than should be. Once that is so a quarter more has to be free again: what
    /// is handed over would come and go otherwise.
    async fn is_full(&self, was_full: bool) -> bool {
        let (data, reserve) = (self.data.clone(), self.reserve);
        let asked = tokio::task::spawn_blocking(move || free_bytes(&data)).await;
        match asked {
            Ok(Ok(free)) => is_short(free, reserve, was_full),
            Ok(Err(why)) => {
                warn!(%why, "cannot tell how much room the disk has");
                was_full
            }
            // The runtime ends, and the node with it.
            Err(_) => was_full,
        }
    }

    fn say(&self, condition: Condition) {
        match condition {
            Condition::Starved => warn!(
                "tasks block the threads that all of them share, and nothing goes on: give them \
                 to `#[task(blocking)]`, or to commands; other nodes take over what this one owns"
            ),
            Condition::DiskFull => warn!(
                directory = %self.data.display(), reserve = self.reserve,
                "the disk has less room than `disk_reserve`: other nodes take over what this one owns; \
                 make room, or this node stops when none is left"
            ),
            Condition::Serving | Condition::DiskSlow | Condition::Leaving => {}
        }
    }
}

/// Bytes that a process without privileges may still write below `directory`.
fn free_bytes(directory: &Path) -> nix::Result<u64> {
    let told = nix::sys::statvfs::statvfs(directory)?;
    Ok(told.blocks_available().saturating_mul(told.fragment_size()))
}

const fn is_short(free: u64, reserve: u64, was_short: bool) -> bool {
    if was_short { free < reserve.saturating_add(reserve / 4) } else { free < reserve }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_was_full_needs_some_more_room() {
        assert!(!is_short(100, 100, false));
        assert!(is_short(99, 100, false));
        assert!(is_short(124, 100, true));
        assert!(!is_short(125, 100, true));
        assert!(!is_short(0, 0, false), "nobody cares");
    }

    #[test]
    fn the_room_of_a_directory_is_known() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(dir.path()).unwrap() > 0);
        assert!(free_bytes(&dir.path().join("nowhere")).is_err());
    }
}
