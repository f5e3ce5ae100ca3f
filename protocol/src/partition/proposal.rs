//! What one log entry holds, and as which bytes.
//!
//! Entries are read for as long as a log holds them, by members of two versions while a cluster is upgraded.
//! So each says in which version it was written: one of version 2 begins with its term, and all later ones
//! with a mark that no number begins with, and their version. Another mark says that clocks show another time
//! than it is, which is so only for a while after they have stepped.

use super::Command;
use crate::limits::ENTRY_BYTES_MAX;
use crate::time::Wall;
use crate::wire::hello::Versions;
use crate::wire::{DecodeError, decode_from, encode_for};

/// What one log entry holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// The version of the protocol that it was written in, which all members understand.
    pub version: u16,
    /// The term in which its owner proposed it: in another term it has no effect.
    pub term: u64,
    /// What the owner takes the time to be.
    pub at: Wall,
    /// What wall clocks show, where that is not the time, as they have stepped: what people name by a time of
    /// day goes by it. Since version 3.
    pub shown: Option<Wall>,
    /// To be carried out in this order.
    pub commands: Vec<Command>,
}

impl Proposal {
    /// One of the newest version.
    #[must_use]
    pub const fn new(term: u64, at: Wall, commands: Vec<Command>) -> Self {
        Self { version: Versions::OWN.max, term, at, shown: None, commands }
    }

    /// As it is written into the log.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { version, term, at, shown, commands } = self;
        let whole = (term, at, commands);
        if *version < MARKED_SINCE {
            return encode_for(*version, &whole);
        }
        let [low, high] = version.to_le_bytes();
        let (mark, mut rest) = match shown {
            None => (MARK, encode_for(*version, &whole)),
            Some(shown) => (MARK_SHOWN, encode_for(*version, &(shown, whole))),
        };
        let mut bytes = vec![mark, low, high];
        bytes.append(&mut rest);
        bytes
    }

    /// The same for its owner, who carries out what it has in memory: all others read what was written, and
    /// in an older version that may say less.
    pub(crate) fn write(&mut self) -> Vec<u8> {
        let needed = self.commands.iter().map(Command::needs_version).max();
        self.version = self.version.max(needed.unwrap_or(0));
        let bytes = self.to_bytes();
        if self.version < Versions::OWN.max {
            // Whether it is too long for an entry is for whoever proposes it to find.
            *self = Self::read(&bytes, bytes.len()).expect("just written");
        }
        bytes
    }

    /// The proposal that `bytes` hold.
    ///
    /// # Errors
    /// When they are not those of one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::read(bytes, ENTRY_BYTES_MAX)
    }

    fn read(bytes: &[u8], bytes_max: usize) -> Result<Self, DecodeError> {
        let (version, is_shown, bytes) = match bytes {
            [mark @ (MARK | MARK_SHOWN), low, high, rest @ ..] => {
                (u16::from_le_bytes([*low, *high]), *mark == MARK_SHOWN, rest)
            }
            _ => (MARKED_SINCE - 1, false, bytes),
        };
        let (shown, (term, at, commands)) = if is_shown {
            let (shown, whole) = decode_from(version, bytes, bytes_max)?;
            (Some(shown), whole)
        } else {
            (None, decode_from(version, bytes, bytes_max)?)
        };
        Ok(Self { version, term, at, shown, commands })
    }
}

/// Stands before a proposal that says its version. No number begins so.
const MARK: u8 = 0xff;
/// The same where it says what clocks show, too. No number of 64 bits begins so.
const MARK_SHOWN: u8 = 0xfe;
/// The first version whose proposals do.
const MARKED_SINCE: u16 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Incarnation, Lessee, NodeId, PartitionId, TaskId, Token};
    use crate::limits::ARGS_BYTES_MAX;
    use crate::partition::Report;
    use crate::task::{Batch, Outcome, Template};
    use crate::time::Span;

    fn proposal(version: u16, commands: Vec<Command>) -> Proposal {
        Proposal { version, ..Proposal::new(7, Wall::from_millis(9), commands) }
    }

    fn snoozed() -> Command {
        let lessee = Lessee { node: NodeId(1), incarnation: Incarnation(1), executor: 1 };
        let task = TaskId::new(Wall::from_millis(5), PartitionId(0), 1);
        let token = Token { term: 7, index: 1, position: 0 };
        let outcome = Outcome::Snoozed { pause: Span::from_millis(3) };
        Command::Report { lessee, reports: vec![Report { task, token, outcome }] }
    }

    #[test]
    fn an_owner_carries_out_what_was_written_and_not_what_it_meant() {
        let mut newest = proposal(Versions::OWN.max, vec![snoozed()]);
        let meant = newest.clone();
        let bytes = newest.write();
        assert_eq!((&newest, Proposal::from_bytes(&bytes).as_ref()), (&meant, Ok(&meant)));
        let mut older = proposal(2, vec![snoozed()]);
        let bytes = older.write();
        assert_eq!(Proposal::from_bytes(&bytes).as_ref(), Ok(&older));
        let [Command::Report { reports, .. }] = &older.commands[..] else { panic!("{older:?}") };
        assert!(
            matches!(reports[0].outcome, Outcome::Failed(_)),
            "that is what it is called there"
        );
    }

    #[test]
    fn what_clocks_show_is_written_where_it_is_not_the_time() {
        let shown = Some(Wall::from_millis(4_000_009));
        let mut stepped = Proposal { shown, ..proposal(Versions::OWN.max, vec![snoozed()]) };
        let meant = stepped.clone();
        let bytes = stepped.write();
        assert_eq!((&stepped, Proposal::from_bytes(&bytes).as_ref()), (&meant, Ok(&meant)));
        // Whoever knows nothing of that goes by the time.
        let mut older = Proposal { shown, ..proposal(2, vec![]) };
        let bytes = older.write();
        assert_eq!((older.shown, Proposal::from_bytes(&bytes)), (None, Ok(older)));
        // Terms are numbers, too.
        for term in [0, 250, 251, 1 << 20, u64::MAX] {
            let older = Proposal { term, ..proposal(2, vec![]) };
            assert_eq!(Proposal::from_bytes(&older.to_bytes()), Ok(older));
        }
    }

    #[test]
    fn one_that_is_too_long_for_an_entry_is_written_for_its_owner_to_see_that() {
        let id = TaskId::new(Wall::from_millis(5), PartitionId(0), 1);
        let args = bytes::Bytes::from(vec![0; ARGS_BYTES_MAX]);
        let batch = std::sync::Arc::new(Batch::one(id, Template::new("add"), args));
        let accept = Command::Accept { batch, grants: Vec::new() };
        let mut older = proposal(2, vec![accept; ENTRY_BYTES_MAX / ARGS_BYTES_MAX + 1]);
        let bytes = older.write();
        assert!(bytes.len() > ENTRY_BYTES_MAX);
        assert!(Proposal::from_bytes(&bytes).is_err(), "nobody else has to read that");
    }

    #[test]
    fn what_somebody_asked_for_is_written_as_it_was_asked() {
        let id = TaskId::new(Wall::from_millis(5), PartitionId(0), 1);
        let mut template = Template::new("add");
        template.options.crashes_max = Some(9);
        let batch = Batch::one(id, template, bytes::Bytes::new()).into();
        let accept = Command::Accept { batch, grants: Vec::new() };
        // Whoever took it in has heard before this owner that all members understand it.
        let mut proposal = proposal(2, vec![accept.clone()]);
        let bytes = proposal.write();
        assert_eq!(proposal.commands, [accept]);
        assert_eq!(Proposal::from_bytes(&bytes), Ok(proposal));
    }

    #[test]
    fn bytes_of_no_proposal_are_refused() {
        let marked = [&[][..], &[MARK], &[MARK, 3], &[MARK, 3, 0], &[MARK, 3, 0, 1], &[1, 2, 3, 4]];
        for bytes in marked.into_iter().chain([&[MARK_SHOWN, 3, 0, 1, 2][..]]) {
            assert!(Proposal::from_bytes(bytes).is_err(), "{bytes:?}");
        }
    }
}
