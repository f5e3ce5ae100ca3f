//! Carrying out an entry.

use super::{Change, Command, Partition, Proposal};
use crate::id::Token;

impl Partition {
    /// Carries out `proposal`, which stands at `index` of the log and was written in `term`, and
    /// appends what came of it to `changes`.
    ///
    /// Every replica must call this for every entry, in order, exactly once. A proposal made in
    /// another term than it was written in has no effect: whoever made it had lost its partition.
    pub fn apply(&mut self, index: u64, term: u64, proposal: Proposal, changes: &mut Vec<Change>) {
        if proposal.term != term {
            return;
        }
        self.version = self.version.max(proposal.version);
        self.now = self.now.max(proposal.at);
        self.shown = proposal.shown.unwrap_or(self.now);
        self.cut_finished();
        self.uniques.pass(self.now);
        self.limited.pass(self.now);
        let mut tokens = Tokens { next: Token { term, index, position: 0 } };
        let mut accepts = 0;
        for command in proposal.commands {
            let told = changes.len();
            match command {
                Command::Accept { batch, grants } => {
                    self.accept(accepts, &batch, &grants, &mut tokens, changes);
                    accepts += 1;
                }
                Command::Lease { lessee, tasks } => {
                    self.lease(lessee, &tasks, &mut tokens, changes);
                }
                Command::Report { lessee, reports } => self.report(lessee, reports, changes),
                Command::Release { runs } => self.release(&runs, changes),
                Command::Lose { lessee, loss, hold } => self.lose(lessee, loss, hold, changes),
                Command::GiveUp { lessee, runs, hold } => {
                    self.give_up(lessee, &runs, hold, changes);
                }
                Command::Pardon { lessee } => self.pardon(lessee, changes),
                Command::Cancel { task } => self.cancel(task, changes),
                Command::Expire { tasks } => self.expire(&tasks, changes),
                Command::Forget { finished, floor } => self.forget(finished, floor),
                Command::Retry { task, id } => self.retry(task, id, changes),
                Command::Delete { task } => self.delete(task, changes),
                Command::Withdraw { task } => self.withdraw(task, changes),
                Command::ForgetTimed { tasks, until } => self.forget_timed(tasks, until),
                Command::ChangeJob { job, change } => self.change_job(index, &job, change, changes),
                Command::Fire(fire) => self.fire(*fire, changes),
                Command::RunNow(run) => self.run_now(&run, changes),
                Command::Alert(alert) => self.alert(&alert, changes),
                Command::NoteUnreported { job, tick } => {
                    self.note_unreported(&job, tick, changes);
                }
            }
            self.conclude_jobs(told, changes);
        }
    }
}

/// Hands out the tokens of an entry.
pub(super) struct Tokens {
    next: Token,
}

impl Tokens {
    pub(super) const fn take(&mut self) -> Token {
        let token = self.next;
        self.next.position += 1;
        token
    }
}
