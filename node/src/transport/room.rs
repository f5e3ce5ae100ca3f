//! Room in memory for what has come in.
//!
//! A queue that is bounded in frames alone may hold a gigabyte, as a frame may have megabytes. So a
//! frame also takes as much room of its class as it has bytes, from the moment at which it is read
//! until whoever acts on it has done so, on all the way through inboxes and mailboxes. While there is
//! none nothing is read, and QUIC stops the sender of that stream alone.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The room that one frame takes; it is given back when the last of its clones is dropped.
#[derive(Clone, Debug)]
pub struct Room {
    _held: Option<Arc<OwnedSemaphorePermit>>,
}

/// The room that there is for one class.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    free: Arc<Semaphore>,
    all: u32,
}

impl Rooms {
    /// So much of it, counted in whatever its class counts.
    pub(super) fn new(all: u32) -> Self {
        Self { free: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Waits until there is room for a frame of `bytes`. One that is larger than all there is may
    /// pass when it is alone.
    pub(super) async fn take(&self, bytes: usize) -> Room {
        let cost = u32::try_from(bytes + FRAME_COST).unwrap_or(u32::MAX).min(self.all);
        self.take_exactly(cost).await
    }

    /// Waits for a place where places are counted.
    pub(super) async fn take_place(&self) -> Room {
        self.take_exactly(1).await
    }

    async fn take_exactly(&self, cost: u32) -> Room {
        // Nobody closes it, and if somebody did nothing would be bounded any more than by frames.
        let held = Arc::clone(&self.free).acquire_many_owned(cost).await.ok();
        Room { _held: held.map(Arc::new) }
    }
}

#[cfg(test)]
impl Rooms {
    pub(super) fn free(&self) -> usize {
        self.free.available_permits()
    }
}

#[cfg(test)]
impl Room {
    /// For what a test has made up.
    pub(crate) const NONE: Self = Self { _held: None };
}

/// What a frame costs besides its bytes: so the number of empty ones is bounded too.
const FRAME_COST: usize = 64;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn room_is_taken_until_the_last_holder_is_gone() {
        let rooms = Rooms::new(1_000);
        let first = rooms.take(500).now_or_never().expect("there is room");
        assert!(rooms.take(500).now_or_never().is_none());
        let second = rooms.take(300).now_or_never().expect("there is room");
        let clone = first.clone();
        drop((first, second));
        assert!(rooms.take(500).now_or_never().is_none());
        drop(clone);
        assert_eq!(rooms.free(), 1_000);
    }

    #[test]
    fn what_is_larger_than_all_passes_alone() {
        let rooms = Rooms::new(1_000);
        let small = rooms.take(1).now_or_never().expect("there is room");
        assert!(rooms.take(5_000).now_or_never().is_none());
        drop(small);
        let large = rooms.take(5_000).now_or_never().expect("it is alone");
        assert!(rooms.take(1).now_or_never().is_none());
        drop(large);
        assert_eq!(rooms.free(), 1_000);
    }

    #[test]
    fn empty_frames_are_bounded_too() {
        let rooms = Rooms::new(1_000);
        let many = (0..100).map_while(|_| rooms.take(0).now_or_never());
        assert!(many.collect::<Vec<_>>().len() < 20);
    }
}
