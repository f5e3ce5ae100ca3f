//! The executor of a host and the runs that it starts, as `node`'s executor actor wires them.

use umbel_protocol::executor;
use umbel_protocol::id::{TaskId, Token};
use umbel_protocol::scheduler;
use umbel_protocol::task::Outcome;
use umbel_protocol::wire::PeerMessage;

use super::{EXECUTOR, Local};
use crate::invariants::{self, starts_in_place};
use crate::plan::{MS, SECOND};
use crate::work::Script;
use crate::world::World;

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
                executor::Effect::Stop { task, token } => {
                    if self.flip(0.8) {
                        let script = Script {
                            mark: 0,
                            takes: 0,
                            failures: 0,
                            permanent: false,
                            kills: false,
                        };
                        let at = self.now + self.between(MS, 50 * MS);
                        let ended = Local::Ended(task, token, script, true);
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
        let at = self.now + script.takes;
        let ended = Local::Ended(start.task, start.token, script, false);
        self.push_inside(host, at, ended);
    }

    pub(super) fn run_ended(
        &mut self,
        host: usize,
        task: TaskId,
        token: Token,
        script: &Script,
        stopped: bool,
    ) {
        let Some((attempt, pool)) = self.process(host).runs.remove(&(task, token)) else {
            return;
        };
        if script.kills && !stopped {
            self.saw("killed by a task");
            self.trace(|| format!("{task} kills host {host}"));
            self.progress_at = self.now;
            return self.crash_for_a_while(host);
        }
        self.watch.idle.ends(host, self.hosts[host].life, pool, self.now);
        let outcome = if stopped { Outcome::Cancelled } else { script.outcome(attempt) };
        self.trace(|| format!("host {host} ends {task} {token}: {outcome:?}"));
        self.look_at_end(task, token);
        let told = self.told_end(script.mark, outcome.clone());
        self.progress_at = self.now;
        self.ledger.ended_run(task, token, self.now, &outcome);
        self.saw_if("run longer than any timeout", script.takes > 60 * SECOND);
        self.step_executor(host, executor::Event::Finished(vec![(task, token, told)]));
    }
}
