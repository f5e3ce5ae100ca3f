//! The names that a submission uses: known somewhere, and what their declarations say.

use super::Scheduler;
use crate::task::{Batch, Options, Template};
use crate::wire::{Profile, RequestError};

/// Names that are offered instead of one that nobody knows.
const ALIKE_MAX: usize = 3;

impl Scheduler {
    /// The templates of a submission, with what it leaves to the declarations of its tasks.
    ///
    /// # Errors
    /// When no member knows a task name, or serves a queue.
    pub(super) fn complete(&self, batch: &Batch) -> Result<Vec<Template>, RequestError> {
        batch.templates.iter().map(|template| self.completed(template)).collect()
    }

    fn completed(&self, template: &Template) -> Result<Template, RequestError> {
        let Template { name, queue, .. } = &template.said();
        let own = self.lessees.profile(self.node());
        let profiles = || own.into_iter().chain(self.lessees.present().map(|(_, p)| p));
        let Some(declared) = profiles().find_map(|profile| profile.declaration(name)) else {
            let known = profiles().flat_map(|profile| &profile.tasks).map(|task| &task.name);
            let known = alike(name, known);
            return Err(RequestError::UnknownTask { name: name.clone(), known });
        };
        let queue = if queue.is_empty() { &declared.queue } else { queue };
        let Some(served) = profiles().find_map(|profile: &Profile| profile.queue(queue)) else {
            let known = profiles().flat_map(|profile| &profile.queues).map(|queue| &queue.name);
            let known = alike(queue, known);
            return Err(RequestError::UnknownQueue { name: queue.clone(), known });
        };
        let priority = declared.options.priority.or(served.priority);
        Ok(template.completed(queue, &Options { priority, ..declared.options.clone() }))
    }
}

/// Those of `known` that `name` may have been meant for.
fn alike<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut near: Vec<(usize, &String)> = known
        .map(|known| (distance(name, known), known))
        .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 3 + 1)
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(ALIKE_MAX).map(|(_, known)| known.clone()).collect()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let cost = diagonal + usize::from(from != *to);
            diagonal = *cell;
            left = cost.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_names_that_are_alike() {
        let known = ["sha256".to_owned(), "resize".to_owned(), "umbel.noop".to_owned()];
        assert_eq!(alike("sha265", known.iter()), ["sha256"]);
        assert_eq!(alike("Resize", known.iter()), ["resize"]);
        assert!(alike("invoice", known.iter()).is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
