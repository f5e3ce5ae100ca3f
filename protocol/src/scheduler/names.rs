//! The names that a submission uses: known somewhere, and what their declarations say.

use super::Scheduler;
use crate::alike::alike;
use crate::task::{Batch, Options, Template};
use crate::wire::{Profile, RequestError};

impl Scheduler {
    /// The templates of a submission, with what it leaves to the declarations of its tasks.
    ///
    /// # Errors
    /// When no member knows a task name, or serves a queue.
    pub(super) fn complete(&self, batch: &Batch) -> Result<Vec<Template>, RequestError> {
        batch.templates.iter().map(|template| self.completed(template)).collect()
    }

    pub(super) fn completed(&self, template: &Template) -> Result<Template, RequestError> {
        let Template { name, queue, .. } = &template.said();
        let own = self.lessees.profile(self.node());
        let profiles = || own.into_iter().chain(self.lessees.present().map(|(_, p)| p));
        let Some(declared) = profiles().find_map(|profile| profile.declaration(name)) else {
            let known =
                profiles().flat_map(|profile| &profile.tasks).map(|task| task.name.as_str());
            let known = alike(name, known);
            return Err(RequestError::UnknownTask { name: name.clone(), known });
        };
        let queue = if queue.is_empty() { &declared.queue } else { queue };
        let Some(served) = profiles().find_map(|profile: &Profile| profile.queue(queue)) else {
            let known =
                profiles().flat_map(|profile| &profile.queues).map(|queue| queue.name.as_str());
            let known = alike(queue, known);
            return Err(RequestError::UnknownQueue { name: queue.clone(), known });
        };
        let priority = declared.options.priority.or(served.priority);
        Ok(template.completed(queue, &Options { priority, ..declared.options.clone() }))
    }
}
