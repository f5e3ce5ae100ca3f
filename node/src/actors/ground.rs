//! What the actors of a node stand on: their threads, the store, and the lock on its directory.
//!
//! Invariant: it goes in that order, whatever ends the node. The store closes when nobody writes any
//! more, and the directory is free for another process only when the store is closed.

use std::sync::{Arc, Mutex};

use actix_rt::{Arbiter, ArbiterHandle};

use crate::data_dir::DataDir;
use crate::store::Writer;

/// The directory of a node; it is locked while anybody holds one of these.
pub(crate) type Directory = Arc<Mutex<DataDir>>;

/// Dropping it waits for all of it.
pub(super) struct Ground {
    arbiters: Vec<Arbiter>,
    pub(super) writer: Option<Writer>,
    pub(super) directory: Directory,
}

impl Ground {
    /// To be called within an actix system.
    pub(super) fn new(directory: Directory) -> Self {
        Self { arbiters: Vec::new(), writer: None, directory }
    }

    /// One more thread of actors.
    pub(super) fn arbiter(&mut self) -> ArbiterHandle {
        let arbiter = Arbiter::new();
        let handle = arbiter.handle();
        self.arbiters.push(arbiter);
        handle
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for arbiter in &self.arbiters {
            // One that has ended by itself is as good.
            arbiter.stop();
        }
        for arbiter in self.arbiters.drain(..) {
            drop(arbiter.join());
        }
        self.writer = None;
    }
}
