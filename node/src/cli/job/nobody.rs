//! Whether there is a node that may run a job: if none is, its tasks wait and nothing looks wrong.

use umbel_protocol::job::{Job, JobView, On};
use umbel_protocol::meta::Meta;
use umbel_protocol::task::Template;

use super::words;
use crate::client::Client;

/// What to say of a job if no node may run it, or tell of it. If the cluster cannot be asked nothing is
/// known.
pub(super) async fn notes(client: &Client, view: &JobView) -> Vec<String> {
    let JobView { job, declared, .. } = view;
    let unknown = |what: &str, template: &Template| {
        format!("note: {what}, for no node knows the task {} or its queue", template.name)
    };
    let runs = if declared.task {
        unlabelled(client, job).await
    } else {
        Some(unknown("its tasks wait", &job.template))
    };
    let alert = job.alert.as_ref().filter(|_| !declared.alert);
    let tells = alert.map(|alert| unknown("its alerts wait", &alert.template));
    runs.into_iter().chain(tells).collect()
}

/// What to say if no node has the labels that `job` asks for.
async fn unlabelled(client: &Client, job: &Job) -> Option<String> {
    // Without labels any node that serves will do, and somebody has answered.
    if job.select.is_empty() {
        return None;
    }
    let status = client.status().await.ok()?;
    (!is_there(&status.meta, job)).then(|| {
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
