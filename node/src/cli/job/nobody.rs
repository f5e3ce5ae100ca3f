//! Whether there is a node that may run a job: if none is, its tasks wait and nothing looks wrong.

use umbel_protocol::job::{Job, JobView, On};
use umbel_protocol::meta::Meta;
use umbel_protocol::task::Template;

use super::words;
use crate::client::Client;

/// Which labels there are, as far as is known.
#[derive(Debug)]
pub(super) struct Places(Option<Meta>);

impl Places {
    /// Asks the cluster, if it matters for any of `jobs`.
    pub(super) async fn ask(client: &Client, mut jobs: impl Iterator<Item = &Job>) -> Self {
        // Without labels any node that serves will do, and somebody has answered.
        let matters = jobs.any(|job| !job.select.is_empty());
        let status = if matters { client.status().await.ok() } else { None };
        Self(status.map(|status| status.meta))
    }

    #[cfg(test)]
    pub(super) const fn of(meta: Meta) -> Self {
        Self(Some(meta))
    }

    /// Whether some node has the labels that `job` asks for; none if nobody could be asked.
    pub(super) fn has(&self, job: &Job) -> Option<bool> {
        if job.select.is_empty() {
            return Some(true);
        }
        self.0.as_ref().map(|meta| is_there(meta, job))
    }
}

/// What to say of a job if no node may run it, or tell of it. If the cluster cannot be asked nothing is
/// known.
pub(super) fn notes(view: &JobView, places: &Places) -> Vec<String> {
    let JobView { job, declared, .. } = view;
    let unknown = |what: &str, template: &Template| {
        format!("note: {what}, for no node knows the task {} or its queue", template.name)
    };
    let runs = if declared.task {
        unlabelled(job, places)
    } else {
        Some(unknown("its tasks wait", &job.template))
    };
    let alert = job.alert.as_ref().filter(|_| !declared.alert);
    let tells = alert.map(|alert| unknown("its alerts wait", &alert.template));
    runs.into_iter().chain(tells).collect()
}

/// What to say if no node has the labels that `job` asks for.
fn unlabelled(job: &Job, places: &Places) -> Option<String> {
    (places.has(job) == Some(false)).then(|| {
        let what = match job.on {
            On::One => "its tasks wait",
            On::Each => "its ticks run nowhere",
        };
        format!("note: {what}, for no node {}", words::wanted(job))
    })
}

fn is_there(meta: &Meta, job: &Job) -> bool {
    let mut members = meta.members.values();
    members.any(|member| !member.draining && member.labels.match_all(&job.select))
}
