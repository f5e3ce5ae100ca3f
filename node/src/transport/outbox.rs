//! What waits to be written to one stream, bounded in bytes.
//!
//! The writer takes all that has gathered while it was busy, so under load many frames share one
//! write. Bytes count until they are handed to QUIC, which has its own window.

use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::Notify;

/// A bounded queue with many senders and one writer.
#[derive(Debug)]
pub(super) struct Outbox {
    bytes_max: usize,
    queue: Mutex<Queue>,
    /// Something to write, or closed.
    filled: Notify,
    /// Something was written.
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: Vec<Bytes>,
    /// Of `frames`, and of those that the writer has taken and not written yet.
    bytes: usize,
    closed: bool,
}

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushError {
    Closed,
    Full,
}

impl Outbox {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, queue: Mutex::default(), filled: Notify::new(), emptied: Notify::new() }
    }

    /// Takes `frame` if there is room.
    pub(super) fn push(&self, frame: Bytes) -> Result<(), PushError> {
        let first = {
            let mut queue = self.lock();
            if queue.closed {
                return Err(PushError::Closed);
            }
            let bytes = cost(&frame);
            // A frame that is larger than the whole queue may pass when it is alone.
            if queue.bytes + bytes > self.bytes_max && queue.bytes > 0 {
                return Err(PushError::Full);
            }
            queue.bytes += bytes;
            queue.frames.push(frame);
            queue.frames.len() == 1
        };
        if first {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits until there is room for `frame`, and takes it.
    pub(super) async fn push_wait(&self, frame: Bytes) -> Result<(), PushError> {
        loop {
            // Registered before looking, so that no wake-up is missed.
            let emptied = self.emptied.notified();
            match self.push(frame.clone()) {
                Err(PushError::Full) => emptied.await,
                done => return done,
            }
        }
    }

    /// Waits for frames; `None` when the queue was closed and is empty. For the writer only.
    pub(super) async fn take(&self) -> Option<Vec<Bytes>> {
        loop {
            {
                let mut queue = self.lock();
                if !queue.frames.is_empty() {
                    return Some(std::mem::take(&mut queue.frames));
                }
                if queue.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    /// What was taken is written.
    pub(super) fn written(&self, bytes: usize) {
        let mut queue = self.lock();
        queue.bytes = queue.bytes.saturating_sub(bytes);
        drop(queue);
        self.emptied.notify_waiters();
    }

    /// Takes no more; what is queued is still written.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
        self.emptied.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nothing panics while it holds this lock")
    }
}

/// What `frames` count for.
pub(super) fn costs(frames: &[Bytes]) -> usize {
    frames.iter().map(cost).sum()
}

/// A frame counts for what it keeps in memory: so the number of empty ones is bounded too.
const fn cost(frame: &Bytes) -> usize {
    frame.len() + size_of::<Bytes>() + 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_count_until_they_are_written() {
        let outbox = Outbox::new(2 * cost(&Bytes::from_static(b"abcd")));
        let frame = Bytes::from_static(b"abcd");
        outbox.push(frame.clone()).unwrap();
        outbox.push(frame.clone()).unwrap();
        assert_eq!(outbox.push(frame.clone()), Err(PushError::Full));
        let taken = outbox.take().await.unwrap();
        assert_eq!(taken.len(), 2);
        assert_eq!(outbox.push(frame.clone()), Err(PushError::Full));
        let (pushed, ()) =
            tokio::join!(outbox.push_wait(frame.clone()), async { outbox.written(costs(&taken)) });
        assert_eq!(pushed, Ok(()));
        outbox.close();
        assert_eq!(outbox.push(frame), Err(PushError::Closed));
        assert_eq!(outbox.take().await.map(|frames| frames.len()), Some(1));
        assert_eq!(outbox.take().await, None);
    }
}
