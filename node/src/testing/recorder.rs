//! What a test has submitted, and assertions about it.

mod recorded;

use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::recorded::Recorded;
use super::fake_node::FakeNode;
use crate::client::Client;
use crate::work::Call;

/// Takes tasks in and keeps what was said of them: for tests that code submits what it should. Cheap to
/// clone; clones are the same.
///
/// What is not legal is refused as in production, and so is a second task of a
/// [unique key](Call::unique). Names and queues that no node here would know are taken all the same: they
/// may be those of another program. Nothing runs: whoever waits for a task is told that it has failed, and
/// why; [`Inline`](super::Inline) is for tests that need results.
///
/// ```standalone_crate
/// # use umbel::testing::Recorder;
/// # use umbel::{Client, ClientError, Task};
/// #[umbel::task(unique_by = "order")]
/// async fn ship(order: u64, to: String) -> Result<(), String> {
///     Ok(())
/// }
///
/// # async fn check_out(client: &Client) -> Result<(), ClientError> {
/// #     for _ in 0..2 { ship::submit(client, 7, "here".to_owned()).await?; }
/// #     Ok(())
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ClientError> {
/// let recorder = Recorder::new();
/// check_out(&recorder.client()).await?;
///
/// recorder.assert_submitted(ship::call(7, "here".to_owned()));
/// // Or by its name, when not all arguments matter.
/// recorder.assert_submitted_where(ship::NAME, |args: serde_json::Value| args["order"] == 7);
/// recorder.assert_count(ship::NAME, 1);
/// recorder.assert_not_submitted("refund");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Recorder {
    node: FakeNode,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// One that has nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::of(FakeNode::new())
    }

    pub(super) const fn of(node: FakeNode) -> Self {
        Self { node }
    }

    /// A client whose tasks are recorded. Must be called within a tokio runtime.
    #[must_use]
    pub fn client(&self) -> Client {
        self.node.client()
    }

    /// All that was taken in, in that order.
    #[must_use]
    pub fn all(&self) -> Vec<Recorded> {
        self.node.recorded()
    }

    /// The tasks of this name that were taken in, in that order.
    #[must_use]
    pub fn submitted(&self, name: &str) -> Vec<Recorded> {
        let mut all = self.all();
        all.retain(|recorded| recorded.name() == name);
        all
    }

    /// Forgets what was recorded so far, so that a test can tell what comes after. The tasks stay: what
    /// they keep out by their unique keys is kept out.
    pub fn clear(&self) {
        self.node.clear();
    }

    /// The first task that was submitted with the name and the arguments of `call`. What else is said of
    /// the call does not count: ask what is returned.
    ///
    /// # Panics
    /// When there is none, with all that there are.
    #[track_caller]
    pub fn assert_submitted<R>(&self, call: Call<R>) -> Recorded {
        let expected = match call.into_submission() {
            Ok(submission) => Recorded::expected(&submission),
            Err(why) => panic!("{why}"),
        };
        let all = self.all();
        let is_meant = |recorded: &&Recorded| {
            recorded.name() == expected.name() && recorded.json() == expected.json()
        };
        match all.iter().find(is_meant) {
            Some(recorded) => recorded.clone(),
            None => panic!("not submitted: {expected}\n{}", list(&all)),
        }
    }

    /// The first task that was submitted under `name` with arguments of which `is_meant` holds. They are
    /// read as `A`: the type of the only argument of a task, a type with their names as fields for several,
    /// [`serde_json::Value`] for any. Those that are no `A` are not meant.
    ///
    /// # Panics
    /// When there is none, with all that there are.
    #[track_caller]
    pub fn assert_submitted_where<A: DeserializeOwned>(
        &self,
        name: &str,
        is_meant: impl Fn(A) -> bool,
    ) -> Recorded {
        let all = self.all();
        let found = all
            .iter()
            .find(|recorded| recorded.name() == name && recorded.args::<A>().is_ok_and(&is_meant));
        match found {
            Some(recorded) => recorded.clone(),
            None => panic!("no {name:?} with such arguments was submitted\n{}", list(&all)),
        }
    }

    /// That so many tasks were submitted under `name`.
    ///
    /// # Panics
    /// When there are more or fewer, with all that there are.
    #[track_caller]
    pub fn assert_count(&self, name: &str, count: usize) {
        let all = self.all();
        let found = all.iter().filter(|recorded| recorded.name() == name).count();
        assert!(
            found == count,
            "{name:?} was submitted {found} times, not {count}\n{}",
            list(&all)
        );
    }

    /// That no task was submitted under `name`.
    ///
    /// # Panics
    /// When there is one, with all that there are.
    #[track_caller]
    pub fn assert_not_submitted(&self, name: &str) {
        self.assert_count(name, 0);
    }

    /// That nothing was submitted at all.
    ///
    /// # Panics
    /// When something was, with all of it.
    #[track_caller]
    pub fn assert_nothing_submitted(&self) {
        let all = self.all();
        assert!(all.is_empty(), "something was submitted\n{}", list(&all));
    }
}

/// All that there is, for people to find what they meant.
fn list(all: &[Recorded]) -> String {
    if all.is_empty() {
        return "nothing was submitted".to_owned();
    }
    let mut text = "submitted were:".to_owned();
    for recorded in all.iter().take(LISTED_MAX) {
        // Writing to a text cannot fail.
        let _ = write!(text, "\n  {recorded}");
    }
    if all.len() > LISTED_MAX {
        let _ = write!(text, "\n  and {} more", all.len() - LISTED_MAX);
    }
    text
}

/// More than that nobody reads.
const LISTED_MAX: usize = 50;

impl Recorded {
    fn json(&self) -> Option<Value> {
        self.args().ok()
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("submitted", &self.all()).finish()
    }
}
