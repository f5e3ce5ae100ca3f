//! `umbel job run`: a job runs now, whatever its schedule says.

use anyhow::Context;
use umbel_protocol::job::{On, Verdict};

use super::json::TickJson;
use super::words;
use super::{Done, NameArgs, nobody, out};
use crate::cli::names::Names;

pub(super) async fn run(args: NameArgs) -> anyhow::Result<Done> {
    let NameArgs { name, json, connect } = args;
    let client = connect.client().await?;
    let at = client.run_job(&name).await.with_context(|| format!("cannot run job {name}"))?;
    let view = client
        .job(&name)
        .await
        .with_context(|| format!("job {name} was told to run, but cannot be shown"))?;
    let tick = view.history.iter().rev().find(|record| record.by_hand && record.tick == at);
    let Some(tick) = tick else {
        // Others may have made it run so often meanwhile that this tick is forgotten.
        out::note(format!("job {name} was told to run; `umbel job history {name}` shows more"));
        return Ok(Done::Well);
    };
    if json {
        let names = Names::ask(&client).await;
        out::line(serde_json::to_string(&TickJson::of(
            tick,
            words::delay(&name, &view.job),
            &names,
        ))?)?;
    } else {
        let tasks: Vec<_> = tick.runs.iter().filter_map(|run| run.task).collect();
        out::line(match (tick.verdict, tasks.as_slice()) {
            (Verdict::Skipped, _) => {
                format!("job {name} does not run: an earlier run of it has not ended")
            }
            (_, []) if tick.runs.is_empty() => {
                format!("job {name} does not run: no node {}", words::wanted(&view.job))
            }
            (_, []) => format!("job {name} does not run: {}", words::outcome(tick)),
            (_, [task]) => format!("job {name} runs as task {task}"),
            (_, tasks) => format!("job {name} runs as {} tasks", tasks.len()),
        })?;
    }
    // A task for one node waits until there is one; that each runs none was said.
    if view.job.on == On::One || !view.declared.task {
        let places = nobody::Places::ask(&client, [&view.job].into_iter()).await;
        nobody::notes(&view, &places).into_iter().for_each(out::note);
    }
    let has_begun = tick.runs.iter().any(|run| run.task.is_some());
    Ok(if has_begun { Done::Well } else { Done::Badly })
}
