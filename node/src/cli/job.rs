//! `umbel job`: periodic jobs, one file for each command.
//!
//! With `--json` every command prints [the same form](json) of a job, or of its ticks.

mod add;
mod cron_text;
mod edit;
mod enable;
mod history;
mod import;
mod json;
mod list;
mod moment;
mod next;
mod nobody;
mod remove;
mod run;
mod settings;
mod show;
mod words;

use clap::{Args, Subcommand};
use umbel_protocol::job::JobName;

use super::connect::ConnectArgs;
use super::{Done, out};

#[derive(Debug, Subcommand)]
pub(super) enum JobCommand {
    /// List jobs
    ///
    /// With --json each line has the definition, "enabled", "from" ("file" or "live"), "next",
    /// "counts" and "last", the last tick. Times are RFC 3339, lengths of time as in cluster.toml.
    List(list::ListArgs),
    /// Show all that is known of a job
    ///
    /// With --json it is as in `umbel job list`, with "args" and "history", the last ticks.
    Show(NameArgs),
    /// Show the last ticks of a job, the newest first, and what became of them
    History(history::HistoryArgs),
    /// Define a new job
    ///
    /// It runs a task that the cluster knows: one of `[tasks]` in cluster.toml, or one that a program
    /// has registered. Nodes run no other commands than those that are named in cluster.toml, so a
    /// command line for a job of its own can only be given there: `[jobs.NAME]` with `run = [...]`.
    Add(Box<add::AddArgs>),
    /// Change a job: what is not said stays as it is
    ///
    /// So another task for --alert tells of the same as the one before, and is treated in the same way;
    /// --unset alert takes all of that back.
    Edit(Box<edit::EditArgs>),
    /// Remove a job; what runs of it goes on, what waits is cancelled
    Remove(NameArgs),
    /// Have a job fire again
    Enable(NameArgs),
    /// Have a job fire no more until it is enabled
    Disable(NameArgs),
    /// Run a job now, whatever its schedule says
    Run(NameArgs),
    /// Show when a cron expression ticks, or a job
    Next(next::NextArgs),
    /// Make `[jobs]` for cluster.toml of a crontab
    ///
    /// With --json each entry of the crontab has a line with "line", where it stands there, "name", what
    /// cluster.toml would say of its job under the keys that it has there, "notes", a list, and "lost",
    /// what of it could not be carried over, or null. If there is no job of it "name" is null and there
    /// are no keys. What concerns no single entry is told on stderr only, and with -o the file is
    /// written, too.
    Import(import::ImportArgs),
}

#[derive(Debug, Args)]
pub(super) struct NameArgs {
    /// Its name
    name: JobName,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn run(command: JobCommand) -> anyhow::Result<Done> {
    match command {
        JobCommand::List(args) => list::run(args).await,
        JobCommand::Show(args) => show::run(args).await,
        JobCommand::History(args) => history::run(args).await,
        JobCommand::Add(args) => add::run(*args).await,
        JobCommand::Edit(args) => edit::run(*args).await,
        JobCommand::Remove(args) => remove::run(args).await,
        JobCommand::Enable(args) => enable::run(args, true).await,
        JobCommand::Disable(args) => enable::run(args, false).await,
        JobCommand::Run(args) => run::run(args).await,
        JobCommand::Next(args) => next::run(args).await,
        JobCommand::Import(args) => import::run(&args),
    }
}
