//! Partition time, the floor of recognised ids and the tokens of a task only grow, and so does the
//! version of the meta group that a scheduler knows and the terms of owners that an executor obeys.

use std::collections::BTreeMap;

use umbel_protocol::id::{GroupId, Lessee, PartitionId, TaskId};
use umbel_protocol::partition::Partition;
use umbel_protocol::scheduler::CopyView;
use umbel_protocol::task::{Phase, Record};
use umbel_protocol::time::Wall;

use crate::world::World;

/// The furthest that was seen.
#[derive(Debug, Default)]
pub struct Furthest {
    partitions: BTreeMap<GroupId, (u64, Wall, Wall)>,
    metas: BTreeMap<(usize, u64, u32), u64>,
    fences: BTreeMap<(Lessee, PartitionId), u64>,
}

impl Furthest {
    /// Compares a copy with what was seen of its group.
    ///
    /// # Errors
    /// If it has applied more and stands further back.
    pub fn check_copy(&mut self, copy: &CopyView<'_>, partition: &Partition) -> Result<(), String> {
        let seen = (copy.applied(), partition.now(), partition.dedup_floor());
        let (applied, now, floor) = *self.partitions.entry(copy.group()).or_insert(seen);
        if seen.0 >= applied {
            if seen.1 < now || seen.2 < floor {
                let group = copy.group();
                return Err(format!("{group} was at {now:?}, {floor:?}, and is at {seen:?}"));
            }
            self.partitions.insert(copy.group(), seen);
        }
        for (task, record) in partition.records() {
            tokens_grow(task, &record)?;
        }
        Ok(())
    }
}

fn tokens_grow(task: TaskId, record: &Record) -> Result<(), String> {
    let Some(history) = record.history.as_deref() else {
        return Ok(());
    };
    let present = match record.phase() {
        Phase::Leased(lease) => Some(lease.token),
        _ => None,
    };
    let tokens: Vec<_> = history.runs.iter().map(|run| run.token).chain(present).collect();
    if tokens.is_sorted_by(|one, next| one < next) {
        return Ok(());
    }
    Err(format!("the tokens of {task} do not grow: {tokens:?}"))
}

/// Compares what the scheduler of each process knows of the cluster with what it knew.
///
/// # Errors
/// The first that knows less.
pub fn check_metas(world: &mut World) -> Result<(), String> {
    for (host, one) in world.hosts.iter().enumerate() {
        if let Some(process) = &one.process {
            let me = process.executor.me();
            for (partition, term) in process.executor.fences() {
                let known = world.furthest.fences.entry((me, partition)).or_default();
                if term < *known {
                    return Err(format!("{me:?} obeyed term {known} of {partition}, now {term}"));
                }
                *known = term;
            }
        }
        let schedulers = one.process.as_ref().map_or(0, |process| process.schedulers);
        let meta = one.process.as_ref().and_then(|process| process.scheduler.meta());
        let Some(version) = meta.map(|meta| meta.version) else {
            continue;
        };
        let known = world.furthest.metas.entry((host, one.life, schedulers)).or_default();
        if version < *known {
            return Err(format!("host {host} knew version {known} of the cluster, now {version}"));
        }
        *known = version;
    }
    Ok(())
}
