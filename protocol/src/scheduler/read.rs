//! Answering what is on record.
//!
//! An owner answers a read only after a majority has confirmed that it still is the owner: what has
//! ended stays so and needs no confirmation, all else does, above all "there is no such task".

use super::Scheduler;
use super::asks::Origin;
use super::guards::Question;
use crate::id::{GroupId, PartitionId, TaskId};
use crate::job::JobName;
use crate::journal::{Live, Seen};
use crate::partition::Partition;
use crate::sabotage::{self, Defect};
use crate::task::{Options, State, View};
use crate::time::{Span, Wall};
use crate::wire::{Answer, RequestError};

/// A read that was not confirmed for so long is asked for again.
const REPEAT_AFTER: Span = Span::from_millis(500);

/// A read that waits for its confirmation.
pub(super) enum Read {
    /// Somebody asks for what is on record.
    Asked { origin: Origin, what: What },
    /// An executor asks whether runs may go on.
    GoOn(Question),
}

impl Read {
    /// Who waits for an answer.
    pub(super) const fn origin(&self) -> Option<Origin> {
        match self {
            Self::Asked { origin, .. } => Some(*origin),
            Self::GoOn(_) => None,
        }
    }
}

/// What is read.
pub(super) enum What {
    Job(JobName),
    /// A job that is to run, and was not there.
    Run {
        job: JobName,
        /// When that was asked for.
        at: Wall,
    },
    Task {
        task: TaskId,
        /// Whether it waits until the task has ended.
        waits: bool,
    },
    /// A task that is watched, of which something may be known.
    Watch {
        task: TaskId,
        seen: Option<Seen>,
    },
}

impl Scheduler {
    /// Shows a task, or waits until it has ended.
    pub(super) fn read(&mut self, origin: Origin, task: TaskId, wait: bool) {
        if self.has_ended(task) {
            return if wait { self.show(origin, task) } else { self.show_whole(origin, task) };
        }
        if sabotage::has(Defect::UnconfirmedReads) && !wait {
            return self.show_whole(origin, task);
        }
        self.read_confirmed(
            task.partition(),
            Read::Asked { origin, what: What::Task { task, waits: wait } },
        );
    }

    /// Tells what a task says of itself.
    pub(super) fn read_news(&mut self, origin: Origin, task: TaskId, seen: Option<Seen>) {
        if self.has_ended(task) {
            return self.watch(origin, task, seen);
        }
        let what = What::Watch { task, seen };
        self.read_confirmed(task.partition(), Read::Asked { origin, what });
    }

    /// Shows a job.
    pub(super) fn read_job(&mut self, origin: Origin, job: JobName) {
        if let Some(partition) = self.partition_of_job(&job) {
            self.read_confirmed(partition, Read::Asked { origin, what: What::Job(job) });
        }
    }

    /// A job is to run that is not there: so somebody else may own its partition, and know it.
    pub(super) fn read_job_to_run(&mut self, origin: Origin, job: JobName, at: Wall) {
        if let Some(partition) = self.partition_of_job(&job) {
            self.read_confirmed(partition, Read::Asked { origin, what: What::Run { job, at } });
        }
    }

    /// Runs may go on, if this node still owns their partition.
    pub(super) fn confirm_owner(&mut self, partition: PartitionId, question: Question) {
        self.read_confirmed(partition, Read::GoOn(question));
    }

    fn read_confirmed(&mut self, partition: PartitionId, read: Read) {
        let now = self.now.tick;
        let number = self.next_read;
        let Some(owner) = self.owner_mut(partition) else {
            return;
        };
        // Reads of one round share a confirmation.
        owner.reads.entry(number).or_insert_with(|| (now, Vec::new())).1.push(read);
        self.unconfirmed.insert(GroupId::of(partition));
    }

    /// Whether a task of a partition that this node owns has ended.
    pub(super) fn has_ended(&self, task: TaskId) -> bool {
        let state = self.owned(task.partition()).and_then(|partition| partition.state(task));
        state.is_some_and(State::is_final)
    }

    /// Asks for the confirmation of reads that came since the last round.
    pub(super) fn ask_confirmations(&mut self) {
        if self.unconfirmed.is_empty() {
            return;
        }
        let number = self.next_read;
        self.next_read += 1;
        for id in std::mem::take(&mut self.unconfirmed) {
            if let Some(replica) = self.replicas.get_mut(&id) {
                replica.group.read_index(number);
                self.dirty.insert(id);
            }
        }
    }

    /// Reads were confirmed: they may be answered once the entry at the index is applied.
    pub(super) fn confirm_reads(&mut self, id: GroupId, reads: &[(u64, u64)]) {
        for (number, index) in reads {
            let Some(owner) = self.replicas.get_mut(&id).and_then(|r| r.owner.as_mut()) else {
                return;
            };
            if let Some((_, reads)) = owner.reads.remove(number) {
                self.confirmed.entry(id).or_default().push((*index, reads));
            }
        }
        if !reads.is_empty() {
            self.serve_confirmed(id);
        }
    }

    pub(super) fn serve_confirmed(&mut self, id: GroupId) {
        let Some(waiting) = self.confirmed.remove(&id) else {
            return;
        };
        let applied = self.replicas.get(&id).map_or(0, |replica| replica.group.applied());
        let mut later = Vec::new();
        for (index, reads) in waiting {
            if index > applied {
                later.push((index, reads));
                continue;
            }
            for read in reads {
                match read {
                    Read::Asked { origin, what } => self.serve_read(origin, what),
                    Read::GoOn(question) => self.let_go_on(question),
                }
            }
        }
        if !later.is_empty() {
            self.confirmed.insert(id, later);
        }
    }

    fn serve_read(&mut self, origin: Origin, what: What) {
        match what {
            What::Job(job) => self.show_job(origin, &job),
            What::Run { job, at } => self.run_job_if_there(origin, job, at),
            What::Task { task, waits: true } => self.wait_for(origin, task),
            What::Task { task, waits: false } => self.show_live(origin, task),
            What::Watch { task, seen } => self.watch(origin, task, seen),
        }
    }

    /// Asks again for confirmations that got lost.
    pub(super) fn repeat_reads(&mut self) {
        let now = self.now.tick;
        let number = self.next_read;
        for (id, replica) in &mut self.replicas {
            let Some(owner) = &mut replica.owner else {
                continue;
            };
            let lost: Vec<u64> = (owner.reads.iter())
                .filter(|(_, (at, _))| now.since(*at) > REPEAT_AFTER)
                .map(|(number, _)| *number)
                .collect();
            for old in lost {
                if let Some((_, reads)) = owner.reads.remove(&old) {
                    owner.reads.entry(number).or_insert_with(|| (now, Vec::new())).1.extend(reads);
                    self.unconfirmed.insert(*id);
                }
            }
        }
    }

    /// Answers with what is on record now.
    pub(super) fn show(&mut self, origin: Origin, task: TaskId) {
        self.show_as(origin, task, Self::view_of);
    }

    /// The same with the arguments of the task, and with what keeps it from starting.
    pub(super) fn show_whole(&mut self, origin: Origin, task: TaskId) {
        let (obstacle, declared) = (self.obstacle_of(task), self.declared_options(task));
        self.show_as(origin, task, |partition, task| {
            let view = Self::whole_view(partition, task, declared.as_ref())?;
            Some(Answer::View(Box::new(View { obstacle, ..view })))
        });
    }

    /// The same with what is known of how far it is, if it still runs.
    pub(super) fn show_whole_with(&mut self, origin: Origin, task: TaskId, live: Live) {
        let declared = self.declared_options(task);
        self.show_as(origin, task, |partition, task| {
            let state = partition.state(task);
            let live = Some(live).filter(|_| state == Some(State::Leased));
            let view = Self::whole_view(partition, task, declared.as_ref())?;
            Some(Answer::View(Box::new(View { live, ..view })))
        });
    }

    /// All that is on record of a task, and the time limits that it is declared with: those hold of what says none.
    fn whole_view(partition: &Partition, task: TaskId, declared: Option<&Options>) -> Option<View> {
        let record = partition.record(task)?;
        let mut view = View::of(task, &record).with_details(&record);
        if let (Some(treatment), Some(declared)) = (&mut view.treatment, declared) {
            let options = &mut treatment.options;
            options.time_limit = options.time_limit.or(declared.time_limit);
            options.soft_limit = options.soft_limit.or(declared.soft_limit);
        }
        Some(view)
    }

    /// How a task of a partition that is owned here is declared, as far as this node knows.
    fn declared_options(&self, task: TaskId) -> Option<Options> {
        let record = self.owned(task.partition())?.record(task)?;
        self.declaration(&record.template.name).cloned()
    }

    fn show_as(
        &mut self,
        origin: Origin,
        task: TaskId,
        view: impl FnOnce(&Partition, TaskId) -> Option<Answer>,
    ) {
        let partition = task.partition();
        let answer = match self.owned(partition) {
            None => {
                let owner = self.owner_of(partition);
                Answer::Failed(RequestError::NotOwner { partition, owner })
            }
            Some(partition) => {
                view(partition, task).unwrap_or(Answer::Failed(RequestError::NotFound { task }))
            }
        };
        self.answer(origin, answer);
    }
}
