//! Who has told of which partition, in answers of which every owner gives its part.
//!
//! Of two that tell of one partition the one of the later term owns it: the other does not know yet that it does
//! not. What that one told counts for nothing, and above all it is not counted twice, which would hide that of
//! another partition nobody has told.

use std::collections::{BTreeMap, BTreeSet};

use super::Scheduler;
use super::replica::Replica;
use crate::id::PartitionId;
use crate::wire::Told;

/// Which partitions were told of.
#[derive(Debug)]
pub(super) struct Tellers {
    /// How many there are.
    partitions: u16,
    /// Those that were told of, in which term.
    terms: BTreeMap<PartitionId, u64>,
    /// How many those have told of that do not say which: members of version 2.
    unnamed: u16,
}

/// What becomes of two tellings of the same partitions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Overlap {
    /// What is told now of these is out of date.
    pub(super) stale: BTreeSet<PartitionId>,
    /// What was told before of these was out of date.
    pub(super) superseded: BTreeSet<PartitionId>,
}

impl Tellers {
    /// Of so many partitions these are told of here.
    pub(super) fn new(partitions: u16, here: Vec<Told>) -> Self {
        let mut tellers = Self { partitions, terms: BTreeMap::new(), unnamed: 0 };
        tellers.add(here, partitions);
        tellers
    }

    /// Another has told of these, and of all but so many.
    pub(super) fn add(&mut self, told: Vec<Told>, partitions_missing: u16) -> Overlap {
        if told.is_empty() {
            let unnamed = self.partitions.saturating_sub(partitions_missing);
            self.unnamed = self.unnamed.saturating_add(unnamed);
        }
        let mut overlap = Overlap::default();
        for Told { partition, term } in told {
            match self.terms.get(&partition) {
                _ if partition.0 >= self.partitions => drop(overlap.stale.insert(partition)),
                Some(known) if *known >= term => drop(overlap.stale.insert(partition)),
                Some(_) => {
                    self.terms.insert(partition, term);
                    overlap.superseded.insert(partition);
                }
                None => drop(self.terms.insert(partition, term)),
            }
        }
        overlap
    }

    /// Of how many nobody has told.
    pub(super) fn missing(&self) -> u16 {
        let named = u16::try_from(self.terms.len()).unwrap_or(u16::MAX);
        self.partitions.saturating_sub(named).saturating_sub(self.unnamed)
    }
}

impl Scheduler {
    /// The replicas of the partitions of which this node can tell for sure.
    pub(super) fn telling(&self) -> impl Iterator<Item = &Replica> {
        let owned = self.replicas.values();
        owned.filter(|replica| replica.is_settled() && !self.is_cut_off(replica))
    }

    /// The partitions of which this node can tell for sure.
    pub(super) fn told(&self) -> Vec<Told> {
        let told = self.telling().filter_map(|replica| {
            Some(Told { partition: replica.partition()?.id(), term: replica.group.term() })
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(partitions: &[(u16, u64)]) -> Vec<Told> {
        let told = |(partition, term): &(u16, u64)| Told {
            partition: PartitionId(*partition),
            term: *term,
        };
        partitions.iter().map(told).collect()
    }

    #[test]
    fn of_two_owners_of_a_partition_the_later_one_counts() {
        let mut tellers = Tellers::new(4, told(&[(0, 4), (1, 6)]));
        let of = |partition| BTreeSet::from([PartitionId(partition)]);
        assert_eq!(tellers.missing(), 2);
        // One that is no owner any more, and one that is another.
        let overlap = tellers.add(told(&[(0, 3), (2, 1)]), 2);
        assert_eq!(overlap, Overlap { stale: of(0), ..Overlap::default() });
        assert_eq!(tellers.missing(), 1);
        // One that has become one, and one of no such partition.
        let overlap = tellers.add(told(&[(1, 7), (9, 1)]), 2);
        assert_eq!(overlap, Overlap { stale: of(9), superseded: of(1) });
        assert_eq!(tellers.missing(), 1, "of the last one nobody has told");
    }

    #[test]
    fn members_that_do_not_say_which_are_believed() {
        let mut tellers = Tellers::new(4, told(&[(0, 4)]));
        assert_eq!(tellers.add(Vec::new(), 2), Overlap::default());
        assert_eq!(tellers.missing(), 1);
        tellers.add(Vec::new(), 4);
        assert_eq!(tellers.missing(), 1);
    }
}
