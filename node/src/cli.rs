//! The command line: `umbel COMMAND ...`, one file for each command.
//!
//! Results go to stdout and nothing else does; what people want to know besides goes to stderr.
//! Every command that prints data prints one JSON object a line with `--json`. The exit code is 0
//! only when everything that was asked for was done.

mod bench;
mod ca;
mod checksum;
mod cluster;
mod config;
mod connect;
mod demo;
mod dev;
mod failure;
mod fleet;
mod interrupt;
mod job;
mod json_text;
mod names;
mod node;
mod out;
mod progress;
mod queue;
mod rule;
mod service;
mod submit;
mod table;
mod task;
mod task_group;
mod task_line;
mod task_watch;
mod time;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What `main` of the binary does.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::Badly) => ExitCode::FAILURE,
        Ok(Done::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) => {
            // A reader that has seen enough is no failure of ours to talk about.
            if !out::is_closed(&error) {
                out::note(failure::told(&error));
            }
            ExitCode::FAILURE
        }
    }
}

/// Celery without the broker: every host runs the same program, any node takes tasks, and no node
/// is special.
#[derive(Debug, Parser)]
#[command(
    name = "umbel",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  umbel demo                       kill a node of a local cluster and see that no task is lost
  umbel dev                        a local cluster of three nodes to play with
  umbel node -c cluster.toml       a node of a real one, on every host
  umbel submit sha256 '{\"path\": \"/etc/hosts\"}' --wait

Commands that ask a cluster find one on this host by themselves. For another one say where it is:
--connect HOST:PORT --tls DIR, or UMBEL_CONNECT and UMBEL_TLS in the environment."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what umbel is for: a local cluster loses a node in the middle of work, and no task
    Demo(demo::DemoArgs),
    /// Run a local cluster of several nodes until Ctrl-C
    Dev(dev::DevArgs),
    /// Run a node until it is told to stop
    Node(node::NodeArgs),
    /// Submit a task, or one for each line of a file
    Submit(Box<submit::SubmitArgs>),
    /// Show, wait for, watch, cancel, retry and list tasks
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// Show queues, pause, resume, purge and limit them
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Say where tasks go by their names, and how many of them run
    #[command(subcommand)]
    Rule(rule::RuleCommand),
    /// Define periodic jobs, see what becomes of them, run them now
    #[command(subcommand)]
    Job(job::JobCommand),
    /// Show the cluster, drain and forget nodes
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Check a configuration, and have nodes read theirs again
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Make the cluster's certificates
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// Measure how much a cluster does, and how fast it answers
    Bench(bench::BenchArgs),
    /// Print the SHA-256 of a file: the work of the demo
    #[command(hide = true)]
    Checksum(checksum::ChecksumArgs),
}

/// How a command ended that could be carried out.
enum Done {
    /// As it should.
    Well,
    /// Not so, which has been told.
    Badly,
    /// By a signal; what goes on without it has been told.
    Interrupted,
}

/// How a listing ended that was to be of all partitions.
fn all_told(of_what: &str, partitions_missing: u16) -> Done {
    if partitions_missing == 0 {
        return Done::Well;
    }
    out::note(format!(
        "this is not all: nobody can tell of the {of_what} of {partitions_missing} partitions: they have no owner \
         at the moment, see `umbel cluster status`, or are on nodes of an older version"
    ));
    Done::Badly
}

/// What shells say of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

fn run(command: Command) -> anyhow::Result<Done> {
    match command {
        Command::Bench(args) => block_on(bench::run(args)),
        Command::Ca(command) => ca::run(command),
        Command::Checksum(args) => checksum::run(&args),
        Command::Cluster(command) => block_on(cluster::run(command)),
        Command::Config(command) => config::run(command),
        Command::Demo(args) => block_on(demo::run(args)),
        Command::Dev(args) => block_on(dev::run(args)),
        Command::Job(command) => block_on(job::run(command)),
        Command::Node(args) => block_on(node::run(args)),
        Command::Queue(command) => block_on(queue::run(command)),
        Command::Rule(command) => block_on(rule::run(command)),
        Command::Submit(args) => block_on(submit::run(*args)),
        Command::Task(command) => block_on(task::run(command)),
    }
}

fn block_on(future: impl Future<Output = anyhow::Result<Done>>) -> anyhow::Result<Done> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(future);
    // A thread that reads a terminal would keep the process.
    runtime.shutdown_background();
    done
}
