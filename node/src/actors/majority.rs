//! Whether a majority of the members lives, as far as the log is concerned: whoever reads it learns
//! when work stops and when it goes on. Nothing is decided by it; each group counts its own votes.

use std::collections::BTreeSet;

use umbel_protocol::id::NodeId;
use umbel_protocol::membership::Liveness;

/// The members, and which of them are down.
#[derive(Debug, Default)]
pub(super) struct Majority {
    members: BTreeSet<NodeId>,
    down: BTreeSet<NodeId>,
    is_lacking: bool,
}

/// What has become of the majority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Too few live.
    Lost { down: usize, members: usize },
    /// Enough live again.
    Regained { down: usize, members: usize },
}

impl Majority {
    pub(super) fn members(&mut self, members: &[NodeId]) -> Option<Turn> {
        self.members = members.iter().copied().collect();
        self.turn()
    }

    pub(super) fn liveness(&mut self, node: NodeId, liveness: Liveness) -> Option<Turn> {
        match liveness {
            // It may answer yet.
            Liveness::Suspect => false,
            Liveness::Alive => self.down.remove(&node),
            Liveness::Down => self.down.insert(node),
        };
        self.turn()
    }

    /// What has changed.
    fn turn(&mut self) -> Option<Turn> {
        let members = self.members.len();
        let down = self.members.intersection(&self.down).count();
        let is_lacking = members > 0 && (members - down) * 2 <= members;
        if is_lacking == self.is_lacking {
            return None;
        }
        self.is_lacking = is_lacking;
        Some(if is_lacking {
            Turn::Lost { down, members }
        } else {
            Turn::Regained { down, members }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_is_told_once() {
        let mut majority = Majority::default();
        let node = NodeId;
        assert_eq!(majority.members(&[node(1), node(2), node(3)]), None);
        assert_eq!(majority.liveness(node(2), Liveness::Down), None);
        assert_eq!(majority.liveness(node(3), Liveness::Suspect), None);
        let lost = Turn::Lost { down: 2, members: 3 };
        assert_eq!(majority.liveness(node(3), Liveness::Down), Some(lost));
        assert_eq!(majority.liveness(node(9), Liveness::Down), None, "it is no member");
        assert_eq!(majority.liveness(node(2), Liveness::Suspect), None);
        let regained = Turn::Regained { down: 1, members: 3 };
        assert_eq!(majority.liveness(node(2), Liveness::Alive), Some(regained));
        // One of two is none.
        let lost = Turn::Lost { down: 1, members: 2 };
        assert_eq!(majority.members(&[node(1), node(3)]), Some(lost));
    }
}
