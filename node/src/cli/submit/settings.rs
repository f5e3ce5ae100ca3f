//! How a task is to be treated, as far as the submission says so.

use std::time::Duration;

use anyhow::Context;
use clap::{ArgAction, Args};
use umbel_protocol::id::{NodeId, TaskGroupId};
use umbel_protocol::job::{Labels, Target};
use umbel_protocol::task::{
    Metadata, Particulars, Rate, TaskGroup, Template, UniquePolicy, UniqueScope,
};
use umbel_protocol::time::Wall;

use super::nodes::Nodes;
use super::parent;
use super::said::{Said, Traced, labels};
use crate::cli::out::note;
use crate::cli::time::{parse, parse_some, parse_stamp, span_of};
use crate::client::{Client, PassedOn};

/// How a task is to be treated, as far as the submission says so.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "How it is treated")]
pub(super) struct Settings {
    /// Queue to wait in
    #[arg(long)]
    pub(super) queue: Option<String>,
    /// 0 to 9, higher first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    pub(super) priority: Option<u8>,
    /// Start it so much later: 10s, 1m30s, 2h
    #[arg(long, value_name = "TIME", value_parser = parse, allow_hyphen_values = true)]
    pub(super) delay: Option<Duration>,
    /// Start it at this time at the earliest: 2030-03-01T02:30:00+01:00
    #[arg(long, value_name = "WHEN", value_parser = parse_stamp, conflicts_with = "delay")]
    pub(super) at: Option<Wall>,
    /// Give it up so long after it may start, if it does not run then
    #[arg(long, value_name = "TIME", value_parser = parse_some, allow_hyphen_values = true)]
    pub(super) expires: Option<Duration>,
    /// Give it up at this time, if it does not run then: 2030-03-01T02:30:00+01:00
    #[arg(long = "expires-at", value_name = "WHEN", value_parser = parse_stamp)]
    pub(super) expires_at: Option<Wall>,
    /// It must have ended so long after it may start, with all its retries
    #[arg(long, value_name = "TIME", value_parser = parse_some, allow_hyphen_values = true)]
    pub(super) deadline: Option<Duration>,
    /// How long one run may take
    #[arg(long = "time-limit", alias = "timeout", value_name = "TIME",
        value_parser = parse_some, allow_hyphen_values = true)]
    pub(super) time_limit: Option<Duration>,
    /// After how long a run is told that its time will soon be over; a command gets SIGTERM then
    #[arg(long = "soft-limit", value_name = "TIME", value_parser = parse_some,
        allow_hyphen_values = true)]
    pub(super) soft_limit: Option<Duration>,
    /// How often it may fail before it is given up
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) attempts: Option<u16>,
    /// Pause before the first retry; it doubles with each failure
    #[arg(long = "backoff-first", alias = "backoff", value_name = "TIME", value_parser = parse,
        allow_hyphen_values = true)]
    pub(super) backoff_first: Option<Duration>,
    /// Longest pause before a retry
    #[arg(long = "backoff-max", value_name = "TIME", value_parser = parse, allow_hyphen_values = true)]
    pub(super) backoff_max: Option<Duration>,
    /// The pauses before its retries one by one: 1s,10s,5m
    #[arg(long = "backoff-list", value_name = "TIME,...", value_parser = parse, value_delimiter = ',',
        conflicts_with_all = ["backoff_first", "backoff_max"])]
    pub(super) backoff_list: Option<Vec<Duration>>,
    /// How often it may take its node with it before it is given up
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16))]
    pub(super) crashes: Option<u16>,
    /// Of all tasks of its name, and of its limit key, with this key have one at a time
    #[arg(long, value_name = "KEY")]
    pub(super) unique: Option<String>,
    /// For how long it keeps others with its key out: until it starts or ends, or so long at the least
    #[arg(long = "unique-until", value_name = "started|finished|TIME", value_parser = scope,
        requires = "unique")]
    pub(super) unique_until: Option<UniqueScope>,
    /// What becomes of it while another with its key is there: that one is told instead, or it takes its
    /// place, or it is refused [default: existing]
    #[arg(long = "if-exists", value_name = "existing|replace|refuse", value_parser = policy,
        requires = "unique")]
    pub(super) if_exists: Option<UniquePolicy>,
    /// On whose behalf it is: tasks of different keys are served in turn
    #[arg(long = "fairness-key", value_name = "KEY")]
    pub(super) fairness_key: Option<String>,
    /// How many tasks of its fairness key are served for each of one that weighs 1
    #[arg(long = "fairness-weight", value_name = "N", requires = "fairness_key",
        value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(super) fairness_weight: Option<u16>,
    /// Run it only on nodes that have all of these labels
    #[arg(long, value_name = "KEY=VALUE,...", value_parser = labels)]
    pub(super) select: Option<Labels>,
    /// Run it only on the node of this name; while that is away it waits
    #[arg(long = "on-node", value_name = "NAME", conflicts_with = "select")]
    pub(super) on_node: Option<String>,
    /// Which that is.
    #[arg(skip)]
    pub(super) node: Option<NodeId>,
    /// Tasks with this key are limited together, whatever their names
    #[arg(long = "limit-key", value_name = "KEY")]
    pub(super) limit_key: Option<String>,
    /// How many tasks with its limit key may run at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) concurrency: Option<u16>,
    /// How many tasks with its limit key may start in how long
    #[arg(long, value_name = "N/TIME")]
    pub(super) rate: Option<Rate>,
    /// Start no other task with its limit key beside it; of several that are exclusive one runs at a time even if
    /// nodes are cut off from each other
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "concurrency")]
    pub(super) exclusive: Option<bool>,
    /// How long the node that runs it must be silent before the run is taken to be lost
    #[arg(long = "lost-after", value_name = "TIME", value_parser = parse_some)]
    pub(super) lost_after: Option<Duration>,
    /// How long what became of it is kept after its end
    #[arg(long, value_name = "TIME", value_parser = parse_some)]
    pub(super) retention: Option<Duration>,
    /// Drop what it returns
    #[arg(long = "ignore-result", action = ArgAction::SetTrue)]
    pub(super) ignore_result: Option<bool>,
    /// Never start it twice, whatever happens
    #[arg(long = "at-most-once", action = ArgAction::SetTrue, conflicts_with_all = ["attempts",
        "backoff_first", "backoff_max", "backoff_list", "crashes"])]
    pub(super) at_most_once: Option<bool>,
    /// Never show arguments, or fields of them, of these names; "*" stands for all
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(super) redact: Vec<Box<str>>,
    /// Make it one of a group, which `umbel task group` counts and waits for; "new" makes one, and tells its id
    #[arg(long, value_name = "ID", value_parser = group)]
    pub(super) group: Option<WhichGroup>,
    #[command(flatten)]
    pub(super) said: Said,
    #[command(flatten)]
    pub(super) traced: Traced,
    /// Make it no child of the task that runs this, if one does
    ///
    /// A child takes over labels, headers and the trace of its parent. If it is given an id it must be submitted
    /// again by the same parent: from elsewhere it would be another task.
    #[arg(long = "no-parent")]
    pub(super) no_parent: bool,
    /// What of that was found to be legal.
    #[arg(skip)]
    pub(super) metadata: Metadata,
    /// What it takes over.
    #[arg(skip)]
    pub(super) parent: Option<PassedOn>,
}

/// A group of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhichGroup {
    /// One that is made when the cluster is there.
    New,
    /// This one.
    This(TaskGroupId),
}

/// Reads the id of a group, or that it is to be new.
pub(super) fn group(text: &str) -> Result<WhichGroup, String> {
    match text {
        "new" => Ok(WhichGroup::New),
        id => id.parse().map(WhichGroup::This).map_err(|error| format!("{error}, or \"new\"")),
    }
}

impl Settings {
    /// The same, with what is said of the task besides how it is treated.
    ///
    /// # Errors
    /// A label, a header, a name or the trace is none.
    pub(super) fn checked(mut self) -> Result<Self, String> {
        self.metadata = self.said.metadata()?;
        self.metadata.trace = self.traced.trace()?;
        // Who does not type it says nothing of it.
        for typed in [&mut self.exclusive, &mut self.ignore_result, &mut self.at_most_once] {
            typed.take_if(|is| !*is);
        }
        if !self.no_parent {
            self.parent = parent::passed_on_here().map_err(|why| format!("{why:#}"))?;
        }
        Ok(self)
    }

    /// The same, with the node that they name, if they name one, and with the group that they ask for.
    ///
    /// # Errors
    /// There is none of that name, or nobody answers.
    pub(super) async fn placed(mut self, client: &Client) -> anyhow::Result<Self> {
        if let Some(name) = &self.on_node {
            self.node = Some(Nodes::of(client).find(name).await?);
        }
        if self.group == Some(WhichGroup::New) {
            let id = client.new_group().await.context("cannot make a group")?;
            note(format!("group {id}"));
            self.group = Some(WhichGroup::This(id));
        }
        Ok(self)
    }

    /// The same, where `others` say what these do not. What is said here in one way is not said there in
    /// another.
    pub(super) fn or(self, others: &Self) -> Self {
        let mut others = others.clone();
        if self.delay.is_some() || self.at.is_some() {
            (others.delay, others.at) = (None, None);
        }
        if self.backoff_list.is_some() {
            (others.backoff_first, others.backoff_max) = (None, None);
        }
        if self.backoff_first.is_some() || self.backoff_max.is_some() {
            others.backoff_list = None;
        }
        if self.at_most_once == Some(true) {
            (others.attempts, others.crashes, others.backoff_list) = (None, None, None);
            (others.backoff_first, others.backoff_max) = (None, None);
        }
        let pauses = self.backoff_list.is_some()
            || self.backoff_first.is_some()
            || self.backoff_max.is_some();
        if self.attempts.is_some() || self.crashes.is_some() || pauses {
            others.at_most_once = None;
        }
        if self.select.is_some() {
            others.node = None;
        }
        if self.node.is_some() {
            others.select = None;
        }
        if self.exclusive == Some(true) {
            others.concurrency = None;
        }
        if self.concurrency.is_some() {
            others.exclusive = None;
        }
        Self {
            queue: self.queue.or(others.queue),
            priority: self.priority.or(others.priority),
            delay: self.delay.or(others.delay),
            at: self.at.or(others.at),
            expires: self.expires.or(others.expires),
            expires_at: self.expires_at.or(others.expires_at),
            deadline: self.deadline.or(others.deadline),
            time_limit: self.time_limit.or(others.time_limit),
            soft_limit: self.soft_limit.or(others.soft_limit),
            attempts: self.attempts.or(others.attempts),
            backoff_first: self.backoff_first.or(others.backoff_first),
            backoff_max: self.backoff_max.or(others.backoff_max),
            backoff_list: self.backoff_list.or(others.backoff_list),
            crashes: self.crashes.or(others.crashes),
            fairness_key: self.fairness_key.or(others.fairness_key),
            fairness_weight: self.fairness_weight.or(others.fairness_weight),
            select: self.select.or(others.select),
            on_node: self.on_node.or(others.on_node),
            node: self.node.or(others.node),
            unique: self.unique.or(others.unique),
            unique_until: self.unique_until.or(others.unique_until),
            if_exists: self.if_exists.or(others.if_exists),
            limit_key: self.limit_key.or(others.limit_key),
            concurrency: self.concurrency.or(others.concurrency),
            rate: self.rate.or(others.rate),
            exclusive: self.exclusive.or(others.exclusive),
            lost_after: self.lost_after.or(others.lost_after),
            retention: self.retention.or(others.retention),
            ignore_result: self.ignore_result.or(others.ignore_result),
            at_most_once: self.at_most_once.or(others.at_most_once),
            // What is hidden in all is hidden in each.
            redact: hidden(self.redact, others.redact),
            group: self.group.or(others.group),
            no_parent: self.no_parent || others.no_parent,
            metadata: self.metadata.or(&others.metadata),
            parent: self.parent.or_else(|| others.parent.clone()),
            said: self.said,
            traced: self.traced,
        }
    }

    /// How the task called `name` is to be treated; the node that takes it fills in what is not
    /// said from the task's declaration.
    pub(super) fn template(&self, name: &str) -> Template {
        let mut template = Template::new(name);
        template.queue = self.queue.clone().unwrap_or_default();
        let options = &mut template.options;
        options.priority = self.priority;
        options.delay = self.delay.map_or(options.delay, span_of);
        options.expires = self.expires.map(span_of);
        options.expires_at = self.expires_at;
        options.deadline = self.deadline.map(span_of);
        options.time_limit = self.time_limit.map(span_of);
        options.soft_limit = self.soft_limit.map(span_of);
        options.attempts_max = self.attempts;
        options.backoff_first = self.backoff_first.map(span_of);
        options.backoff_max = self.backoff_max.map(span_of);
        let list = self.backoff_list.as_ref();
        options.backoff_list = list.map(|list| list.iter().copied().map(span_of).collect());
        options.crashes_max = self.crashes;
        options.unique_scope = self.unique_until;
        options.unique_policy = self.if_exists;
        options.concurrency = self.concurrency;
        options.rate = self.rate;
        options.exclusive = self.exclusive;
        options.lost_after = self.lost_after.map(span_of);
        options.retention = self.retention.map(span_of);
        options.ignore_result = self.ignore_result;
        options.at_most_once = self.at_most_once;
        options.redact = (!self.redact.is_empty()).then(|| self.redact.clone());
        if let Some(parent) = &self.parent {
            options.hide(&parent.redact);
        }
        template
    }

    /// What is said of the task alone.
    pub(super) fn particulars(&self) -> Option<Box<Particulars>> {
        let own = self.metadata.clone();
        let metadata = match &self.parent {
            Some(parent) => own.or(&parent.metadata),
            None => own,
        };
        let key = |key: &Option<String>| key.as_deref().map(Into::into);
        Particulars {
            not_before: self.at,
            unique_key: key(&self.unique),
            fairness_key: key(&self.fairness_key),
            limit_key: key(&self.limit_key),
            target: match (&self.node, &self.select) {
                (Some(node), _) => Target::Node(*node),
                (None, Some(labels)) => Target::Labels(labels.clone()),
                (None, None) => Target::Anywhere,
            },
            fairness_weight: self.fairness_weight,
            group: self.group.as_ref().and_then(|group| match group {
                WhichGroup::New => None,
                WhichGroup::This(id) => Some(TaskGroup { id: *id, size: 0 }),
            }),
            ..Particulars::NONE
        }
        .with_metadata(metadata)
        .boxed()
    }
}

/// All names of both.
fn hidden(mut names: Vec<Box<str>>, others: Vec<Box<str>>) -> Vec<Box<str>> {
    for name in others {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Reads `started`, `finished` or a length of time.
pub(super) fn scope(text: &str) -> Result<UniqueScope, String> {
    match text {
        "started" => Ok(UniqueScope::UntilStarted),
        "finished" => Ok(UniqueScope::UntilFinished),
        time => parse_some(time)
            .map(|time| UniqueScope::For(span_of(time)))
            .map_err(|why| format!("say started, finished or a length of time; {why}")),
    }
}

/// Reads `existing`, `replace` or `refuse`.
pub(super) fn policy(text: &str) -> Result<UniquePolicy, String> {
    match text {
        "existing" => Ok(UniquePolicy::Existing),
        "replace" => Ok(UniquePolicy::Replace),
        "refuse" => Ok(UniquePolicy::Refuse),
        _ => Err("say existing, replace or refuse".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use umbel_protocol::task::Options;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        settings: Settings,
    }

    fn typed(flags: &[&str]) -> Options {
        let words = ["submit", "--no-parent"].iter().chain(flags);
        let settings = Typed::try_parse_from(words).unwrap().settings;
        settings.checked().unwrap().template("a").options
    }

    #[test]
    fn what_is_not_typed_is_for_the_declaration_to_say() {
        assert_eq!(typed(&[]), Options::default());
        let flags = ["--exclusive", "--ignore-result", "--at-most-once"];
        let yes = Some(true);
        let all = Options { exclusive: yes, ignore_result: yes, at_most_once: yes, ..typed(&[]) };
        assert_eq!(typed(&flags), all);
        let refused = ["submit", "--exclusive", "--concurrency", "2"];
        assert!(Typed::try_parse_from(refused).is_err());
        let at = "2030-03-01T02:30:00Z";
        let expires_at = Some(parse_stamp(at).unwrap());
        assert_eq!(typed(&["--expires-at", at]), Options { expires_at, ..Options::default() });
    }
}
