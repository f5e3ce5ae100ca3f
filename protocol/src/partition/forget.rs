//! Dropping what ended long ago.

use super::Partition;
use crate::id::{PartitionId, TaskId};
use crate::time::{Span, Wall};

impl Partition {
    /// Turns the records of the `finished` tasks that ended first into stubs, then drops the stubs
    /// of ids made at or before `floor`: from then on such an id is too old to be new.
    pub(super) fn forget(&mut self, finished: u32, floor: Wall) {
        for _ in 0..finished {
            let Some(task) = self.finished.pop_front() else {
                break;
            };
            if let Some(record) = self.records.remove(&task) {
                self.finished_bytes -= record.weight();
                self.bytes -= record.weight();
                self.stubs.insert(task, record.state());
            }
        }
        if floor > self.dedup_floor {
            self.dedup_floor = floor;
            let first_kept = TaskId::new(floor + Span::from_millis(1), PartitionId(0), 0);
            self.stubs = self.stubs.split_off(&first_kept);
        }
        // Templates that no record shares any more.
        self.templates.retain(|template| std::sync::Arc::strong_count(template) > 1);
    }
}
