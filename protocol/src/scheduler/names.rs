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

    /// A template with what it leaves to the declaration of its task.
    ///
    /// # Errors
    /// When no member knows the task, or serves the queue: with names that are alike. When what is said cannot be
    /// with what is declared.
    pub(super) fn completed(&self, template: &Template) -> Result<Template, RequestError> {
        let whole = self.declared(template).map_err(|unknown| match unknown {
            Unknown::Task(name) => {
                let tasks = self.profiles().flat_map(|profile| &profile.tasks);
                let known = alike(&name, tasks.map(|task| task.name.as_str()));
                RequestError::UnknownTask { name, known }
            }
            Unknown::Queue(name) => {
                let queues = self.profiles().flat_map(|profile| &profile.queues);
                let known = alike(&name, queues.map(|queue| queue.name.as_str()));
                RequestError::UnknownQueue { name, known }
            }
        })?;
        if whole.options.soft_limit.is_none() {
            return Ok(whole);
        }
        // Time limits are those of whoever will run it, if they are not said: any of them may bear it.
        let declared = self.profiles().filter_map(|profile| profile.declaration(&whole.name));
        let said = template.said().options;
        let mut checked = declared.map(|declared| said.check_times(&declared.options));
        match checked.next() {
            Some(Err(why)) if checked.all(|checked| checked.is_err()) => Err(why.into()),
            Some(_) | None => Ok(whole),
        }
    }

    /// The same without a look for names that are alike, which takes long where there are many.
    pub(super) fn declared(&self, template: &Template) -> Result<Template, Unknown> {
        let Template { name, queue, .. } = &template.said();
        let declared = self.profiles().find_map(|profile| profile.declaration(name));
        let declared = declared.ok_or_else(|| Unknown::Task(name.clone()))?;
        let rules = self.meta.as_ref().map(|meta| &meta.rules).filter(|rules| !rules.is_empty());
        let (routed, urgency) = rules.map(|rules| rules.routed(name)).unwrap_or_default();
        let declared_queue = routed.as_ref().unwrap_or(&declared.queue);
        let queue = if queue.is_empty() { declared_queue } else { queue };
        let served = self.profiles().find_map(|profile| profile.queue(queue));
        if served.is_none() && !self.profiles().any(|profile| profile.serves(queue)) {
            return Err(Unknown::Queue(queue.clone()));
        }
        let of_queue = served.and_then(|queue| queue.priority);
        let priority = urgency.or(declared.options.priority).or(of_queue);
        let mut options = Options { priority, ..declared.options.clone() };
        if !self.all_understand(OPTIONS_SINCE) {
            options = options.before_3();
        }
        Ok(template.completed(queue, &options))
    }

    /// How a task of that name is declared by a member that knows it.
    pub(super) fn declaration(&self, name: &str) -> Option<&Options> {
        self.profiles().find_map(|profile| profile.declaration(name)).map(|known| &known.options)
    }

    /// Whether there is a member that could run it: that knows the task and serves the queue.
    pub(super) fn is_served(&self, template: &Template) -> bool {
        self.declared(template).is_ok_and(|whole| {
            self.profiles().any(|profile| profile.pool(&whole.queue, &whole.name).is_some())
        })
    }

    /// What members are known to run, this node first.
    fn profiles(&self) -> impl Iterator<Item = &Profile> {
        let own = self.lessees.profile(self.node());
        own.into_iter().chain(self.lessees.present().map(|(_, profile)| profile))
    }
}

/// The version of the protocol whose options not all members may understand.
const OPTIONS_SINCE: u16 = 3;

/// What no member knows.
pub(super) enum Unknown {
    Task(String),
    Queue(String),
}
