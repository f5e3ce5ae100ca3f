//! What is said of one task to whoever looks for it, to its handler, and to those who trace it.
//!
//! Nothing here decides how a task is treated. **Labels** are for those who look from outside: short
//! words of few letters, shown in lists and found again by. **Headers** are for the code that runs: they
//! are handed to the handler, may be longer, and no list shows them. Both are passed on to the tasks that
//! are submitted from within a run, and so is the [trace](Trace).

use serde::{Deserialize, Serialize};

use super::{Headers, InvalidBatch, Trace};
use crate::id::TaskId;
use crate::job::{InvalidLabel, Labels};
use crate::limits::{DISPLAY_NAME_BYTES_MAX, LABEL_BYTES_MAX, LABELS_MAX};

/// What is said of one task besides how it is treated. Most tasks have nothing of the kind. Since
/// version 3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// What it is found by. At most [`LABELS_MAX`], of at most [`LABEL_BYTES_MAX`] bytes each.
    pub labels: Labels,
    /// What is handed to its handler besides its arguments.
    pub headers: Headers,
    /// What people call it, in place of the name of the code that runs it. 1 to
    /// [`DISPLAY_NAME_BYTES_MAX`] bytes.
    pub display_name: Option<Box<str>>,
    /// From within which task it was submitted, if from one.
    pub parent: Option<TaskId>,
    /// The first of the tasks from within which it was submitted one by one. There is one if there is a
    /// parent.
    pub root: Option<TaskId>,
    /// The trace that it is part of, with the span from within which it was submitted.
    pub trace: Option<Trace>,
}

impl Metadata {
    /// What the task `parent`, of which `said` is said, passes on to those that are submitted from within
    /// it; they become part of `trace`.
    #[must_use]
    pub fn passed_on(parent: TaskId, said: Option<&Self>, trace: Option<Trace>) -> Self {
        Self {
            labels: said.map(|said| said.labels.clone()).unwrap_or_default(),
            headers: said.map(|said| said.headers.clone()).unwrap_or_default(),
            display_name: None,
            parent: Some(parent),
            root: Some(said.and_then(|said| said.root).unwrap_or(parent)),
            trace,
        }
    }

    /// The same, where `others` say what this does not: labels and headers one by one, and parent and root
    /// together.
    #[must_use]
    pub fn or(mut self, others: &Self) -> Self {
        self.labels.fill_in(&others.labels);
        self.headers.fill_in(&others.headers);
        if self.display_name.is_none() {
            self.display_name.clone_from(&others.display_name);
        }
        if self.parent.is_none() && self.root.is_none() {
            (self.parent, self.root) = (others.parent, others.root);
        }
        if self.trace.is_none() {
            self.trace.clone_from(&others.trace);
        }
        self
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { labels, headers, display_name, parent, root, trace } = self;
        labels.is_empty()
            && headers.is_empty()
            && display_name.is_none()
            && parent.is_none()
            && root.is_none()
            && trace.is_none()
    }

    /// Whether the callers of both said the same. Each try of a submission may be part of another trace:
    /// that makes no other task of it.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let Self { labels, headers, display_name, parent, root, trace: _ } = self;
        *labels == other.labels
            && *headers == other.headers
            && *display_name == other.display_name
            && (*parent, *root) == (other.parent, other.root)
    }

    /// What a list shows of it: what is meant for those who look. Nothing, if that is all that is missing.
    #[must_use]
    pub fn listed(&self) -> Option<Self> {
        let listed = Self { headers: Headers::NONE, trace: None, ..self.clone() };
        (!listed.is_empty()).then_some(listed)
    }

    /// Refuses what cannot be said of any task.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self) -> Result<(), InvalidBatch> {
        self.labels.check().map_err(|invalid| invalid_label(&invalid))?;
        self.headers.check()?;
        if let Some(name) = &self.display_name {
            let is_long = !(1..=DISPLAY_NAME_BYTES_MAX).contains(&name.len());
            if is_long || name.chars().any(char::is_control) || name.trim().is_empty() {
                let range =
                    format!("1 to {DISPLAY_NAME_BYTES_MAX} bytes long, in one line and not blank");
                return Err(InvalidBatch::option("display_name", range));
            }
        }
        if self.parent.is_some() != self.root.is_some() {
            return Err(InvalidBatch::conflicting(
                "`parent` and `root`",
                "a task that has one has the other; give both of them",
            ));
        }
        self.trace.as_ref().map_or(Ok(()), Trace::check)
    }

    /// No fewer bytes than it takes on the wire, in the log and in a snapshot, and about what it takes in
    /// memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        let tree = |is_empty: bool| if is_empty { 0 } else { TREE_WEIGHT };
        METADATA_WEIGHT
            + tree(self.labels.is_empty())
            + self.labels.weight()
            + tree(self.headers.is_empty())
            + self.headers.weight()
            + self.display_name.as_ref().map_or(0, |name| name.len())
            + self.trace.as_ref().map_or(0, Trace::weight)
    }
}

/// What is wrong with a label, as it is said of submissions.
pub(super) fn invalid_label(invalid: &InvalidLabel) -> InvalidBatch {
    match invalid {
        InvalidLabel::Text { text } => InvalidBatch::option(
            &format!("each key and value of `labels`, and so {text:?},"),
            format!("1 to {LABEL_BYTES_MAX} of A-Z a-z 0-9 _ - . : /"),
        ),
        InvalidLabel::TooMany => InvalidBatch::option("labels", format!("at most {LABELS_MAX}")),
        InvalidLabel::Twice { key } => {
            InvalidBatch::option("labels", format!("of different keys: {key:?} is said twice"))
        }
    }
}

impl From<InvalidLabel> for InvalidBatch {
    fn from(invalid: InvalidLabel) -> Self {
        invalid_label(&invalid)
    }
}

// Parts of the log's meaning, as [`limits`](crate::limits) explains.

/// Without the texts in it: two ids, two lengths, a trace, and what counts references to it.
const METADATA_WEIGHT: usize = 224;
/// What the first of some labels, or headers, takes besides itself: a tree has room for eleven.
const TREE_WEIGHT: usize = 256;

const _: () = {
    // Two lengths, a name with its length, two ids, and the numbers of a trace with the length of its state.
    assert!(METADATA_WEIGHT >= 2 * 9 + (1 + 9) + 2 * (1 + 17) + (1 + 17 + 9 + 1 + 1 + 9));
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PartitionId;
    use crate::time::Wall;
    use crate::wire::encode;

    fn id(random: u64) -> TaskId {
        TaskId::new(Wall::from_millis(1_700_000_000_000), PartitionId(3), random)
    }

    fn headers(said: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::NONE;
        for (name, value) in said {
            headers.insert(name, value).unwrap();
        }
        headers
    }

    fn trace(span: u64) -> Trace {
        let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span:016x}-01");
        Trace::parse(&text, Some("a=1,b=2")).unwrap()
    }

    #[test]
    fn children_take_over_what_their_own_call_does_not_say() {
        let said = Metadata {
            labels: "tenant=acme,step=1".parse().unwrap(),
            headers: headers(&[("request-id", "7"), ("locale", "de")]),
            display_name: Some("Invoice 7".into()),
            ..Metadata::default()
        };
        let passed_on = Metadata::passed_on(id(1), Some(&said), Some(trace(5)));
        let own = Metadata {
            labels: "step=2".parse().unwrap(),
            headers: headers(&[("locale", "fr")]),
            ..Metadata::default()
        };
        let child = own.or(&passed_on);
        assert_eq!(child.labels.to_string(), "step=2,tenant=acme");
        assert_eq!(child.headers, headers(&[("locale", "fr"), ("request-id", "7")]));
        assert_eq!((child.parent, child.root), (Some(id(1)), Some(id(1))));
        assert_eq!((&child.display_name, &child.trace), (&None, &Some(trace(5))));
        // What its own children are told: the root stays, the parent is another.
        let grandchild = Metadata::passed_on(id(2), Some(&child), None);
        assert_eq!((grandchild.parent, grandchild.root), (Some(id(2)), Some(id(1))));
        assert_eq!(Metadata::passed_on(id(3), None, None).root, Some(id(3)));
    }

    #[test]
    fn another_try_is_no_other_task_because_it_is_traced_anew() {
        let one = Metadata { trace: Some(trace(5)), ..Metadata::default() };
        let again = Metadata { trace: Some(trace(6)), ..Metadata::default() };
        assert!(one.says_the_same(&again) && one != again);
        let other = Metadata { labels: "a=b".parse().unwrap(), ..one.clone() };
        assert!(!one.says_the_same(&other));
        assert!(!one.says_the_same(&Metadata { parent: Some(id(1)), ..one.clone() }));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let told = |said: Metadata| said.check().unwrap_err().to_string();
        for name in ["", "  ", "a\nb", "a\u{7}", &"x".repeat(DISPLAY_NAME_BYTES_MAX + 1)] {
            let said = Metadata { display_name: Some(name.into()), ..Metadata::default() };
            assert!(told(said).starts_with("display_name must be 1 to"), "{name:?}");
        }
        let half = Metadata { parent: Some(id(1)), ..Metadata::default() };
        assert!(told(half).starts_with("`parent` and `root`: "));
        let label = invalid_label(&"a=b c".parse::<Labels>().unwrap_err()).to_string();
        assert!(label.contains("`labels`, and so \"b c\", must be 1 to 64 of"), "{label}");
        let name = "Rechnung für Müller".into();
        let said = Metadata { display_name: Some(name), ..Metadata::default() };
        assert_eq!(said.check(), Ok(()));
    }

    #[test]
    fn it_weighs_no_less_than_is_written() {
        let many = |n: usize| (0..n).map(|n| (format!("h{n}"), "v".repeat(60)));
        let mut full = Metadata {
            display_name: Some("x".repeat(DISPLAY_NAME_BYTES_MAX).into()),
            parent: Some(id(u64::MAX)),
            root: Some(id(u64::MAX)),
            trace: Some(trace(u64::MAX)),
            ..Metadata::default()
        };
        for (name, value) in many(32) {
            full.labels.insert(&name, &value).unwrap();
            full.headers.insert(&name, &value).unwrap();
        }
        assert_eq!(full.check(), Ok(()));
        for said in [Metadata::default(), full.clone(), full.listed().unwrap()] {
            assert!(said.weight() >= encode(&said).len(), "{said:?}");
        }
        assert!(full.listed().unwrap().headers.is_empty());
        let traced = Metadata { trace: Some(trace(1)), ..Metadata::default() };
        assert_eq!(traced.listed(), None);
    }
}
