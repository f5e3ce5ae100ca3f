//! `umbel job next`: when a cron expression ticks, or a job.

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use umbel_protocol::job::due::{next_tick, offset};
use umbel_protocol::job::{JobName, JobView, Plan};
use umbel_protocol::time::{Span, Wall};

use super::cron_text;
use super::moment::{Moment, Place, moment};
use super::{Done, out};
use crate::cli::connect::ConnectArgs;
use crate::cli::time::{away, stamp};
use crate::clock::wall;
use crate::config::quantity::spelled;
use crate::timezones;

#[derive(Debug, Args)]
pub(in crate::cli) struct NextArgs {
    /// A cron expression, in quotes: minute, hour, day of month, month, day of week
    #[arg(value_name = "EXPR", required_unless_present = "job", conflicts_with = "job")]
    expression: Option<String>,
    /// A job of the cluster instead
    #[arg(long, value_name = "NAME")]
    job: Option<JobName>,
    /// By whose clocks it is read [default: UTC]
    #[arg(long, value_name = "ZONE", conflicts_with = "job")]
    timezone: Option<String>,
    /// How many ticks
    #[arg(long, value_name = "N", default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// Those after this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    after: Option<Moment>,
    /// Print one line of JSON for each: {"at": TIME}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Serialize)]
struct AtLine {
    at: String,
}

pub(super) async fn run(args: NextArgs) -> anyhow::Result<Done> {
    let NextArgs { expression, job, timezone, count, after, json, connect } = args;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let now = wall();
    if let Some(text) = expression {
        let cron = cron_text::parse(&text)?;
        let place = timezone.as_deref().map_or_else(|| Ok(Place::utc()), Place::named)?;
        let after = after.map_or(Ok(now), |after| after.at(&place))?;
        let ticks = ticks_after(after, count, |last| cron.next_after(&place.zone, last));
        if let Some(note) = cron_text::note(&cron) {
            out::note(note);
        }
        tell(&ticks, &place, now, json)?;
        return Ok(if ticks.is_empty() { Done::Badly } else { Done::Well });
    }
    let Some(name) = job else { bail!("name a cron expression, or a job with --job") };
    let client = connect.client().await?;
    let view = client.job(&name).await.with_context(|| format!("cannot show job {name}"))?;
    let place = Place::or_utc(&view.job.timezone);
    let after = after.map(|after| after.at(&place)).transpose()?;
    let ticks = ticks_of(&view, after, now, count)?;
    let later = offset(&name, view.job.jitter);
    if later > Span::ZERO {
        out::note(format!("each fires {} later, its part of the jitter", spelled(later)));
    }
    if !view.enabled {
        out::note("the job is disabled: none of them fires until it is enabled");
    }
    tell(&ticks, &place, now, json)?;
    Ok(Done::Well)
}

/// The ticks of a job from the next one on, or those after `after`.
fn ticks_of(
    view: &JobView,
    after: Option<Wall>,
    now: Wall,
    count: usize,
) -> anyhow::Result<Vec<Wall>> {
    let JobView { job, since, next, counts, .. } = view;
    let plan = Plan::new(&job.schedule, &job.timezone, &timezones::zones())?;
    let left = job.max_runs.map_or(u64::MAX, |most| most.saturating_sub(counts.fired));
    let count = count.min(usize::try_from(left).unwrap_or(usize::MAX));
    // The owner of the job knows how far it has fired; a late tick may be the next one.
    let before_next = || next.map(|next| next - Span::from_millis(1));
    let after = after.or_else(before_next).unwrap_or(now);
    Ok(ticks_after(after, count, |last| next_tick(job, &plan, *since, last)))
}

fn ticks_after(after: Wall, count: usize, next_after: impl Fn(Wall) -> Option<Wall>) -> Vec<Wall> {
    std::iter::successors(next_after(after), |last| next_after(*last)).take(count).collect()
}

fn tell(ticks: &[Wall], place: &Place, now: Wall, json: bool) -> anyhow::Result<()> {
    let mut results = out::Results::new();
    for at in ticks {
        if json {
            results.json(&AtLine { at: stamp(*at) })?;
        } else {
            results.line(format!("{}  {}", place.show_day(*at), away(now, *at)))?;
        }
    }
    results.flush()?;
    if ticks.is_empty() {
        out::note("there is no tick to come");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use umbel_protocol::job::{Job, JobCounts, Schedule, Source, TickHistory};
    use umbel_protocol::task::Template;

    use super::*;

    fn at(seconds: u64) -> Wall {
        Wall::from_millis(seconds * 1_000)
    }

    #[test]
    fn the_ticks_of_a_job_go_on_from_its_next_one() {
        let mut job = Job::new(Schedule::Every(Span::from_millis(10_000)), Template::new("t"));
        (job.max_runs, job.end) = (Some(5), Some(at(160)));
        let mut view = JobView {
            name: "poll".parse().unwrap(),
            job,
            source: Source::Live,
            revision: 1,
            enabled: true,
            declared: umbel_protocol::job::Declared::ALL,
            since: at(100),
            next: Some(at(120)),
            counts: JobCounts { fired: 1, ..JobCounts::default() },
            history: TickHistory::default(),
            last_alert: None,
            redact: Vec::new(),
        };
        let ticks = |view: &JobView, after, count| ticks_of(view, after, at(125), count).unwrap();
        assert_eq!(ticks(&view, None, 2), [at(120), at(130)], "also if it is late");
        assert_eq!(ticks(&view, None, 9), [at(120), at(130), at(140), at(150)], "until its end");
        assert_eq!(ticks(&view, Some(at(140)), 9), [at(150)]);
        view.counts.fired = 4;
        assert_eq!(ticks(&view, None, 9), [at(120)], "no more than it may");
        (view.next, view.counts.fired) = (None, 0);
        assert_eq!(ticks(&view, None, 1), [at(130)], "if it were enabled");
    }
}
