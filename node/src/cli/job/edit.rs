//! `umbel job edit`: a job is changed, but for what is not said.

use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};
use umbel_protocol::job::{Alert, Job, JobName, Labels, MISFIRE_GRACE_DEFAULT, Source};
use umbel_protocol::partition::{JobRefusal, Precondition};
use umbel_protocol::task::{Headers, Metadata};
use umbel_protocol::time::Span;

use super::settings::Settings;
use super::{Done, show};
use crate::cli::connect::ConnectArgs;
use crate::clock::wall;

#[derive(Debug, Args)]
pub(in crate::cli) struct EditArgs {
    /// Its name
    name: JobName,
    /// Take these back, as if they had never been said
    #[arg(long, value_name = "SETTING,...", value_delimiter = ',')]
    unset: Vec<Unset>,
    /// Print the job as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Unset {
    Alert,
    AlertAttempts,
    AlertBackoffFirst,
    AlertBackoffMax,
    AlertOn,
    AlertPriority,
    AlertQueue,
    AlertTimeLimit,
    Args,
    AtMostOnce,
    Attempts,
    BackoffFirst,
    BackoffList,
    BackoffMax,
    Crashes,
    Deadline,
    DisplayName,
    End,
    Expires,
    Headers,
    IgnoreResult,
    Jitter,
    Labels,
    LostAfter,
    MaxRuns,
    MisfireGrace,
    Priority,
    Queue,
    Redact,
    ReportWithin,
    Retention,
    Select,
    SoftLimit,
    Start,
    TimeLimit,
}

pub(super) async fn run(args: EditArgs) -> anyhow::Result<Done> {
    let EditArgs { name, unset, json, settings, connect } = args;
    // What is typed wrong is told before anybody is called.
    let typed = settings.typed()?;
    let client = connect.client().await?;
    let cannot = || format!("cannot edit job {name}");
    let before = client.job(&name).await.with_context(cannot)?;
    if matches!(before.source, Source::File { .. }) {
        // Said before anything that is only wrong with the change.
        return Err(JobRefusal::OfFile { job: name.clone() }).with_context(cannot);
    }
    let mut job = before.job.clone();
    unset.into_iter().for_each(|unset| unset.apply(&mut job));
    settings.apply(&mut job, typed, wall())?;
    // That it fires is no part of what it is: before it is another job it fires nothing any more.
    if settings.is_disabled() && before.enabled {
        client.enable_job(&name, false).await.with_context(cannot)?;
        let only = || format!("job {name} is disabled, but cannot be edited");
        let disabled = client.job(&name).await.with_context(only)?;
        if disabled.job != before.job {
            return Err(JobRefusal::Changed { job: name.clone() }).with_context(only);
        }
        let precondition = Precondition::Revision(disabled.revision);
        client.define_job(&name, job, precondition).await.with_context(only)?;
    } else {
        let precondition = Precondition::Revision(before.revision);
        client.define_job(&name, job, precondition).await.with_context(cannot)?;
    }
    let view = client
        .job(&name)
        .await
        .with_context(|| format!("job {name} is changed, but cannot be shown"))?;
    show::tell(&client, &view, "is changed", json).await?;
    Ok(Done::Well)
}

impl Unset {
    fn apply(self, job: &mut Job) {
        let options = &mut job.template.options;
        // Of no alert nothing was said.
        let mut of_alert = |change: fn(&mut Alert)| job.alert.iter_mut().for_each(change);
        match self {
            Self::Alert => job.alert = None,
            Self::AlertAttempts => of_alert(|alert| alert.template.options.attempts_max = None),
            Self::AlertBackoffFirst => {
                of_alert(|alert| alert.template.options.backoff_first = None)
            }
            Self::AlertBackoffMax => of_alert(|alert| alert.template.options.backoff_max = None),
            Self::AlertOn => of_alert(|alert| {
                (alert.on_failure, alert.on_recovery, alert.on_missed) = (true, true, true);
            }),
            Self::AlertPriority => of_alert(|alert| alert.template.options.priority = None),
            Self::AlertQueue => of_alert(|alert| alert.template.queue.clear()),
            Self::AlertTimeLimit => of_alert(|alert| alert.template.options.time_limit = None),
            Self::Args => job.args = "null".into(),
            Self::AtMostOnce => options.at_most_once = None,
            Self::Attempts => options.attempts_max = None,
            Self::BackoffFirst => options.backoff_first = None,
            Self::BackoffList => options.backoff_list = None,
            Self::BackoffMax => options.backoff_max = None,
            Self::Crashes => options.crashes_max = None,
            Self::Deadline => options.deadline = None,
            Self::DisplayName => unsay(job, |said| said.display_name = None),
            Self::End => job.end = None,
            Self::Expires => job.expires = None,
            Self::Headers => unsay(job, |said| said.headers = Headers::NONE),
            Self::IgnoreResult => options.ignore_result = None,
            Self::Jitter => job.jitter = Span::ZERO,
            Self::Labels => unsay(job, |said| said.labels = Labels::NONE),
            Self::LostAfter => options.lost_after = None,
            Self::MaxRuns => job.max_runs = None,
            Self::MisfireGrace => job.misfire_grace = MISFIRE_GRACE_DEFAULT,
            Self::Priority => options.priority = None,
            Self::Queue => job.template.queue.clear(),
            Self::Redact => options.redact = None,
            Self::ReportWithin => job.report_within = None,
            Self::Retention => options.retention = None,
            Self::Select => job.select = Labels::NONE,
            Self::SoftLimit => options.soft_limit = None,
            Self::Start => job.start = None,
            Self::TimeLimit => options.time_limit = None,
        }
    }
}

/// Takes back something of what is said of the tasks of `job`.
fn unsay(job: &mut Job, unsay: impl FnOnce(&mut Metadata)) {
    if let Some(said) = job.metadata.take() {
        let mut said = Metadata::clone(&said);
        unsay(&mut said);
        job.metadata = (!said.is_empty()).then(|| Arc::new(said));
    }
}

#[cfg(test)]
mod tests {
    use umbel_protocol::job::Schedule;
    use umbel_protocol::task::{Options, Template};
    use umbel_protocol::time::Wall;

    use super::*;

    #[test]
    fn all_that_is_taken_back_is_as_if_it_had_never_been_said() {
        let plain = || Job::new(Schedule::Every(Span::from_millis(5_000)), Template::new("a"));
        let some = Some(Span::from_millis(7_000));
        let mut job = plain();
        let options = Options {
            priority: Some(1),
            attempts_max: Some(2),
            backoff_first: some,
            backoff_max: some,
            time_limit: some,
            backoff_list: Some(Vec::new()),
            soft_limit: some,
            deadline: some,
            crashes_max: Some(2),
            at_most_once: Some(true),
            lost_after: some,
            retention: some,
            ignore_result: Some(true),
            redact: Some(vec!["a".into()]),
            ..Options::default()
        };
        job.template = Template { queue: "q".to_owned(), options, ..Template::new("a") };
        job.alert = Some(Alert {
            template: Template { name: "tell".to_owned(), ..job.template.clone() },
            on_failure: true,
            on_recovery: false,
            on_missed: true,
        });
        job.args = "[1]".into();
        let display_name = Some("b".into());
        let mut said = Metadata { display_name, ..Metadata::default() };
        said.labels.insert("c", "d").unwrap();
        said.headers.insert("e", "f").unwrap();
        job.metadata = Some(Arc::new(said));
        (job.start, job.end) = (Some(Wall::from_millis(1)), Some(Wall::from_millis(2)));
        (job.expires, job.report_within, job.max_runs) = (some, some, Some(3));
        (job.jitter, job.misfire_grace) = (Span::from_millis(7), Span::ZERO);
        job.select = "a=b".parse().unwrap();
        // The alert itself comes last: with it goes all that is said of it.
        for unset in Unset::value_variants().iter().rev() {
            let before = job.clone();
            unset.apply(&mut job);
            assert_ne!(job, before, "{unset:?}");
            let mut unsaid = plain();
            unset.apply(&mut unsaid);
            assert_eq!(unsaid, plain(), "{unset:?}");
        }
        assert_eq!(job, plain());
    }
}
