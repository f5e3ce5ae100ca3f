//! Which version of the cluster's file its jobs are of.
//!
//! All hosts have the same file, but not at the same moment: while a new one is brought to them, some
//! still start with the old one. So the cluster remembers which version counts, and which ones were
//! before: what a node brings that is none of these is newer, and what counted once counts again only
//! if somebody says so.

use serde::{Deserialize, Serialize};

use super::Meta;

/// Former versions that are remembered: more than anybody goes back.
const FORMER_MAX: usize = 64;

/// The version of the file whose jobs the cluster has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobsFile {
    /// Counts the versions; none yet at zero.
    pub number: u64,
    /// The hash of what its jobs are.
    pub hash: u64,
    /// Those of former versions, oldest first.
    pub former: Vec<u64>,
}

/// Whether a file is the cluster's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVerdict {
    /// The number of the version that counts.
    pub number: u64,
    /// Whether the file that was offered is that one; else it is a former one.
    pub is_current: bool,
}

impl Meta {
    /// A member has a file whose jobs have this hash. Nothing changes if the file is the present one,
    /// or a former one and this is not `deliberate`.
    pub fn take_file(&mut self, hash: u64, deliberate: bool) -> FileVerdict {
        let file = &mut self.jobs_file;
        let is_present = file.number > 0 && file.hash == hash;
        let is_former = file.former.contains(&hash);
        if !is_present && (deliberate || !is_former) {
            if file.number > 0 {
                file.former.push(file.hash);
            }
            file.former.retain(|former| *former != hash);
            let excess = file.former.len().saturating_sub(FORMER_MAX);
            file.former.drain(..excess);
            file.number += 1;
            file.hash = hash;
            self.version += 1;
        }
        let file = &self.jobs_file;
        FileVerdict { number: file.number, is_current: file.hash == hash && file.number > 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ClusterId;

    #[test]
    fn a_former_file_counts_again_only_if_somebody_says_so() {
        let mut meta = Meta::new(ClusterId(1), "test".to_owned(), 4, 3, 1);
        let is = |number, is_current| FileVerdict { number, is_current };
        assert_eq!(meta.take_file(7, false), is(1, true));
        assert_eq!(meta.take_file(7, false), is(1, true), "once more changes nothing");
        assert_eq!(meta.take_file(8, false), is(2, true));
        let version = meta.version;
        assert_eq!(meta.take_file(7, false), is(2, false), "a node with the old file starts");
        assert_eq!(meta.version, version);
        assert_eq!(meta.take_file(7, true), is(3, true));
        assert_eq!(meta.take_file(8, false), is(3, false), "now that is a former one");
        assert_eq!(meta.jobs_file.former, [8]);
    }

    #[test]
    fn not_all_former_ones_are_remembered() {
        let mut meta = Meta::new(ClusterId(1), "test".to_owned(), 4, 3, 1);
        for hash in 0..200 {
            meta.take_file(hash, false);
        }
        assert_eq!(meta.jobs_file.former.len(), FORMER_MAX);
        assert_eq!(meta.take_file(0, false).number, 201);
    }
}
