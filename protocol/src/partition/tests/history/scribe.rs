//! Turning what was wished for into entries.

use super::super::super::{AlertTask, Fire, Grant, RunNow};
use super::*;

/// Writes wishes down as they can be meant at that place of the log.
pub(super) struct Scribe {
    /// A replica that has applied all that is written.
    owner: Owner,
    /// All tasks that were ever handed in, with their kinds.
    tasks: Vec<(TaskId, u8)>,
    /// All runs that were ever granted.
    runs: Vec<(TaskId, Token, Lessee)>,
    /// When a job was last asked to run.
    asked_at: Wall,
}

impl Default for Scribe {
    fn default() -> Self {
        Self { owner: Owner::new(), tasks: Vec::new(), runs: Vec::new(), asked_at: START }
    }
}

impl Scribe {
    pub(super) fn write(&mut self, wish: &Wish) -> Entry {
        let owner = &mut self.owner;
        owner.clock = match wish.clock {
            Clock::Forward(millis) => owner.clock + ms(millis),
            Clock::Back(millis) => owner.clock - ms(millis),
        };
        owner.index += 1;
        let written = match wish.author {
            Author::Owner => owner.term,
            Author::Successor => owner.term + 1,
            Author::Predecessor => owner.term - 1,
            Author::Deposed => owner.term,
        };
        owner.term += u64::from(matches!(wish.author, Author::Successor | Author::Deposed));
        let commands = wish.deeds.iter().map(|deed| self.command(deed)).collect();
        let proposal = Proposal::new(written, self.owner.clock, commands);
        let Owner { index, term, .. } = self.owner;
        let mut changes = Vec::new();
        self.owner.partition.apply(index, term, proposal.clone(), &mut changes);
        // So that tasks of jobs are leased, cancelled and forgotten like others.
        let made = changes.iter().filter_map(|change| match change {
            Change::Ready { task } if task.is_derived() => Some((*task, 0)),
            _ => None,
        });
        self.tasks.extend(made);
        self.runs.extend(changes.iter().filter_map(|change| match change {
            Change::Leased { task, token, lessee } => Some((*task, *token, *lessee)),
            _ => None,
        }));
        Entry { index, term, proposal }
    }

    fn revision_of(&self, job: &JobName) -> u64 {
        self.owner.partition.job(job).map_or(0, |state| state.revision)
    }

    fn command(&mut self, deed: &Deed) -> Command {
        match deed {
            Deed::Accept { rows, slots } => {
                let rows: Vec<_> = rows.iter().map(|id| self.row(*id)).collect();
                let said: Vec<_> = rows.iter().map(|(id, template, _)| (*id, template)).collect();
                let mut batch = batch(&said);
                for (row, (_, _, particulars)) in batch.rows.iter_mut().zip(rows) {
                    row.particulars = particulars.boxed();
                }
                let slots =
                    slots.iter().map(|(by, rows)| Grant { lessee: lessee(*by), rows: *rows });
                Command::Accept { batch: Arc::new(batch), grants: slots.collect() }
            }
            Deed::Lease { lessee: by, tasks } => {
                Command::Lease { lessee: lessee(*by), tasks: self.tasks(tasks) }
            }
            Deed::Report { runs, by_stranger } => {
                let mut by = lessee(0);
                let mut reports = Vec::new();
                for (which, outcome) in runs.iter().rev() {
                    let (task, token, ran_on) = self.run(*which);
                    reports.push(Report { task, token, outcome: outcome.clone() });
                    by = ran_on;
                }
                by.executor += u32::from(*by_stranger);
                Command::Report { lessee: by, reports }
            }
            Deed::Release { runs } => {
                let runs = runs.iter().map(|which| self.run(*which));
                Command::Release { runs: runs.map(|(task, token, _)| (task, token)).collect() }
            }
            Deed::Lose { lessee: by, loss } => {
                Command::Lose { lessee: lessee(*by), loss: *loss, hold: CRASH_HOLD }
            }
            Deed::Pardon { lessee: by } => Command::Pardon { lessee: lessee(*by) },
            Deed::Cancel { task } => Command::Cancel { task: self.task(*task).0 },
            Deed::Retry { task, again } => {
                let (task, kind) = self.task(*task);
                if !again {
                    self.tasks.push((self.owner.id(), kind));
                }
                Command::Retry { task, id: self.tasks.last().map_or(task, |(last, _)| *last) }
            }
            Deed::Delete { task } => Command::Delete { task: self.task(*task).0 },
            Deed::ForgetTimed { tasks, is_late } => {
                let until = self.owner.partition.now() + ms(if *is_late { 9_000 } else { 0 });
                Command::ForgetTimed { tasks: *tasks, until }
            }
            Deed::Expire { tasks } => Command::Expire { tasks: self.tasks(tasks) },
            Deed::Forget { finished, floor } => {
                let partition = &self.owner.partition;
                let floor = match floor {
                    Floor::Stays => Wall::EPOCH,
                    Floor::Behind(millis) => partition.now() - ms(*millis),
                    Floor::Crowded(stubs) => {
                        partition.stub_floor(usize::from(*stubs)).unwrap_or(Wall::EPOCH)
                    }
                };
                Command::Forget { finished: *finished, floor }
            }
            Deed::Job { job, said } => {
                let job = job_name(*job);
                let change = change_of(*said, self.revision_of(&job));
                Command::ChangeJob { job, change }
            }
            Deed::Fire { job, fire } => self.fire(&job_name(*job), *fire),
            Deed::RunNow { job, again } => {
                if !again {
                    self.asked_at = self.owner.clock;
                }
                let job = job_name(*job);
                Command::RunNow(Box::new(RunNow {
                    revision: self.revision_of(&job),
                    job,
                    at: self.asked_at,
                    template: plain(),
                    nodes: nodes(*again),
                }))
            }
            Deed::Alert { job, is_right } => {
                let job = job_name(*job);
                let told = self.owner.partition.job(&job).map_or(0, |state| state.alert_next);
                let number = told + u64::from(!is_right);
                let args = Bytes::from_static(b"{}");
                let born = self.owner.partition.job(&job).map_or(0, |state| state.born);
                Command::Alert(Box::new(AlertTask { job, born, number, template: plain(), args }))
            }
            Deed::Unreported { job } => {
                let job = job_name(*job);
                let state = self.owner.partition.job(&job);
                let last = state.and_then(|state| state.history.last());
                let tick = last.map_or(START, |last| last.tick);
                Command::NoteUnreported { job, tick }
            }
        }
    }

    fn fire(&self, job: &JobName, fire: Firing) -> Command {
        let state = self.owner.partition.job(job);
        let (after, revision) =
            state.map_or((START, 1), |state| (state.fired_through, state.revision));
        let after = if fire.is_right { after } else { after - ms(1) };
        let mut next = after;
        let mut ticks = |count: u8| -> Vec<Wall> {
            let ticks = (0..count).map(|_| {
                next = next + ms(1_000);
                next
            });
            ticks.collect()
        };
        let (missed, fired) = (ticks(fire.missed), ticks(fire.fired));
        Command::Fire(Box::new(Fire {
            job: job.clone(),
            revision,
            after,
            through: fired.last().or_else(|| missed.last()).copied().unwrap_or(after),
            ticks: fired,
            missed,
            template: tried(1),
            nodes: nodes(fire.each),
        }))
    }

    fn row(&mut self, id: Id) -> (TaskId, Template, Particulars) {
        let (task, kind) = match id {
            Id::New { kind } => {
                self.tasks.push((self.owner.id(), kind));
                *self.tasks.last().unwrap()
            }
            Id::Again(number) => self.task(number),
            Id::AsAnother(number) => {
                let (task, kind) = self.task(number);
                (task, kind + 1)
            }
            Id::Ahead => (TaskId::new(self.owner.clock + ms(900_000), PARTITION, 1), 0),
            Id::BelowFloor => (TaskId::new(self.owner.partition.dedup_floor(), PARTITION, 1), 0),
            Id::OfAnotherPartition => (TaskId::new(self.owner.clock, PartitionId(1), 1), 0),
            Id::TooFar => (self.owner.id(), 0),
        };
        let mut particulars = particulars(kind, task);
        if matches!(id, Id::TooFar) {
            particulars.not_before = Some(task.made_at() + DELAY_MAX + ms(1_000_000));
        }
        (task, template(kind, task.made_at()), particulars)
    }

    /// One of the tasks that were handed in, more likely one of the last.
    fn task(&self, number: u8) -> (TaskId, u8) {
        let recent = if number < 200 { 8 } else { usize::MAX };
        choose(self.tasks.iter().rev().take(recent), number)
            .copied()
            .unwrap_or_else(|| (TaskId::new(START, PARTITION, 0), 0))
    }

    fn tasks(&self, numbers: &[u8]) -> Vec<TaskId> {
        numbers.iter().map(|number| self.task(*number).0).collect()
    }

    fn run(&self, which: Which) -> (TaskId, Token, Lessee) {
        let nothing = Token { term: 0, index: 0, position: 0 };
        match which {
            Which::Present(number) => {
                let records = self.owner.partition.records();
                let leases = records.filter_map(|(id, record)| match record.phase() {
                    Phase::Leased(lease) => Some((id, lease.token, lease.lessee)),
                    _ => None,
                });
                let leases: Vec<_> = leases.collect();
                choose(leases.iter(), number).copied()
            }
            Which::AnyEver(number) => choose(self.runs.iter(), number).copied(),
            Which::Invented(number) => {
                let token = Token { term: self.owner.term, index: self.owner.index, position: 99 };
                Some((self.task(number).0, token, lessee(number)))
            }
        }
        .unwrap_or_else(|| (self.task(0).0, nothing, lessee(0)))
    }
}

fn choose<'a, T>(mut among: impl Iterator<Item = &'a T> + Clone, number: u8) -> Option<&'a T> {
    let count = among.clone().count();
    among.nth(usize::from(number).checked_rem(count)?)
}
