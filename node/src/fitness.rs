//! What of this node's condition no machine can see: whether its disk has room, and whether tasks get
//! any time.
//!
//! A node that cannot go on should say so before it must stop: others then take over what it owns, one
//! partition after the other and without a run lost. What is seen is judged in `umbel-protocol`, and its
//! scheduler is told.

use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::warn;
use umbel_protocol::membership::{Condition, Surroundings};
use umbel_protocol::scheduler::Event;
use umbel_protocol::time::Tick;

use crate::actors::{Handles, Happened};
use crate::clock::Clock;

/// How often it is looked.
const TURN: Duration = Duration::from_millis(500);
/// The disk is asked, and the scheduler told again, in one of so many turns: it may not have taken it
/// the last time, or have been built anew since.
const SLOW_TURN: u64 = 8;

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
        let (mut around, mut told) = (Surroundings::default(), Condition::Serving);
        let mut turn = 0_u64;
        loop {
            if turn.is_multiple_of(SLOW_TURN)
                && let Some(free) = self.free().await
            {
                around.room(free, self.reserve);
            }
            let beat = Tick::from_micros(beat.load(Ordering::Relaxed));
            around.lag(self.clock.tick().since(beat));
            let condition = around.condition();
            let is_news = mem::replace(&mut told, condition) != condition;
            if is_news {
                self.say(condition);
            }
            if is_news || turn.is_multiple_of(SLOW_TURN) {
                let event = Event::Condition(condition);
                drop(self.handles.scheduler.try_send(Happened(vec![event])));
            }
            turn += 1;
            tokio::time::sleep(TURN).await;
        }
    }

    /// When a task that does nothing had its last turn among those of the user.
    fn beat(&self) -> Arc<AtomicU64> {
        let (clock, stopping) = (self.clock.clone(), self.handles.stopping.clone());
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

    /// Bytes that the disk has left; nothing if it does not tell.
    async fn free(&self) -> Option<u64> {
        let data = self.data.clone();
        let asked = tokio::task::spawn_blocking(move || free_bytes(&data)).await;
        // An error of the task means that the runtime ends, and the node with it.
        let told = asked.ok()?;
        told.inspect_err(|why| warn!(%why, "cannot tell how much room the disk has")).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_a_directory_is_known() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(dir.path()).unwrap() > 0);
        assert!(free_bytes(&dir.path().join("nowhere")).is_err());
    }
}
