//! Whether there is a node that may run a job: if none is, its tasks wait and nothing looks wrong.

use umbel_protocol::job::{Job, JobView, On};
use umbel_protocol::meta::Meta;

use super::words;
use crate::client::Client;

/// What to say of a job if no node may run it. If the cluster cannot be asked nothing is known.
pub(super) async fn note(client: &Client, view: &JobView) -> Option<String> {
    let job = &view.job;
    if let Some(task) = &view.undeclared {
        let what = if *task == job.template.name { "its tasks wait" } else { "its alerts wait" };
        return Some(format!("note: {what}, for no node knows the task {task} or its queue"));
    }
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
