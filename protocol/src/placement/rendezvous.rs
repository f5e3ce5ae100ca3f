//! Rendezvous hashing: each group ranks the nodes by a hash of both, so that a node that comes or
//! goes moves only what it holds.
//!
//! Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::id::{GroupId, NodeId};

/// `nodes`, the one that should hold `group` first.
#[must_use]
pub fn ranking(group: GroupId, nodes: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
    let weight = |node: &NodeId| {
        xxh3_64_with_seed(&node.0.to_le_bytes(), 0x0075_6d62_656c + u64::from(group.0))
    };
    let mut ranked: Vec<NodeId> = nodes.into_iter().collect();
    ranked.sort_unstable_by_key(|node| (std::cmp::Reverse(weight(node)), *node));
    ranked
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn nodes(count: u128) -> Vec<NodeId> {
        (1..=count).map(|n| NodeId((n << 96) | (n * 7919))).collect()
    }

    #[test]
    fn a_node_that_comes_takes_its_share_and_moves_nothing_else() {
        let (few, many) = (nodes(4), nodes(5));
        let mut moved = 0;
        for group in 0..1024 {
            let before = ranking(GroupId(group), few.clone());
            let after = ranking(GroupId(group), many.clone());
            let without: Vec<_> = after.iter().filter(|n| few.contains(n)).copied().collect();
            assert_eq!(before, without, "the others keep their order");
            moved += usize::from(before[0] != after[0]);
        }
        assert!((120..300).contains(&moved), "about a fifth of 1024 moves, not {moved}");
    }

    #[test]
    fn shares_are_even() {
        let mut firsts: BTreeMap<NodeId, u32> = BTreeMap::new();
        for group in 0..1024 {
            *firsts.entry(ranking(GroupId(group), nodes(4))[0]).or_default() += 1;
        }
        assert!(firsts.values().all(|share| (180..340).contains(share)), "{firsts:?}");
    }
}
