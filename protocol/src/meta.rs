//! The state machine of the meta group: what is cluster-wide and rare.
//!
//! Its versions are announced to all; nodes keep a copy and work on without the group.

mod jobs_file;
mod parting;
mod rules;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use self::jobs_file::{FileVerdict, JobsFile};
pub use self::parting::PartingRefusal;
pub use self::rules::{InvalidRule, Rule, RuleChange, Rules, Subject, rules_fit};
use crate::durable::LogEntry;
use crate::id::{ClusterId, NodeId};
use crate::job::Labels;
use crate::limits::{FRAME_BYTES_MAX, MEMBERS_MAX};
use crate::time::Wall;
use crate::wire::hello::Versions;
use crate::wire::{DecodeError, decode, decode_from, encode_for, grown, since_3};

/// What the cluster is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Minted when it was formed.
    pub cluster: ClusterId,
    /// What its people call it.
    pub name: String,
    /// How many partitions it has, for ever.
    pub partitions: u16,
    /// How many copies of each partition it keeps, if it has so many members.
    pub replicas: u8,
    /// No submission is acknowledged by fewer voters.
    pub voters_min: u8,
    /// Who belongs to it.
    pub members: BTreeMap<NodeId, Member>,
    /// Grows by one with each change.
    pub version: u64,
    /// Who belonged to it once and never will again, the last ones.
    pub forgotten: Vec<NodeId>,
    /// The newest version of the protocol that all members understand. It never goes back.
    pub spoken: u16,
    /// Which version of the cluster's file its jobs are of.
    pub jobs_file: JobsFile,
    /// What is said of queues, and of tasks by name. Since version 3.
    #[serde(with = "since_3")]
    pub rules: Rules,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name, unique in the cluster.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// When it joined, by the clock of the meta group's leader.
    pub joined_at: Wall,
    /// The version that it joined with: members are told apart by age.
    pub joined_in: u64,
    /// Whether it is to own, hold and run nothing.
    pub draining: bool,
    /// What is said of it, for jobs that choose among members.
    pub labels: Labels,
}

/// Who wants to be a member, or has moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The cluster's name, as it is configured there.
    pub cluster_name: String,
    /// What is said of it.
    pub labels: Labels,
}

grown!(Join { node, name, address, cluster_name } since 2 { labels = Labels::NONE });

/// Why a node is not a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum JoinRefusal {
    /// The cluster is called otherwise.
    #[error("this is the cluster {name:?}; check [cluster] name in cluster.toml and the seeds")]
    OtherCluster {
        /// Its name.
        name: String,
    },
    /// Another member has the name.
    #[error(
        "the name {name:?} belongs to another member; start this node with another --name, or \
         bring the other's data directory back"
    )]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There are too many members.
    #[error("the cluster has {MEMBERS_MAX} members, which is the limit")]
    Full,
    /// It was a member and was forgotten.
    #[error("the cluster was told to forget this node; empty its data directory to join anew")]
    Forgotten,
}

/// What can be asked of the meta group. New variants go to the end. All are written in the form of
/// version 1: logs outlive versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetaCommand {
    /// Take a member in, or note its new address.
    Join {
        /// Who.
        join: Join,
        /// When.
        at: Wall,
    },
    /// Drain a member, or have it serve again.
    Drain {
        /// Which.
        node: NodeId,
        /// Whether it is to have nothing from now on.
        draining: bool,
    },
    /// Forget a member.
    Forget {
        /// Which.
        node: NodeId,
    },
    /// All members understand this version of the protocol.
    Raise {
        /// Which.
        version: u16,
    },
    /// This is said of a member from now on.
    Label {
        /// Which.
        node: NodeId,
        /// What.
        labels: Labels,
    },
    /// A member has a file with jobs: it is the cluster's from now on, if it is no former one.
    File {
        /// The hash of its jobs.
        hash: u64,
        /// Whether somebody has asked for it, so that it may be a former one.
        deliberate: bool,
    },
    /// People say something of a queue, or of tasks by name.
    Rule {
        /// What it is about.
        subject: Subject,
        /// What.
        change: RuleChange,
    },
    /// A version of the cluster's file says this of queues and tasks.
    FileRules {
        /// Which version.
        number: u64,
        /// What it says.
        rules: BTreeMap<Subject, Rule>,
    },
}

/// Why a command of the meta group has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactsRefusal {
    /// A member is neither drained nor forgotten.
    #[error(transparent)]
    Parting(#[from] PartingRefusal),
    /// A rule cannot be meant.
    #[error(transparent)]
    Rule(#[from] InvalidRule),
}

impl MetaCommand {
    /// As it is written into the log.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode_for(LOG_VERSION, self)
    }
}

/// The version of the protocol in whose form commands are written.
const LOG_VERSION: u16 = 1;

impl Meta {
    /// A cluster with no members yet.
    #[must_use]
    pub fn new(
        cluster: ClusterId,
        name: String,
        partitions: u16,
        replicas: u8,
        voters_min: u8,
    ) -> Self {
        let members = BTreeMap::new();
        let forgotten = Vec::new();
        Self {
            cluster,
            name,
            partitions,
            replicas,
            voters_min,
            members,
            version: 0,
            forgotten,
            spoken: Versions::OWN.max,
            jobs_file: JobsFile::default(),
            rules: Rules::default(),
        }
    }

    /// Carries out the command of `entry`, and tells whether it was refused, and what it came to.
    ///
    /// # Errors
    /// When it holds none: it has no effect.
    pub fn apply(
        &mut self,
        entry: &LogEntry,
    ) -> Result<Result<Option<FileVerdict>, FactsRefusal>, DecodeError> {
        let parted = |result: Result<(), PartingRefusal>| Ok(result.map(|()| None)?);
        let ruled = |result: Result<(), InvalidRule>| Ok(result.map(|()| None)?);
        Ok(match decode_from(LOG_VERSION, &entry.data, FRAME_BYTES_MAX)? {
            MetaCommand::Join { join, at } => {
                // A refusal was told to the node before; two that race for a name meet here.
                if self.check(&join).is_ok() {
                    self.admit(join, at);
                }
                Ok(None)
            }
            MetaCommand::Drain { node, draining } => parted(self.drain(node, draining)),
            MetaCommand::Forget { node } => parted(self.forget(node)),
            MetaCommand::Raise { version } => {
                self.raise(version);
                Ok(None)
            }
            MetaCommand::Label { node, labels } => {
                self.label(node, labels);
                Ok(None)
            }
            MetaCommand::File { hash, deliberate } => Ok(Some(self.take_file(hash, deliberate))),
            MetaCommand::Rule { subject, change } => ruled(self.change_rule(subject, change)),
            MetaCommand::FileRules { number, rules } => ruled(self.take_file_rules(number, rules)),
        })
    }

    /// Whether `join` may be carried out.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, join: &Join) -> Result<(), JoinRefusal> {
        if join.cluster_name != self.name {
            return Err(JoinRefusal::OtherCluster { name: self.name.clone() });
        }
        if self.is_forgotten(join.node) {
            return Err(JoinRefusal::Forgotten);
        }
        if self.members.iter().any(|(node, member)| *node != join.node && member.name == join.name)
        {
            return Err(JoinRefusal::NameTaken { name: join.name.clone() });
        }
        if self.members.len() >= MEMBERS_MAX && !self.members.contains_key(&join.node) {
            return Err(JoinRefusal::Full);
        }
        Ok(())
    }

    /// Whether `join` would change nothing.
    #[must_use]
    pub fn has(&self, join: &Join) -> bool {
        self.members
            .get(&join.node)
            .is_some_and(|member| member.labels == join.labels && self.has_place(join))
    }

    /// Whether `join` is a member under that name and address.
    #[must_use]
    pub fn has_place(&self, join: &Join) -> bool {
        self.members
            .get(&join.node)
            .is_some_and(|member| member.name == join.name && member.address == join.address)
    }

    /// What is said of `node`.
    #[must_use]
    pub fn labels(&self, node: NodeId) -> &Labels {
        static NONE: Labels = Labels::NONE;
        self.members.get(&node).map_or(&NONE, |member| &member.labels)
    }

    /// Notes what is said of a member.
    pub fn label(&mut self, node: NodeId, labels: Labels) {
        if let Some(member) = self.members.get_mut(&node)
            && member.labels != labels
        {
            member.labels = labels;
            self.version += 1;
        }
    }

    /// Takes a member in, or notes its new address.
    pub fn admit(&mut self, join: Join, at: Wall) {
        if self.has_place(&join) {
            return;
        }
        self.version += 1;
        let version = self.version;
        let member = self.members.entry(join.node).or_insert_with(|| Member {
            name: join.name.clone(),
            address: join.address,
            joined_at: at,
            joined_in: version,
            draining: false,
            labels: Labels::NONE,
        });
        member.name = join.name;
        member.address = join.address;
    }

    /// All members understand `version` of the protocol from now on.
    pub fn raise(&mut self, version: u16) {
        if version > self.spoken {
            self.spoken = version;
            self.version += 1;
        }
    }

    /// The state as bytes that all members understand.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode_for(self.spoken, self)
    }

    /// The state that `bytes` hold.
    ///
    /// # Errors
    /// When they are not those of a meta group.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        // A state of the version before lacks what came since, so only one of the two fits.
        let newest = decode(bytes, FRAME_BYTES_MAX);
        newest
            .or_else(|why| decode_from(Versions::OWN.min, bytes, FRAME_BYTES_MAX).map_err(|_| why))
    }
}
