//! `umbel job history`: the last ticks of a job, and what became of them.

use anyhow::Context;
use clap::Args;
use umbel_protocol::job::{JobName, JobView, On, TickEnd, TickRecord, TickRun};
use umbel_protocol::time::Wall;

use super::json::TickJson;
use super::moment::Place;
use super::words;
use super::{Done, out};
use crate::cli::connect::ConnectArgs;
use crate::cli::names::Names;
use crate::cli::table::{brief_end, table};
use crate::cli::time::between;
use crate::clock::wall;
use crate::config::quantity::spelled;

#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArgs {
    /// Its name
    name: JobName,
    /// At most so many ticks
    #[arg(long, value_name = "N", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print one line of JSON for each tick
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn run(args: HistoryArgs) -> anyhow::Result<Done> {
    let HistoryArgs { name, limit, json, connect } = args;
    let client = connect.client().await?;
    let view = client.job(&name).await.with_context(|| format!("cannot show job {name}"))?;
    let names = Names::ask(&client).await;
    let delay = words::delay(&name, &view.job);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut results = out::Results::new();
    if json {
        for record in view.history.iter().rev().take(limit) {
            results.json(&TickJson::of(record, delay, &names))?;
        }
    } else {
        for line in ticks(&view, limit, wall(), &names) {
            results.line(line)?;
        }
    }
    results.flush()?;
    if !json && view.history.last().is_none() {
        out::note(format!("the job {name} has had no tick yet"));
    }
    Ok(Done::Well)
}

/// The last `limit` ticks for people who look at `now`, the newest first. A tick that ran on several nodes
/// has a line for each below its own. Tasks are named where somebody may want to look at them.
pub(super) fn ticks(view: &JobView, limit: usize, now: Wall, names: &Names) -> Vec<String> {
    let place = Place::or_utc(&view.job.timezone);
    let delay = words::delay(&view.name, &view.job);
    let mut rows = Vec::new();
    for record in view.history.iter().rev().take(limit) {
        let [tick, late, decided] =
            [place.show(record.tick), spelled(record.lateness(delay)), words::decided(record)];
        if let (On::One, [run]) = (view.job.on, record.runs.as_slice()) {
            let [node, outcome, took, task, output] = of_run(run, now, names);
            rows.push([tick, late, decided, node, outcome, took, task, output]);
            continue;
        }
        let none = String::new;
        let nodes = if is_of_several(record) { words::hosts_of(record) } else { none() };
        let outcome = words::outcome(record);
        rows.push([tick, late, decided, nodes, outcome, none(), none(), none()]);
        for run in &record.runs {
            let [node, outcome, took, task, output] = of_run(run, now, names);
            rows.push([none(), none(), none(), format!("  {node}"), outcome, took, task, output]);
        }
    }
    table(["TICK", "LATE", "VERDICT", "NODE", "OUTCOME", "TOOK", "TASK", "OUTPUT"], &rows)
}

/// Whether there is more to tell than what was decided.
fn is_of_several(record: &TickRecord) -> bool {
    !record.runs.is_empty() || record.ends != umbel_protocol::job::TickEnds::default()
}

/// Its node, how it ended, how long it took, its task if that did not go well yet, and the end of what it
/// said.
fn of_run(run: &TickRun, now: Wall, names: &Names) -> [String; 5] {
    let took = run.started_at.map(|start| between(start, run.finished_at.unwrap_or(now)));
    let task = run.task.filter(|_| run.end != Some(TickEnd::Succeeded));
    [
        run.node.map(|node| names.name(node)).unwrap_or_default(),
        words::ended(run).to_owned(),
        took.unwrap_or_default(),
        task.map(|task| task.to_string()).unwrap_or_default(),
        brief_end(run.output.trim(), OUTPUT_SHOWN),
    ]
}

/// As much of an output as makes a line still readable.
const OUTPUT_SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use umbel_protocol::id::NodeId;
    use umbel_protocol::id::TaskId;
    use umbel_protocol::job::{Job, JobCounts, Schedule, Source, TickHistory, Verdict};
    use umbel_protocol::task::Template;
    use umbel_protocol::time::Span;

    use super::*;
    use crate::cli::job::words::tests::tick;

    const NOW: Wall = Wall::from_millis(1_700_000_010_000);

    /// What the cluster tells, through the form in which it tells it.
    fn history(records: &[TickRecord]) -> TickHistory {
        let bytes = umbel_protocol::wire::encode(&records.to_vec());
        umbel_protocol::wire::decode(&bytes, 100_000).unwrap()
    }

    fn view(on: On, records: &[TickRecord]) -> JobView {
        let schedule = Schedule::Every(Span::from_millis(60_000));
        JobView {
            name: "poll".parse().unwrap(),
            job: Job { on, ..Job::new(schedule, Template::new("poll")) },
            source: Source::Live,
            revision: 1,
            enabled: true,
            declared: umbel_protocol::job::Declared::ALL,
            since: Wall::EPOCH,
            next: None,
            counts: JobCounts::default(),
            history: history(records),
            last_alert: None,
            redact: Vec::new(),
        }
    }

    #[test]
    fn the_newest_tick_comes_first() {
        let mut missed = tick(&[]);
        missed.verdict = Verdict::Missed;
        missed.decided_at = missed.tick + Span::from_millis(3_600_000);
        let view = view(On::One, &[missed, tick(&[Some(TickEnd::Succeeded)])]);
        let node = NodeId(1);
        let shown = ticks(&view, 9, NOW, &Names::default());
        assert_eq!(
            shown[1..],
            [
                format!(
                    "2023-11-14 22:13:20 +00:00  12ms  fired    {node}  succeeded  1.50 s        42 files"
                ),
                format!("2023-11-14 22:13:20 +00:00  1h    missed   {:32}  missed", ""),
            ]
        );
        assert_eq!(ticks(&view, 1, NOW, &Names::default()).len(), 2);
    }

    #[test]
    fn each_node_of_a_tick_is_shown() {
        let ends = [Some(TickEnd::Succeeded), Some(TickEnd::Missed), None];
        let shown = ticks(&view(On::Each, &[tick(&ends)]), 9, NOW, &Names::default());
        assert!(
            shown[1].contains("3 nodes") && shown[1].contains("1 missed, 1 open, 1 succeeded"),
            "{shown:?}"
        );
        let node = |n| format!("  {}", NodeId(n));
        assert!(shown[2].trim_start().starts_with(node(1).trim_start()), "{shown:?}");
        assert!(shown[3].contains(&node(2)) && shown[3].ends_with("missed"), "{shown:?}");
        assert!(shown[4].contains(&node(3)) && shown[4].ends_with("waits"), "{shown:?}");
    }

    #[test]
    fn a_run_that_goes_on_is_told_with_its_task() {
        let mut record = tick(&[None]);
        let task = TaskId::new(record.tick, umbel_protocol::id::PartitionId(1), 7);
        record.runs[0].task = Some(task);
        record.runs[0].started_at = Some(NOW - Span::from_millis(2_000));
        let shown = ticks(&view(On::One, &[record]), 9, NOW, &Names::default());
        assert!(shown[1].ends_with(&format!("running  2.00 s  {task}")), "{shown:?}");
    }
}
