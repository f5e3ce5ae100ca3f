//! Clients: they submit, ask, wait and cancel at random nodes, and try again until they are told.

use std::collections::BTreeSet;
use std::sync::Arc;

use umbel_protocol::id::{PartitionId, TaskId};
use umbel_protocol::partition::Refusal;
use umbel_protocol::scheduler::{Caller, Event};
use umbel_protocol::task::{Batch, Row};
use umbel_protocol::time::Span;
use umbel_protocol::wire::{Answer, Ask, Request, RequestError};

use crate::host::Local;
use crate::invariants::finished_stays;
use crate::plan::{MS, SECOND, Sabotage};
use crate::work::{Script, draw_template};
use crate::world::{What, World};

/// All clients together.
#[derive(Debug, Default)]
pub struct Clients {
    ops: Vec<Op>,
    marks: u64,
    acknowledged: Vec<TaskId>,
}

#[derive(Debug)]
struct Op {
    kind: Kind,
    attempt: u64,
    /// Whether a submission was acknowledged.
    acknowledged: bool,
    done: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    Cancel(TaskId),
    List,
    Show(TaskId),
    Submit { batch: Arc<Batch>, marks: Vec<u64>, wait: bool },
    Wait(TaskId),
}

impl Clients {
    /// What is not answered yet, if anything.
    #[must_use]
    pub fn open(&self) -> Option<String> {
        let open = self.ops.iter().enumerate().find(|(_, op)| !op.done);
        open.map(|(place, op)| {
            let what = match &op.kind {
                Kind::Submit { marks, wait, .. } => {
                    format!("submission of #{marks:?} (wait: {wait}, {})", op.acknowledged)
                }
                Kind::Cancel(_) | Kind::List | Kind::Show(_) | Kind::Wait(_) => {
                    format!("{:?}", op.kind)
                }
            };
            format!("operation {place} is open after {} tries: {what}", op.attempt)
        })
    }
}

impl World {
    /// Spreads the workload over the storm and a little after.
    pub fn plan_work(&mut self) {
        for _ in 0..self.plan.submissions {
            let at = self.now + self.between(SECOND, self.plan.storm + 2 * SECOND);
            let rows = self.between(1, u64::from(self.plan.batch_max));
            let partition = PartitionId(
                u16::try_from(self.between(0, u64::from(self.plan.partitions) - 1))
                    .expect("few partitions"),
            );
            let wall = self.hosts[0].wall(at);
            let templates =
                (0..self.between(1, 2)).map(|_| draw_template(wall, &mut self.rng)).collect();
            let mut batch = Batch { templates, rows: Vec::new() };
            let mut marks = Vec::new();
            for _ in 0..rows {
                self.clients.marks += 1;
                let script = Script::draw(self.clients.marks, &mut self.rng);
                let id = TaskId::new(wall, partition, self.random());
                let last = batch.templates.len() as u64 - 1;
                let template = u16::try_from(self.between(0, last)).expect("few templates");
                batch.rows.push(Row { id, template, args: script.to_args() });
                self.ledger.tasks.entry(script.mark).or_default().ids.push(id);
                marks.push(script.mark);
            }
            let wait = self.flip(0.3);
            let batch = Arc::new(batch);
            self.begin(at, Kind::Submit { batch, marks, wait });
        }
    }

    fn begin(&mut self, at: u64, kind: Kind) {
        let op = self.clients.ops.len() as u64;
        self.clients.ops.push(Op { kind, attempt: 0, acknowledged: false, done: false });
        self.push(at, What::Try(op));
    }

    fn op(&mut self, op: u64) -> &mut Op {
        &mut self.clients.ops[usize::try_from(op).expect("it was counted")]
    }

    /// A client asks some node.
    pub fn try_op(&mut self, op: u64) {
        if self.op(op).done || self.op(op).acknowledged {
            return;
        }
        self.op(op).attempt += 1;
        let attempt = self.op(op).attempt;
        if self.plan.sabotage == Some(Sabotage::NoDedup) && attempt > 1 {
            self.rename(op);
        }
        let host = usize::try_from(self.random() % self.hosts.len() as u64).expect("few hosts");
        if self.hosts[host].process.is_none() {
            return self.try_later(op);
        }
        let ask = match self.op(op).kind.clone() {
            Kind::Cancel(task) => Ask::Cancel { task },
            Kind::List => Ask::List { state: None, queue: None, limit: 100 },
            Kind::Show(task) => Ask::Show { task },
            Kind::Submit { batch, wait, .. } => Ask::Submit { batch, wait },
            Kind::Wait(task) => Ask::Wait { task },
        };
        let deadline = self.between(SECOND, 6 * SECOND);
        let caller = Caller { session: op, request: attempt };
        let request = Request { deadline: Span::from_micros(deadline), ask };
        self.local(host, Local::Scheduler(Event::Asked { caller, request }));
        // Long enough for a process that stands still, not for one that is gone.
        self.push(self.now + deadline + 2 * SECOND, What::Timeout(op, attempt));
    }

    fn try_later(&mut self, op: u64) {
        let at = self.now + self.between(50 * MS, SECOND);
        self.push(at, What::Try(op));
    }

    /// The submission is tried again as if it were another one.
    fn rename(&mut self, op: u64) {
        let random = self.random();
        let Kind::Submit { batch, marks, .. } = &mut self.op(op).kind else {
            return;
        };
        let mut renamed = (**batch).clone();
        for (place, row) in renamed.rows.iter_mut().enumerate() {
            row.id = TaskId::new(row.id.made_at(), row.id.partition(), random ^ place as u64);
        }
        let marks = marks.clone();
        *batch = Arc::new(renamed.clone());
        for (mark, row) in marks.iter().zip(&renamed.rows) {
            self.ledger.tasks.entry(*mark).or_default().ids.push(row.id);
        }
    }

    /// Nobody has answered in time: the connection or the node is gone.
    pub fn timed_out(&mut self, op: u64, attempt: u64) {
        let one = self.op(op);
        if one.done || one.attempt != attempt {
            return;
        }
        if one.acknowledged {
            // It only waited for the end.
            one.done = true;
            return;
        }
        self.try_later(op);
    }

    /// A client is answered, perhaps late.
    pub fn answered(&mut self, op: u64, answer: Answer) {
        self.trace(|| format!("operation {op} is answered {}", brief(&answer)));
        if let Answer::Failed(error) = &answer
            && !matches!(error, RequestError::Unknown | RequestError::Forming { .. })
        {
            self.trace(|| format!("operation {op}: {error}"));
        }
        let kind = self.op(op).kind.clone();
        match (kind, answer) {
            (Kind::Submit { batch, marks, wait }, Answer::Submitted { refused, .. }) => {
                self.submitted(op, &batch, &marks, wait, &refused);
            }
            (Kind::Submit { .. }, Answer::Finished(endings)) => {
                for ending in endings {
                    let result = ending.result.map(|result| result.to_vec());
                    finished_stays::told(self, ending.task, ending.state, result);
                }
                self.op(op).done = true;
            }
            (Kind::Submit { .. }, Answer::Failed(_)) if self.op(op).acknowledged => {
                self.op(op).done = true;
            }
            (kind, Answer::View(view)) => {
                if view.state.is_final() {
                    let result = view.result.map(|result| result.to_vec());
                    finished_stays::told(self, view.id, view.state, result);
                } else if matches!(kind, Kind::Wait(_)) {
                    self.violate(format!(
                        "a wait for {} ends while it is {:?}",
                        view.id, view.state
                    ));
                }
                if let Kind::Cancel(task) = kind
                    && let Some(mark) = self.ledger.mark_of(task)
                {
                    self.ledger.tasks.entry(mark).or_default().cancelled = true;
                }
                self.op(op).done = true;
            }
            (Kind::Show(task) | Kind::Wait(task) | Kind::Cancel(task), Answer::Failed(error)) => {
                self.failed(op, task, &error);
            }
            (Kind::List, _) => self.op(op).done = true,
            (Kind::Submit { .. }, Answer::Failed(_)) => {
                if !self.op(op).done {
                    self.try_later(op);
                }
            }
            (kind, answer) => self.violate(format!("{kind:?} is answered {}", brief(&answer))),
        }
    }

    fn failed(&mut self, op: u64, task: TaskId, error: &RequestError) {
        if matches!(error, RequestError::NotFound { .. }) {
            return self.violate(format!("{task} was acknowledged and is not found"));
        }
        if !self.op(op).done {
            self.try_later(op);
        }
    }

    fn submitted(
        &mut self,
        op: u64,
        batch: &Batch,
        marks: &[u64],
        wait: bool,
        refused: &[(u32, Refusal)],
    ) {
        self.progress_at = self.now;
        if let Some((_, refusal)) = refused.first() {
            return self.violate(format!("a submission is refused: {refusal}"));
        }
        let first = !std::mem::replace(&mut self.op(op).acknowledged, true);
        if !wait {
            self.op(op).done = true;
        }
        if !first {
            return;
        }
        let mut seen = BTreeSet::new();
        for (mark, row) in marks.iter().zip(&batch.rows) {
            let log = self.ledger.tasks.entry(*mark).or_default();
            log.acknowledged.get_or_insert(row.id);
            seen.insert(row.id);
            self.clients.acknowledged.push(row.id);
        }
        for task in seen {
            let at = self.now + self.between(0, 3 * SECOND);
            match self.between(0, 19) {
                0 => self.begin(at, Kind::Cancel(task)),
                1 => self.begin(at, Kind::Show(task)),
                2 => self.begin(at, Kind::Wait(task)),
                3 if self.flip(0.2) => self.begin(at, Kind::List),
                _ => {}
            }
        }
    }
}

fn brief(answer: &Answer) -> String {
    match answer {
        Answer::Failed(error) => format!("{error:?}").chars().take(80).collect(),
        Answer::Finished(endings) => format!("finished: {}", endings.len()),
        Answer::Submitted { refused, known } => {
            format!("submitted, {} refused, {known} known", refused.len())
        }
        Answer::View(view) => format!("{:?}", view.state),
        Answer::Status(_) | Answer::Tasks { .. } | Answer::Waiting | Answer::Welcome(_) => {
            "at length".to_owned()
        }
    }
}
