//! What a client knows of the cluster, and the ids that it makes of that.
//!
//! All of it is a hint: an id in a partition whose owner has changed costs one more hop.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};
use umbel_protocol::id::{NodeId, PartitionId, TaskId};
use umbel_protocol::membership::Liveness;
use umbel_protocol::time::Wall;
use umbel_protocol::wire::{Answer, RequestError, Welcome};

use super::ClientError;
use crate::clock::Clock;
use crate::work::Submission;

/// What is known of the cluster.
pub(super) struct Directory {
    clock: Clock,
    known: watch::Sender<Option<Known>>,
    /// Why nothing is known yet.
    refusal: Mutex<Option<RequestError>>,
    /// Counts single ids.
    singles: AtomicU64,
    /// Counts ids that were made together.
    groups: AtomicU64,
    /// Whether the client has done anything since the last refresh.
    used: AtomicBool,
    /// What is known seems out of date.
    outdated: Notify,
}

struct Known {
    node: NodeId,
    /// Where new tasks go: never empty.
    partitions: Vec<PartitionId>,
    /// How many the cluster has.
    count: u16,
    /// Where other nodes listen that are not down.
    addresses: Vec<String>,
}

impl Default for Directory {
    fn default() -> Self {
        Self::new(Clock::start())
    }
}

impl Directory {
    /// One that knows nothing yet, and makes ids by `clock`.
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            known: watch::Sender::new(None),
            refusal: Mutex::default(),
            // Clients begin at different partitions.
            singles: AtomicU64::new(u64::from(rand::random::<u16>()) * ROTATE),
            groups: AtomicU64::new(u64::from(rand::random::<u16>())),
            used: AtomicBool::new(true),
            outdated: Notify::new(),
        }
    }

    /// Takes note of what a node said when it was asked.
    pub(super) fn hear(&self, answer: Answer) {
        match answer {
            Answer::Welcome(welcome) => {
                let known = Known::of(*welcome);
                self.known.send_replace(Some(known));
            }
            Answer::Failed(error) => {
                *self.refusal.lock().expect("nothing panics while it holds this lock") =
                    Some(error);
            }
            other => tracing::debug!(?other, "no answer to where to submit"),
        }
    }

    pub(super) fn is_known(&self) -> bool {
        self.known.borrow().is_some()
    }

    /// The node that told.
    pub(super) fn node(&self) -> Option<NodeId> {
        self.known.borrow().as_ref().map(|known| known.node)
    }

    /// Where else to connect.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.known.borrow().as_ref().map(|known| known.addresses.clone()).unwrap_or_default()
    }

    /// The client did something.
    pub(super) fn touch(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// An answer hints that what is known is out of date.
    pub(super) fn doubt(&self) {
        self.outdated.notify_one();
    }

    /// Returns when it is in doubt.
    pub(super) async fn doubted(&self) {
        self.outdated.notified().await;
    }

    /// Whether the client has done anything since the last call, or waits to know anything at all.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed) || !self.is_known()
    }

    /// Returns when it is in doubt, or in use and older than `age`.
    pub(super) async fn wanted(&self, age: Duration) {
        let mut due = tokio::time::interval_at(Instant::now() + age, age);
        loop {
            tokio::select! {
                () = self.outdated.notified() => return,
                _ = due.tick() => if self.take_used() { return },
            }
        }
    }

    /// An id for one task. Those that are made at the same time share few partitions, so that
    /// their submissions share a write to disk.
    pub(super) async fn new_id(&self, deadline: Instant) -> Result<TaskId, ClientError> {
        self.wait_known(deadline).await?;
        let count = self.singles.fetch_add(1, Ordering::Relaxed);
        Ok(TaskId::new(self.now(), self.pick(|len| spread(count, len)), rand::random()))
    }

    /// An id where the key of the task lives, if it has one.
    pub(super) async fn new_id_for_key(
        &self,
        submission: &Submission,
        deadline: Instant,
    ) -> Result<Option<TaskId>, ClientError> {
        let Some(particulars) = &submission.particulars else {
            return Ok(None);
        };
        self.wait_known(deadline).await?;
        let count = self.known.borrow().as_ref().map_or(1, |known| known.count);
        let partition = particulars.partition(&submission.template.name, count);
        Ok(partition.map(|partition| TaskId::new(self.now(), partition, rand::random())))
    }

    /// Ids for tasks that are submitted together: in one partition.
    pub(super) async fn new_ids(
        &self,
        count: usize,
        deadline: Instant,
    ) -> Result<Vec<TaskId>, ClientError> {
        let partition = self.next_partition(deadline).await?;
        let now = self.now();
        Ok((0..count).map(|_| TaskId::new(now, partition, rand::random())).collect())
    }

    /// A partition for tasks that are submitted together.
    pub(super) async fn next_partition(
        &self,
        deadline: Instant,
    ) -> Result<PartitionId, ClientError> {
        self.wait_known(deadline).await?;
        let count = self.groups.fetch_add(1, Ordering::Relaxed);
        Ok(self.pick(|len| usize::try_from(count).unwrap_or_default() % len))
    }

    /// What time it is, by the clock of this client.
    pub(super) fn now(&self) -> Wall {
        self.clock.wall()
    }

    fn pick(&self, index: impl FnOnce(usize) -> usize) -> PartitionId {
        let known = self.known.borrow();
        let partitions = known.as_ref().map(|known| known.partitions.as_slice());
        let partitions = partitions.unwrap_or(&[PartitionId(0)]);
        partitions[index(partitions.len())]
    }

    async fn wait_known(&self, deadline: Instant) -> Result<(), ClientError> {
        if self.is_known() {
            return Ok(());
        }
        let mut changes = self.known.subscribe();
        match timeout_at(deadline, changes.wait_for(Option::is_some)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                let refusal = self.refusal.lock().expect("nothing panics while it holds this lock");
                Err(refusal
                    .clone()
                    .map_or(ClientError::NoAnswer { after: super::PATIENCE }, ClientError::Request))
            }
        }
    }
}

impl Known {
    fn of(welcome: Welcome) -> Self {
        let Welcome { node, partitions, mut owned, members, .. } = welcome;
        if owned.is_empty() {
            // The node owns nothing: any partition is as good as any other.
            owned = (0..partitions.max(1)).map(PartitionId).collect();
        }
        let addresses = members
            .into_iter()
            .filter(|member| member.liveness != Liveness::Down)
            .map(|member| member.address.to_string())
            .collect();
        Self { node, partitions: owned, count: partitions.max(1), addresses }
    }
}

/// Which of `len` partitions the task number `count` goes to: a few at a time, others after a while.
fn spread(count: u64, len: usize) -> usize {
    let width = (len as u64).min(AT_A_TIME);
    let index = (count / ROTATE) * width + count % width;
    usize::try_from(index % len as u64).unwrap_or_default()
}

/// How old what is known may get while it is used.
pub(super) const REFRESH: Duration = Duration::from_secs(3);
/// Between questions as long as nothing is known: the cluster is being formed.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// Partitions that single tasks go to at a time: submissions that arrive together share a log entry
/// if they share a partition, and the owner's work on it can still be spread.
const AT_A_TIME: u64 = 4;
/// Tasks after which others have their turn: a partition keeps only some thousands of results.
const ROTATE: u64 = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_tasks_share_few_partitions_and_use_all_in_time() {
        let at = |range: std::ops::Range<u64>| {
            range.map(|count| spread(count, 10)).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(at(0..ROTATE), [0, 1, 2, 3].into());
        assert_eq!(at(ROTATE..2 * ROTATE), [4, 5, 6, 7].into());
        assert_eq!(at(0..5 * ROTATE).len(), 10);
        assert_eq!(spread(u64::MAX, 1), 0);
    }
}
