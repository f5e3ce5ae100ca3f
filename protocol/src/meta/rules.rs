//! What the cluster says of queues, and of tasks by their names: whether they wait, where they go, how many of
//! them may run.
//!
//! There are two sources. The cluster's file says what usually holds; each version of it replaces what the one
//! before said. People say otherwise while the cluster runs: that is kept apart, counts before the file, and
//! holds until it is [cleared](RuleChange::Clear).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Meta;
use crate::job::Labels;
use crate::limits::{
    NAME_BYTES_MAX, PERMITS_MAX, RANK_MAX, RATE_PER_SECOND_MAX, RULES_BYTES_MAX, RULES_MAX,
    WEIGHT_MAX,
};
use crate::task::{Rate, is_name};

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// All tasks of a queue.
    Queue(String),
    /// All tasks whose names match: `*` stands for any text, also for none.
    Tasks(String),
}

/// What is said of a subject; what is not said is nothing in particular.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Whether its tasks wait until this is taken back. What runs goes on.
    pub paused: Option<bool>,
    /// How many of its tasks may begin in how long, in the whole cluster; or that any number may.
    pub rate: Option<Option<Rate>>,
    /// How many of its tasks may run at once, in the whole cluster, 1 to [`PERMITS_MAX`]; or that any number
    /// may.
    pub concurrency: Option<Option<u32>>,
    /// Labels of the nodes that may run its tasks.
    pub select: Option<Labels>,
    /// Of a queue: how large a share of the slots it gets while others wait, too, 1 to [`WEIGHT_MAX`]. One of
    /// which nothing is said has 1.
    pub weight: Option<u16>,
    /// Of a queue: 0 to 9. As long as tasks of one with a higher rank wait that may start, none of one with a lower
    /// rank begins at the same owner, however long they have waited. One of which nothing is said has 0.
    pub rank: Option<u8>,
    /// Of tasks: the queue of those that are submitted without one.
    pub queue: Option<String>,
    /// Of tasks: the priority of those that are submitted without one, 0 to 9.
    pub priority: Option<u8>,
}

/// What is to become of what people say of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleChange {
    /// What is said here counts from now on; the rest stays as it is.
    Say(Rule),
    /// Nothing is said any more: what the file says counts again.
    Clear,
}

/// All rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// What people say.
    pub said: BTreeMap<Subject, Rule>,
    /// What the cluster's file says.
    pub file: BTreeMap<Subject, Rule>,
    /// Which version of the file that is of, as [jobs](super::JobsFile) have it.
    pub file_number: u64,
}

/// A rule that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum InvalidRule {
    /// It is about something that cannot be called that.
    #[error(
        "{what} {name:?} is not usable: use 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 _ - . : /, and for tasks `*` in \
         place of any text, which queues do not have"
    )]
    Name {
        /// Which name.
        what: String,
        /// Its beginning.
        name: String,
    },
    /// What it says is out of range, or is nothing to say of such a subject.
    #[error("{what} must be {range}")]
    Option {
        /// What.
        what: String,
        /// What it may be.
        range: String,
    },
    /// There are too many.
    #[error(
        "the cluster has as many rules as there may be, {RULES_MAX} of {RULES_BYTES_MAX} bytes; clear some, or \
         use one with `*` for many"
    )]
    TooMany,
}

impl Subject {
    /// Whether a task called `name` in `queue` is one of its.
    #[must_use]
    pub fn includes(&self, queue: &str, name: &str) -> bool {
        match self {
            Self::Queue(own) => own == queue,
            Self::Tasks(pattern) => matches(pattern, name),
        }
    }

    /// The name of the queue, or what names of tasks have to match.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Queue(name) | Self::Tasks(name) => name,
        }
    }

    /// How many characters of a name it says: of two that match the one that says more is meant.
    fn precision(&self) -> usize {
        match self {
            Self::Queue(_) => 0,
            Self::Tasks(pattern) if !pattern.contains('*') => usize::MAX,
            Self::Tasks(pattern) => pattern.chars().filter(|c| *c != '*').count(),
        }
    }

    /// Refuses what nothing can be called.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters.
    pub fn check(&self) -> Result<(), InvalidRule> {
        let (what, name, is_usable) = match self {
            Self::Queue(name) => ("queue", name, is_name(name)),
            Self::Tasks(pattern) => {
                let rest: String = pattern.chars().filter(|c| *c != '*').collect();
                let is_usable = rest.is_empty() || is_name(&rest);
                let fits = (1..=NAME_BYTES_MAX).contains(&pattern.len());
                ("task name", pattern, is_usable && fits)
            }
        };
        if is_usable {
            return Ok(());
        }
        Err(InvalidRule::Name { what: what.to_owned(), name: name.chars().take(40).collect() })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(name) => write!(f, "queue {name}"),
            Self::Tasks(pattern) => write!(f, "tasks {pattern}"),
        }
    }
}

/// Whether `name` is `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.split_at(at + part.len()).1,
            None => return false,
        }
    }
    rest.ends_with(last)
}

impl Rule {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many may begin in how long, if that is limited.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        self.rate.flatten()
    }

    /// How many may run at once, if that is limited.
    #[must_use]
    pub fn concurrency(&self) -> Option<u32> {
        self.concurrency.flatten()
    }

    /// Whether its tasks wait.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused.unwrap_or(false)
    }

    /// Whether it limits how many run or begin.
    #[must_use]
    pub fn is_limiting(&self) -> bool {
        self.rate().is_some() || self.concurrency().is_some()
    }

    /// Takes over what `other` says.
    fn take(&mut self, other: Self) {
        let Self { paused, rate, concurrency, select, weight, rank, queue, priority } = other;
        self.paused = paused.or(self.paused);
        self.rate = rate.or(self.rate);
        self.concurrency = concurrency.or(self.concurrency);
        self.weight = weight.or(self.weight);
        self.rank = rank.or(self.rank);
        self.priority = priority.or(self.priority);
        self.select = select.or_else(|| self.select.take());
        self.queue = queue.or_else(|| self.queue.take());
    }

    /// Refuses what cannot be said of `subject`.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self, subject: &Subject) -> Result<(), InvalidRule> {
        subject.check()?;
        let option =
            |what: &str, range: String| Err(InvalidRule::Option { what: what.to_owned(), range });
        if self.rate().is_some_and(|rate| !rate.is_sane()) {
            let range = format!(
                "like 100/s or 20/min: at most {RATE_PER_SECOND_MAX} a second, in 1 s to 366 days"
            );
            return option("rate", range);
        }
        if self.concurrency().is_some_and(|most| !(1..=PERMITS_MAX).contains(&most)) {
            return option("concurrency", format!("1 to {PERMITS_MAX}; pause it to have none run"));
        }
        if self.weight.is_some_and(|weight| !(1..=WEIGHT_MAX).contains(&weight)) {
            return option("weight", format!("1 to {WEIGHT_MAX}"));
        }
        if self.rank.is_some_and(|rank| rank > RANK_MAX) {
            return option("rank", format!("0 to {RANK_MAX}"));
        }
        if self.priority.is_some_and(|priority| priority > 9) {
            return option("priority", "0 to 9".to_owned());
        }
        if let Some(why) = self.select.as_ref().and_then(|labels| labels.check().err()) {
            return option("select", format!("labels: {why}"));
        }
        if let Some(queue) = &self.queue {
            Subject::Queue(queue.clone()).check()?;
        }
        match subject {
            Subject::Queue(_) if self.queue.is_some() || self.priority.is_some() => option(
                "a rule for a queue",
                "without `queue` and `priority`, which are for rules about tasks".to_owned(),
            ),
            Subject::Tasks(_) if self.weight.is_some() || self.rank.is_some() => option(
                "a rule for tasks",
                "without `weight` and `rank`, which queues have".to_owned(),
            ),
            Subject::Queue(_) | Subject::Tasks(_) => Ok(()),
        }
    }
}

impl Rules {
    /// Whether nothing is said at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.said.is_empty() && self.file.is_empty()
    }

    /// What counts for `subject`.
    #[must_use]
    pub fn of(&self, subject: &Subject) -> Rule {
        let mut rule = self.file.get(subject).cloned().unwrap_or_default();
        if let Some(said) = self.said.get(subject) {
            rule.take(said.clone());
        }
        rule
    }

    /// Everything of which anything is said.
    pub fn subjects(&self) -> impl Iterator<Item = &Subject> {
        let not_said = self.file.keys().filter(|subject| !self.said.contains_key(subject));
        self.said.keys().chain(not_said)
    }

    /// All that counts for a task called `name` in `queue`.
    #[must_use]
    pub fn for_task(&self, queue: &str, name: &str) -> Vec<(&Subject, Rule)> {
        let meant = self.subjects().filter(|subject| subject.includes(queue, name));
        meant.map(|subject| (subject, self.of(subject))).collect()
    }

    /// The queue and the priority of a task called `name` that is submitted without, as far as a rule says: of
    /// those that match the one that says most of the name.
    #[must_use]
    pub fn routed(&self, name: &str) -> (Option<String>, Option<u8>) {
        let is_meant =
            |subject: &&Subject| matches!(subject, Subject::Tasks(_)) && subject.includes("", name);
        let mut meant: Vec<&Subject> = self.subjects().filter(is_meant).collect();
        meant.sort_unstable_by_key(|subject| (std::cmp::Reverse(subject.precision()), *subject));
        let rules: Vec<Rule> = meant.into_iter().map(|subject| self.of(subject)).collect();
        let queue = rules.iter().find_map(|rule| rule.queue.clone());
        (queue, rules.iter().find_map(|rule| rule.priority))
    }
}

/// Whether there may be all these rules.
#[must_use]
pub fn rules_fit<'a>(rules: impl IntoIterator<Item = (&'a Subject, &'a Rule)>) -> bool {
    let weights = rules.into_iter().map(|(subject, rule)| {
        let Rule { select, queue, .. } = rule;
        let queue = queue.as_ref().map_or(0, String::len);
        subject.name().len() + queue + select.as_ref().map_or(0, Labels::weight) + RULE_WEIGHT
    });
    let (count, bytes) = weights.fold((0, 0), |(count, bytes), weight| (count + 1, bytes + weight));
    count <= RULES_MAX && bytes <= RULES_BYTES_MAX
}

/// What a rule is counted as without its texts.
const RULE_WEIGHT: usize = 64;

impl Meta {
    /// People say something of a subject.
    ///
    /// # Errors
    /// When it cannot be meant, or there are too many. Nothing has changed then.
    pub fn change_rule(&mut self, subject: Subject, change: RuleChange) -> Result<(), InvalidRule> {
        let mut rule = self.rules.said.get(&subject).cloned().unwrap_or_default();
        match change {
            RuleChange::Say(said) => {
                said.check(&subject)?;
                rule.take(said);
            }
            RuleChange::Clear => rule = Rule::default(),
        }
        let before = self.rules.said.get(&subject);
        let others = self.rules.said.iter().filter(|(other, _)| **other != subject);
        if !rule.is_empty() && !rules_fit(others.chain([(&subject, &rule)])) {
            return Err(InvalidRule::TooMany);
        }
        if before.cloned().unwrap_or_default() == rule {
            return Ok(());
        }
        if rule.is_empty() {
            self.rules.said.remove(&subject);
        } else {
            self.rules.said.insert(subject, rule);
        }
        self.version += 1;
        Ok(())
    }

    /// Version `number` of the cluster's file says this, unless a later one is known.
    ///
    /// # Errors
    /// When a rule cannot be meant, or there are too many. Nothing has changed then.
    pub fn take_file_rules(
        &mut self,
        number: u64,
        rules: BTreeMap<Subject, Rule>,
    ) -> Result<(), InvalidRule> {
        if !rules_fit(&rules) {
            return Err(InvalidRule::TooMany);
        }
        rules.iter().try_for_each(|(subject, rule)| rule.check(subject))?;
        if number < self.rules.file_number || number > self.jobs_file.number {
            return Ok(());
        }
        if number != self.rules.file_number || rules != self.rules.file {
            self.rules.file_number = number;
            self.rules.file = rules;
            self.version += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ClusterId;

    fn meta() -> Meta {
        Meta::new(ClusterId(1), "test".to_owned(), 4, 3, 1)
    }

    fn queue(name: &str) -> Subject {
        Subject::Queue(name.to_owned())
    }

    fn tasks(pattern: &str) -> Subject {
        Subject::Tasks(pattern.to_owned())
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, is_meant) in [
            ("mail", "mail", true),
            ("mail", "mail.send", false),
            ("mail.*", "mail.send", true),
            ("mail.*", "mail.", true),
            ("mail.*", "email.send", false),
            ("*", "", true),
            ("*.send", "mail.send", true),
            ("*.send", "mail.send.now", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern, name), is_meant, "{pattern} {name}");
        }
    }

    #[test]
    fn what_people_say_counts_before_the_file_until_it_is_cleared() {
        let mut meta = meta();
        meta.take_file(7, false);
        let of_file = Rule { weight: Some(3), concurrency: Some(Some(5)), ..Rule::default() };
        meta.take_file_rules(1, [(queue("mail"), of_file.clone())].into()).unwrap();
        let said = Rule { paused: Some(true), concurrency: Some(None), ..Rule::default() };
        meta.change_rule(queue("mail"), RuleChange::Say(said)).unwrap();
        let rule = meta.rules.of(&queue("mail"));
        assert_eq!((rule.is_paused(), rule.weight, rule.concurrency()), (true, Some(3), None));
        let version = meta.version;
        meta.change_rule(queue("mail"), RuleChange::Say(Rule::default())).unwrap();
        assert_eq!(meta.version, version, "nothing was said");
        let on = Rule { paused: Some(false), ..Rule::default() };
        meta.change_rule(queue("mail"), RuleChange::Say(on)).unwrap();
        assert_eq!(meta.rules.of(&queue("mail")).concurrency(), None, "the rest stays");
        meta.change_rule(queue("mail"), RuleChange::Clear).unwrap();
        assert_eq!(meta.rules.of(&queue("mail")), of_file);
        assert!(meta.rules.said.is_empty());
    }

    #[test]
    fn a_version_of_the_file_replaces_the_one_before_and_none_that_is_newer() {
        let mut meta = meta();
        meta.take_file(7, false);
        meta.take_file(8, false);
        let weighs = |weight| Rule { weight: Some(weight), ..Rule::default() };
        meta.take_file_rules(2, [(queue("b"), weighs(2))].into()).unwrap();
        meta.take_file_rules(1, [(queue("a"), weighs(1))].into()).unwrap();
        meta.take_file_rules(3, [(queue("c"), weighs(3))].into()).unwrap();
        let subjects: Vec<&Subject> = meta.rules.subjects().collect();
        assert_eq!(subjects, [&queue("b")], "one is former, and of the other nobody knows");
    }

    #[test]
    fn of_rules_that_match_the_one_that_says_most_of_the_name_routes() {
        let mut meta = meta();
        let to = |queue: &str| Rule { queue: Some(queue.to_owned()), ..Rule::default() };
        for (pattern, queue) in [("*", "rest"), ("mail.*", "mail"), ("mail.send", "urgent")] {
            meta.change_rule(tasks(pattern), RuleChange::Say(to(queue))).unwrap();
        }
        let first = Rule { priority: Some(7), ..Rule::default() };
        meta.change_rule(tasks("mail.s*"), RuleChange::Say(first)).unwrap();
        let routed = |name| meta.rules.routed(name);
        assert_eq!(routed("mail.send"), (Some("urgent".to_owned()), Some(7)));
        assert_eq!(routed("mail.list"), (Some("mail".to_owned()), None));
        assert_eq!(routed("report"), (Some("rest".to_owned()), None));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let mut meta = meta();
        for (subject, rule) in [
            (queue("no name"), Rule::default()),
            (queue("a*"), Rule::default()),
            (tasks(""), Rule::default()),
            (queue("a"), Rule { weight: Some(0), ..Rule::default() }),
            (queue("a"), Rule { concurrency: Some(Some(0)), ..Rule::default() }),
            (queue("a"), Rule { priority: Some(1), ..Rule::default() }),
            (tasks("a"), Rule { weight: Some(1), ..Rule::default() }),
            (tasks("a"), Rule { priority: Some(10), ..Rule::default() }),
            (tasks("a"), Rule { queue: Some(String::new()), ..Rule::default() }),
        ] {
            let refused = meta.change_rule(subject.clone(), RuleChange::Say(rule.clone()));
            assert!(refused.is_err(), "{subject} {rule:?}");
        }
        let paused = || RuleChange::Say(Rule { paused: Some(true), ..Rule::default() });
        for n in 0..RULES_MAX {
            meta.change_rule(queue(&format!("q{n}")), paused()).unwrap();
        }
        assert_eq!(meta.change_rule(queue("more"), paused()), Err(InvalidRule::TooMany));
        meta.change_rule(queue("q0"), RuleChange::Clear).unwrap();
        assert_eq!(meta.change_rule(queue("more"), paused()), Ok(()));
    }
}
