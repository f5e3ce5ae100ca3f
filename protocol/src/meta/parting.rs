//! Members that part with what they have: drained for a while, or forgotten for good.
//!
//! ```text
//! (no member) --join--> serving --drain--> draining --forget--> forgotten
//!                          ^  '<--undrain--'                        ^
//!                          '----------------forget------------------'
//! ```
//! A draining member owns nothing, is leased nothing, and its copies move to others; it stays a
//! member. A forgotten one is none any more, and never again under that id: its copies are replaced,
//! and where there are too few members to replace them there are fewer copies.

use serde::{Deserialize, Serialize};

use super::Meta;
use crate::id::NodeId;
use crate::limits::FORGOTTEN_MAX;
use crate::placement::voters_of;

/// Why a member is neither drained nor forgotten. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PartingRefusal {
    /// There is no such member.
    #[error("the node {node} is not a member; see `umbel cluster status`")]
    NoMember {
        /// Which was asked for.
        node: NodeId,
    },
    /// All other members are drained: nobody would be left to own anything.
    #[error(
        "the node {node} is the last member that is not drained; add another, or \
         `umbel cluster undrain` one, first"
    )]
    LastOne {
        /// Which was asked for.
        node: NodeId,
    },
    /// It lives, and has copies or runs that it did not part with.
    #[error(
        "the node {node} lives and still has work; `umbel cluster drain` it first, or stop it for good"
    )]
    InUse {
        /// Which was asked for.
        node: NodeId,
    },
}

impl Meta {
    /// Whether `node` is a member that is drained.
    #[must_use]
    pub fn is_draining(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(|member| member.draining)
    }

    /// Whether `node` was a member and was forgotten.
    #[must_use]
    pub fn is_forgotten(&self, node: NodeId) -> bool {
        self.forgotten.contains(&node)
    }

    /// Members that may own, hold and run.
    pub fn serving(&self) -> impl Iterator<Item = NodeId> {
        self.members.iter().filter(|(_, member)| !member.draining).map(|(node, _)| *node)
    }

    /// Drains a member, or has it serve again.
    ///
    /// # Errors
    /// Why not.
    pub fn drain(&mut self, node: NodeId, draining: bool) -> Result<(), PartingRefusal> {
        if draining && self.members.contains_key(&node) && self.is_last(node) {
            return Err(PartingRefusal::LastOne { node });
        }
        let member = self.members.get_mut(&node).ok_or(PartingRefusal::NoMember { node })?;
        if member.draining != draining {
            member.draining = draining;
            self.version += 1;
            self.need_no_more_voters();
        }
        Ok(())
    }

    /// Forgets a member. Whether it lives and has work is for others to judge.
    ///
    /// # Errors
    /// Why not. To forget once more what was forgotten is none.
    pub fn forget(&mut self, node: NodeId) -> Result<(), PartingRefusal> {
        if self.is_forgotten(node) {
            return Ok(());
        }
        if !self.members.contains_key(&node) {
            return Err(PartingRefusal::NoMember { node });
        }
        if self.is_last(node) {
            return Err(PartingRefusal::LastOne { node });
        }
        self.members.remove(&node);
        self.forgotten.push(node);
        if self.forgotten.len() > FORGOTTEN_MAX {
            self.forgotten.remove(0);
        }
        self.version += 1;
        self.need_no_more_voters();
        Ok(())
    }

    /// Submissions are acknowledged by as many voters as there can be.
    fn need_no_more_voters(&mut self) {
        let copies = self.serving().count().min(usize::from(self.replicas));
        let voters = u8::try_from(voters_of(copies)).unwrap_or(u8::MAX);
        self.voters_min = self.voters_min.min(voters);
    }

    /// Whether nobody but `node` may own anything.
    fn is_last(&self, node: NodeId) -> bool {
        !self.serving().any(|other| other != node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ClusterId;
    use crate::job::Labels;
    use crate::meta::{Join, JoinRefusal};
    use crate::time::Wall;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);

    fn join(node: NodeId) -> Join {
        Join {
            node,
            name: format!("host-{}", node.0),
            address: ([10, 0, 0, 1], 7_400).into(),
            cluster_name: "test".to_owned(),
            labels: Labels::NONE,
        }
    }

    fn of(nodes: &[NodeId]) -> Meta {
        let mut meta = Meta::new(ClusterId(1), "test".to_owned(), 4, 3, 1);
        nodes.iter().for_each(|node| meta.admit(join(*node), Wall::from_millis(1)));
        meta
    }

    #[test]
    fn a_drained_member_stays_one_and_may_serve_again() {
        let mut meta = of(&[A, B]);
        assert_eq!(meta.drain(A, true), Ok(()));
        assert!(meta.is_draining(A) && meta.members.contains_key(&A));
        assert_eq!(meta.serving().collect::<Vec<_>>(), [B]);
        let version = meta.version;
        assert_eq!(meta.drain(A, true), Ok(()));
        assert_eq!(meta.version, version, "nothing has changed");
        assert_eq!(meta.drain(A, false), Ok(()));
        assert_eq!((meta.version, meta.serving().count()), (version + 1, 2));
    }

    #[test]
    fn a_new_address_does_not_end_a_drain() {
        let mut meta = of(&[A, B]);
        meta.drain(A, true).unwrap();
        meta.admit(Join { address: ([10, 0, 0, 9], 1).into(), ..join(A) }, Wall::from_millis(2));
        assert!(meta.is_draining(A));
    }

    #[test]
    fn somebody_must_be_left() {
        let mut meta = of(&[A, B, C]);
        meta.drain(A, true).unwrap();
        meta.drain(B, true).unwrap();
        let before = meta.clone();
        assert_eq!(meta.drain(C, true), Err(PartingRefusal::LastOne { node: C }));
        assert_eq!(meta.forget(C), Err(PartingRefusal::LastOne { node: C }));
        assert_eq!(meta, before);
        assert_eq!(meta.forget(A), Ok(()));
        assert_eq!(meta.drain(C, false), Ok(()));
    }

    #[test]
    fn who_is_no_member_can_neither_be_drained_nor_forgotten() {
        let mut meta = of(&[A, B]);
        assert_eq!(meta.drain(C, true), Err(PartingRefusal::NoMember { node: C }));
        assert_eq!(meta.drain(C, false), Err(PartingRefusal::NoMember { node: C }));
        assert_eq!(meta.forget(C), Err(PartingRefusal::NoMember { node: C }));
    }

    #[test]
    fn no_more_voters_are_waited_for_than_there_can_be() {
        let mut meta = Meta { voters_min: 3, ..of(&[A, B, C]) };
        meta.drain(A, true).unwrap();
        assert_eq!(meta.voters_min, 1);
        let mut meta = Meta { voters_min: 3, ..of(&[A, B, C, NodeId(4)]) };
        meta.forget(A).unwrap();
        assert_eq!(meta.voters_min, 3);
    }

    #[test]
    fn a_forgotten_one_is_told_so_and_its_name_is_free() {
        let mut meta = of(&[A, B]);
        assert_eq!(meta.forget(A), Ok(()));
        assert_eq!(meta.forget(A), Ok(()), "it was already");
        assert!(meta.is_forgotten(A) && !meta.members.contains_key(&A));
        assert_eq!(meta.check(&join(A)), Err(JoinRefusal::Forgotten));
        assert_eq!(meta.drain(A, true), Err(PartingRefusal::NoMember { node: A }));
        assert_eq!(meta.check(&Join { name: "host-1".to_owned(), ..join(C) }), Ok(()));
    }

    #[test]
    fn of_more_than_are_remembered_the_oldest_goes() {
        let mut meta = of(&[A]);
        for n in 0..=FORGOTTEN_MAX as u128 {
            let node = NodeId(100 + n);
            meta.admit(join(node), Wall::from_millis(1));
            meta.forget(node).unwrap();
        }
        assert_eq!(meta.forgotten.len(), FORGOTTEN_MAX);
        assert!(!meta.is_forgotten(NodeId(100)) && meta.is_forgotten(NodeId(101)));
        assert_eq!(Meta::from_bytes(&meta.to_bytes()), Ok(meta));
    }
}
