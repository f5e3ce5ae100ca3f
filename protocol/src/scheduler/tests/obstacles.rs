//! Why a task does not start that may: what has to do with nodes, and with its owner.

use super::lone_owner::{LoneOwner, PARTITION, batch, lessee, profile, task, template};
use crate::id::{Lessee, NodeId, TaskId};
use crate::job::{Job, JobName, Schedule, Source};
use crate::membership::{Condition, Liveness, Load};
use crate::partition::{JobChange, Precondition};
use crate::scheduler::Event;
use crate::task::{Batch, Obstacle, Template};
use crate::time::Span;
use crate::wire::{Answer, Ask, Declaration, ExecutorSays, Queue};

const FAR: NodeId = NodeId(2 << 96);

impl LoneOwner {
    fn why(&mut self, task: TaskId) -> Option<Obstacle> {
        let asked = self.ask(Ask::Show { task });
        let answers = self.answers(asked);
        let [Answer::View(view)] = answers[..] else { panic!("{answers:?}") };
        view.obstacle.clone()
    }

    /// Another node is there, which has a slot that it gives to nobody: it alone knows `far`, and serves `mail`.
    fn far_introduced(&mut self) {
        let mut profile = profile(1);
        // By name.
        let far = Declaration { name: "far".to_owned(), ..profile.tasks[0].clone() };
        profile.tasks.insert(1, far);
        profile.queues.push(Queue { name: "mail".to_owned(), pool: None, priority: None });
        let Lessee { node, incarnation, .. } = lessee(FAR);
        self.step(Event::Liveness { node, incarnation, liveness: Liveness::Alive });
        self.executor(ExecutorSays::Introduce { lessee: lessee(FAR), profile });
    }

    fn far_is(&mut self, liveness: Liveness) {
        let Lessee { node, incarnation, .. } = lessee(FAR);
        self.step(Event::Liveness { node, incarnation, liveness });
    }
}

/// The `n`th task, called `name`, in `queue`.
fn of(name: &str, queue: &str, n: u64) -> Batch {
    batch(Template { queue: queue.to_owned(), ..template(name) }, [task(n)])
}

#[test]
fn a_task_tells_that_those_who_knew_it_or_served_its_queue_are_gone() {
    let mut owner = LoneOwner::new(1);
    owner.far_introduced();
    owner.submit(of("far", "default", 1));
    owner.submit(of("add", "mail", 2));
    assert_eq!(
        [owner.why(task(1)), owner.why(task(2))],
        [Some(Obstacle::Slots), Some(Obstacle::Slots)]
    );
    owner.far_is(Liveness::Down);
    assert_eq!(owner.why(task(1)), Some(Obstacle::NobodyKnowsIt));
    assert_eq!(owner.why(task(2)), Some(Obstacle::NobodyServesItsQueue));
    owner.far_is(Liveness::Alive);
    owner.far_introduced();
    assert_eq!(
        [owner.why(task(1)), owner.why(task(2))],
        [Some(Obstacle::Slots), Some(Obstacle::Slots)]
    );
}

#[test]
fn a_task_tells_that_all_who_could_run_it_are_about_to_leave() {
    let mut owner = LoneOwner::new(1);
    owner.far_introduced();
    owner.submit(of("far", "default", 1));
    let load = Load { condition: Condition::Leaving, ..Load::default() };
    let Lessee { node, incarnation, .. } = lessee(FAR);
    owner.step(Event::Load { node, incarnation, load });
    assert_eq!(owner.why(task(1)), Some(Obstacle::Leaving));
}

#[test]
fn a_task_tells_that_its_owner_cannot_write() {
    let mut owner = LoneOwner::new(1);
    owner.submit(of("add", "default", 1));
    owner.submit(of("add", "default", 2));
    owner.disk_is_stuck = true;
    owner.submit(of("add", "default", 3));
    assert_eq!(owner.why(task(2)), Some(Obstacle::Owner));
    owner.settle();
    assert_eq!(owner.why(task(2)), Some(Obstacle::Slots));
}

#[test]
fn a_task_of_a_job_tells_that_no_node_is_one_that_the_job_selects() {
    let mut owner = LoneOwner::new(4);
    let names = (0..).map(|n| format!("job-{n}").parse::<JobName>().expect("a name"));
    let name = names.into_iter().find(|name| name.partition(2) == PARTITION).expect("there is one");
    let mut job = Job::new(Schedule::Every(Span::from_millis(1_000)), template("add"));
    job.select = "role=nobody".parse().expect("labels");
    let (job, source, precondition) = (Box::new(job), Source::Live, Precondition::Any);
    let change = JobChange::Define { job, source, precondition };
    owner.ask(Ask::ChangeJob { job: name, change });
    owner.pass(Span::from_millis(1_500));
    let fired: Vec<TaskId> = owner.partition().job_tasks().map(|(.., task)| task).collect();
    let [task] = fired[..] else { panic!("{fired:?}") };
    assert_eq!(owner.why(task), Some(Obstacle::NobodySelected(None)));
}
