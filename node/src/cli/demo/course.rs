//! The course of the work: when tasks ended, and what the loss of a node did to that.

use std::time::Duration;

use tokio::time::Instant;
use umbel_protocol::task::{RunEnd, View};

/// When tasks ended.
#[derive(Debug)]
pub(super) struct Course {
    began: Instant,
    /// Of each task, in the order in which they ended: when, and whether a run of it had been lost.
    ends: Vec<(Instant, bool)>,
    loss: Option<Loss>,
}

/// A node that was killed.
#[derive(Debug)]
struct Loss {
    name: String,
    at: Instant,
    done: usize,
    taken_over: Option<Duration>,
}

/// What came of the loss of a node. Times count from the kill.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Aftermath {
    pub(super) name: String,
    /// Tasks that had ended before.
    pub(super) done_before: usize,
    /// Until all partitions had living owners; nothing if that was never seen.
    pub(super) taken_over: Option<Duration>,
    /// Tasks that ended until then.
    pub(super) meanwhile: usize,
    /// The longest time without a task that ended.
    pub(super) pause: Duration,
    /// Until all tasks whose runs were lost had ended.
    pub(super) run_again: Option<Duration>,
    /// Until all tasks had ended.
    pub(super) all_done: Duration,
}

impl Course {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), ends: Vec::new(), loss: None }
    }

    /// Since the first submission.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// A task has ended.
    pub(super) fn ended(&mut self, view: &View) {
        let is_lost = |end| matches!(end, Some(RunEnd::Lost | RunEnd::Unheard));
        self.ends.push((Instant::now(), view.runs.iter().any(|run| is_lost(run.end))));
    }

    /// The node called `name` was killed.
    pub(super) fn lost(&mut self, name: String) {
        let (at, done) = (Instant::now(), self.ends.len());
        self.loss = Some(Loss { name, at, done, taken_over: None });
    }

    /// Its partitions have owners again.
    pub(super) const fn taken_over(&mut self, after: Option<Duration>) {
        if let Some(loss) = &mut self.loss {
            loss.taken_over = after;
        }
    }

    /// From the first submission to the last end.
    pub(super) fn took(&self) -> Duration {
        self.ends.last().map_or(Duration::ZERO, |(end, _)| *end - self.began)
    }

    /// Tasks a second while all nodes were there.
    pub(super) fn rate(&self) -> f64 {
        let (tasks, time) = match &self.loss {
            Some(loss) => (loss.done, loss.at - self.began),
            None => (self.ends.len(), self.took()),
        };
        tasks as f64 / time.as_secs_f64().max(1e-6)
    }

    /// What came of the loss, if there was one.
    pub(super) fn aftermath(&self) -> Option<Aftermath> {
        let Loss { name, at, done, taken_over } = self.loss.as_ref()?;
        // Ends that were told of while the node was being killed count as before.
        let after: Vec<_> =
            self.ends.iter().skip(*done).map(|(end, lost)| (*end - *at, *lost)).collect();
        let mut aftermath = Aftermath {
            name: name.clone(),
            done_before: *done,
            taken_over: *taken_over,
            ..Aftermath::default()
        };
        let mut last = Duration::ZERO;
        for (end, was_lost) in after {
            aftermath.pause = aftermath.pause.max(end - last);
            aftermath.meanwhile += usize::from(taken_over.is_some_and(|over| end < over));
            if was_lost {
                aftermath.run_again = Some(end);
            }
            last = end;
        }
        aftermath.all_done = last;
        Some(aftermath)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_loss_did_is_told_apart_from_what_went_on() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let ends = [(100, false), (200, false), (350, false), (400, false), (1_400, true)];
        let mut course =
            Course { began, ends: ends.map(|(ms, lost)| (at(ms), lost)).to_vec(), loss: None };
        assert_eq!((course.rate().round() as u64, course.aftermath()), (4, None));
        let (name, loss) = ("node-1".to_owned(), at(250));
        course.loss = Some(Loss { name: name.clone(), at: loss, done: 2, taken_over: None });
        course.taken_over(Some(Duration::from_millis(140)));
        assert_eq!(course.rate().round() as u64, 8);
        let expected = Aftermath {
            name,
            done_before: 2,
            taken_over: Some(Duration::from_millis(140)),
            meanwhile: 1,
            pause: Duration::from_millis(1_000),
            run_again: Some(Duration::from_millis(1_150)),
            all_done: Duration::from_millis(1_150),
        };
        assert_eq!(course.aftermath(), Some(expected));
    }
}
