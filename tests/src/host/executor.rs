//! The executor of a host and the runs that it starts, as `node`'s executor actor wires them.

use umbel_protocol::executor;
use umbel_protocol::id::{TaskId, Token};
use umbel_protocol::scheduler;
use umbel_protocol::task::{Failure, FailureKind, Outcome};
use umbel_protocol::time::Span;
use umbel_protocol::wire::PeerMessage;

use super::{EXECUTOR, Local};
use crate::invariants::{self, starts_in_place};
use crate::plan::{MS, SECOND};
use crate::work::Script;
use crate::world::World;

/// Why a run comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is done.
    AsScripted,
    /// The deadline of its task has come.
    OutOfTime,
    /// It was asked to stop.
    Stopped,
}

impl World {
    pub(super) fn step_executor(&mut self, host: usize, event: executor::Event) {
        let me = self.hosts[host].node;
        self.look_at_order(&event);
        let tick = self.tick(host);
        let mut effects = Vec::new();
        self.process(host).executor.step(tick, event, &mut effects);
        for effect in effects {
            if let executor::Effect::Send { says, .. } = &effect {
                self.look_at_report(says);
            }
            match effect {
                executor::Effect::Send { to, says } if to == me => {
                    self.local(host, Local::Scheduler(scheduler::Event::Executor(says)));
                }
                executor::Effect::Send { to, says } => {
                    self.send(host, to, false, vec![PeerMessage::FromExecutor(says)]);
                }
                executor::Effect::Retired => {
                    self.local(host, Local::Scheduler(scheduler::Event::Retired));
                }
                executor::Effect::Start(start) => self.run_starts(host, &start),
                executor::Effect::Kill { task, token } => {
                    self.saw("exclusive run ended by its executor");
                    let ended = Local::Ended(task, token, Script::plain(0), Ending::Stopped);
                    self.push_inside(host, self.now, ended);
                }
                executor::Effect::Stop { task, token } => {
                    if self.flip(0.8) {
                        let at = self.now + self.between(MS, 50 * MS);
                        let ended = Local::Ended(task, token, Script::plain(0), Ending::Stopped);
                        self.push_inside(host, at, ended);
                    }
                }
            }
        }
        self.plan_wake(host, EXECUTOR);
    }

    fn run_starts(&mut self, host: usize, start: &executor::Start) {
        let script =
            Script::of_task(start.task, &start.args).expect("arguments arrive as they were given");
        let lessee = self.process(host).executor.me();
        self.trace(|| {
            let (task, token, mark) = (start.task, start.token, script.mark);
            format!("host {host} starts #{mark} {task} {token} attempt {}", start.attempt)
        });
        invariants::on_start(self, script.mark, start, lessee);
        let in_place = starts_in_place::on_start(self, host, script.mark, start);
        self.must("starts_in_place", in_place);
        let is_chosen = starts_in_place::on_start_of_job(self, host, start);
        self.must("starts_in_place", is_chosen);
        self.progress_at = self.now;
        let pool = self.hosts[host].profile.pool(&start.template.queue, &start.template.name);
        let run = (start.attempt, pool.unwrap_or_default());
        self.watch.idle.starts(host, self.hosts[host].life, run.1);
        let known = self.process(host).runs.insert((start.task, start.token), run);
        if known.is_some() {
            let again = format!("host {host} starts {} {} again", start.task, start.token);
            self.must("starts_in_place", Err(again));
        }
        let left = start.time_left.map_or(u64::MAX, Span::as_micros);
        let ending = if left < script.takes { Ending::OutOfTime } else { Ending::AsScripted };
        let at = self.now + script.takes.min(left);
        let ended = Local::Ended(start.task, start.token, script, ending);
        self.push_inside(host, at, ended);
    }

    pub(super) fn run_ended(
        &mut self,
        host: usize,
        task: TaskId,
        token: Token,
        script: &Script,
        ending: Ending,
    ) {
        let Some((attempt, pool)) = self.process(host).runs.remove(&(task, token)) else {
            return;
        };
        if script.kills && ending == Ending::AsScripted {
            self.saw("killed by a task");
            self.trace(|| format!("{task} kills host {host}"));
            self.progress_at = self.now;
            return self.crash_for_a_while(host);
        }
        self.watch.idle.ends(host, self.hosts[host].life, pool, self.now);
        let outcome = match ending {
            Ending::AsScripted => script.outcome(attempt, token),
            Ending::OutOfTime => {
                Outcome::Failed(Failure::new(FailureKind::Deadline, "its deadline has come"))
            }
            Ending::Stopped => Outcome::Cancelled,
        };
        self.trace(|| format!("host {host} ends {task} {token}: {outcome:?}"));
        self.look_at_end(task, token);
        let told = self.told_end(script.mark, outcome.clone());
        self.progress_at = self.now;
        self.ledger.ended_run(task, token, self.now, &outcome);
        self.saw_if("run longer than any timeout", script.takes > 60 * SECOND);
        self.step_executor(host, executor::Event::Finished(vec![(task, token, told)]));
    }
}
