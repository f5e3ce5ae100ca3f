//! What a client says of queues, and of tasks by their names, and how it stands with queues.
//!
//! ```standalone_crate
//! # use umbel::testing::Cluster;
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cluster = Cluster::builder().nodes(1).start().await?;
//! # let client = cluster.client();
//! use umbel::client::{Rule, Subject};
//!
//! // No more mails for now; what runs goes on.
//! client.pause_queue("mail").await?;
//! // In the whole cluster a hundred a second begin, of whatever is called so.
//! let rate = Some("100/s".parse().expect("it is a rate"));
//! let limited = Rule { rate: Some(rate), ..Rule::default() };
//! client.set_rule(Subject::Tasks("crm.*".to_owned()), limited).await?;
//! for queue in client.queues().await?.queues {
//!     println!("{}: {} wait, {} run", queue.name, queue.ready, queue.running);
//! }
//! # cluster.stop().await;
//! # Ok(()) }
//! ```

use std::collections::BTreeMap;

use umbel_protocol::meta::RuleChange;
pub use umbel_protocol::meta::{Rule, Rules, Subject};
use umbel_protocol::wire::{Answer, Ask, QueueLine};

use super::{Client, ClientError};

/// All queues, as far as their owners told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueListing {
    /// The queues in which there are tasks, or of which rules say something, by name.
    pub queues: Vec<QueueLine>,
    /// The rules that hold, for queues and for tasks by name.
    pub rules: Rules,
    /// Partitions whose tasks are not counted, because nobody who owns them could tell. With 0 the
    /// numbers are complete.
    pub partitions_missing: u16,
}

impl Client {
    /// How it stands with all queues.
    ///
    /// # Errors
    /// A node of the cluster is of an older version, or nobody answers.
    pub async fn queues(&self) -> Result<QueueListing, ClientError> {
        match self.exchange().one(&Ask::Queues, self.within()).await? {
            Answer::Queues { queues, rules, partitions_missing, told: _ } => {
                Ok(QueueListing { queues, rules: *rules, partitions_missing })
            }
            other => Err(ClientError::unexpected(&other)),
        }
    }

    /// Has the tasks of a queue wait until it is [resumed](Self::resume_queue), on all nodes. What runs goes on,
    /// and more can be submitted.
    ///
    /// # Errors
    /// As [`set_rule`](Self::set_rule).
    pub async fn pause_queue(&self, name: &str) -> Result<(), ClientError> {
        let paused = Rule { paused: Some(true), ..Rule::default() };
        self.set_rule(Subject::Queue(name.to_owned()), paused).await
    }

    /// Has the tasks of a queue start again.
    ///
    /// # Errors
    /// As [`set_rule`](Self::set_rule).
    pub async fn resume_queue(&self, name: &str) -> Result<(), ClientError> {
        let resumed = Rule { paused: Some(false), ..Rule::default() };
        self.set_rule(Subject::Queue(name.to_owned()), resumed).await
    }

    /// Says something of a queue or of tasks, for the whole cluster. What the rule does not say stays as it is;
    /// what it says counts before what the cluster's file says, until it is
    /// [cleared](Self::clear_rule). It is durable when this returns, and all nodes heed it within about a
    /// second.
    ///
    /// # Errors
    /// It cannot be meant, there are too many rules, a node of the cluster is of an older version, or nobody
    /// who decides it answers.
    pub async fn set_rule(&self, subject: Subject, rule: Rule) -> Result<(), ClientError> {
        self.done(&Ask::ChangeRule { subject, change: RuleChange::Say(rule) }).await
    }

    /// Takes back all that was said of a queue or of tasks: what the cluster's file says counts again.
    ///
    /// # Errors
    /// As [`set_rule`](Self::set_rule).
    pub async fn clear_rule(&self, subject: Subject) -> Result<(), ClientError> {
        self.done(&Ask::ChangeRule { subject, change: RuleChange::Clear }).await
    }

    /// Says what version `number` of the cluster's file says of queues and tasks.
    pub(crate) async fn set_file_rules(
        &self,
        number: u64,
        rules: BTreeMap<Subject, Rule>,
    ) -> Result<(), ClientError> {
        self.done(&Ask::FileRules { number, rules }).await
    }
}
