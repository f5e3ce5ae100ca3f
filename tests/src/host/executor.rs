//! The executor of a host and the runs that it starts, as `node`'s executor actor wires them.

use umbel_protocol::executor;
use umbel_protocol::id::{TaskId, Token};
use umbel_protocol::scheduler;
use umbel_protocol::task::{Failure, FailureKind, Outcome};
use umbel_protocol::time::Span;
use umbel_protocol::wire::{ExecutorSays, PeerMessage};

use super::{EXECUTOR, Local, true_wall};
use crate::invariants::{self, limited_by_rule, starts_in_place};
use crate::plan::{MS, SECOND};
use crate::work::Script;
use crate::world::World;

/// So many lines each run says before its last.
const LINES: u64 = 4;

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
                executor::Effect::Heed { task, token, place } => {
                    let journal = self.process(host).journals.entry((task, token)).or_default();
                    journal.1 = Some(place);
                    self.tell_if_heeded(host, task, token);
                }
                executor::Effect::Tell { to, task, token, after, is_last } => {
                    let journals = &self.process(host).journals;
                    let (journal, _) = journals.get(&(task, token)).cloned().unwrap_or_default();
                    let words = after.map_or_else(|| journal.tail(), |after| journal.after(after));
                    let lessee = self.process(host).executor.me();
                    let news = ExecutorSays::News { lessee, task, token, words, is_last };
                    if to == me {
                        self.local(host, Local::Scheduler(scheduler::Event::Executor(news)));
                    } else {
                        self.send(host, to, false, vec![PeerMessage::FromExecutor(news)]);
                    }
                }
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
        let is_allowed = limited_by_rule::on_start(self, pool.unwrap_or_default(), start.task);
        self.must("limited_by_rule", is_allowed);
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
        for part in 0..LINES {
            let says = Local::Says(start.task, start.token);
            self.push_inside(host, self.now + (at - self.now) / LINES * part, says);
        }
        let ended = Local::Ended(start.task, start.token, script, ending);
        self.push_inside(host, at, ended);
    }

    /// A run says a line, and how far it is.
    pub(super) fn run_says(&mut self, host: usize, task: TaskId, token: Token) {
        if !self.process(host).runs.contains_key(&(task, token)) {
            return;
        }
        let at = true_wall(self.now);
        let (journal, _) = self.process(host).journals.entry((task, token)).or_default();
        let said = journal.lines().count() as u64;
        journal.say(at, false, &said.to_string());
        journal.progress(said + 1, Some(LINES));
        self.tell_if_heeded(host, task, token);
    }

    /// The executor is told once that a run has said more than it knew.
    fn tell_if_heeded(&mut self, host: usize, task: TaskId, token: Token) {
        let Some((journal, heeded)) = self.process(host).journals.get_mut(&(task, token)) else {
            return;
        };
        if heeded.is_some_and(|place| journal.has_more(place)) {
            *heeded = None;
            self.local(host, Local::Executor(executor::Event::Spoke { task, token }));
        }
    }

    pub(super) fn run_ended(
        &mut self,
        host: usize,
        task: TaskId,
        token: Token,
        script: &Script,
        ending: Ending,
    ) {
        // The last word before the end.
        self.run_says(host, task, token);
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
        self.process(host).journals.remove(&(task, token));
    }
}
