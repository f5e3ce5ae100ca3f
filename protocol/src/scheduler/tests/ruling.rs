//! What the cluster's rules say of queues and of tasks by name is heeded.

use super::lone_owner::{LoneOwner, PARTITION, batch, lessee, profile, task, template};
use crate::id::{NodeId, TaskId};
use crate::job::{Labels, Target};
use crate::limits::Limits;
use crate::membership::Liveness;
use crate::meta::{Rule, RuleChange, Subject};
use crate::partition::Partition;
use crate::scheduler::Event;
use crate::task::{
    Batch, Failure, FailureKind, Obstacle, Outcome, Particulars, Rate, Record, State, Template,
};
use crate::time::Span;
use crate::wire::{Answer, Ask, ExecutorSays, Profile, RequestError};

const fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}

fn queue(name: &str) -> Subject {
    Subject::Queue(name.to_owned())
}

fn tasks(pattern: &str) -> Subject {
    Subject::Tasks(pattern.to_owned())
}

const FAR: NodeId = NodeId(2 << 96);

fn served(slots: u32) -> Profile {
    Profile { serves_all: true, ..profile(slots) }
}

/// The owner of the only partition, whose node serves all queues and has so many slots for all of them.
fn owner(slots: u32) -> LoneOwner {
    let mut owner = LoneOwner::one_of(1, &Partition::new(PARTITION), Limits::default());
    let lessee = owner.lessee();
    owner.executor(ExecutorSays::Introduce { lessee, profile: served(slots) });
    owner.grant_slots(slots);
    owner
}

fn of_queue(queue: &str, tasks: impl IntoIterator<Item = u64>) -> Batch {
    let template = Template { queue: queue.to_owned(), ..template("add") };
    batch(template, tasks.into_iter().map(task))
}

impl LoneOwner {
    fn says(&mut self, subject: Subject, rule: Rule) {
        let asked = self.ask(Ask::ChangeRule { subject, change: RuleChange::Say(rule) });
        assert_eq!(self.answers(asked), [&Answer::Done]);
    }

    fn clears(&mut self, subject: Subject) {
        let asked = self.ask(Ask::ChangeRule { subject, change: RuleChange::Clear });
        assert_eq!(self.answers(asked), [&Answer::Done]);
    }

    fn grant_slots(&mut self, slots: u32) {
        if slots > 0 {
            let lessee = self.lessee();
            self.executor(ExecutorSays::Grant { lessee, slots: vec![slots] });
        }
    }

    fn leased(&self) -> Vec<TaskId> {
        let leased = self.partition().records();
        let leased = leased.filter(|(_, record)| record.state() == State::Leased);
        leased.map(|(task, _)| task).collect()
    }

    /// A run succeeds, and its slot is this owner's again.
    fn succeeds(&mut self, task: TaskId) {
        let outcomes = vec![(task, self.token(task), Outcome::Succeeded("1".into()))];
        let lessee = self.lessee();
        self.executor(ExecutorSays::Outcomes { lessee, outcomes });
        self.grant_slots(1);
    }
}

fn paused(is_paused: bool) -> Rule {
    Rule { paused: Some(is_paused), ..Rule::default() }
}

fn at_once(most: u32) -> Rule {
    Rule { concurrency: Some(Some(most)), ..Rule::default() }
}

#[test]
fn what_is_paused_waits_and_is_in_nobodys_way() {
    let mut owner = owner(4);
    owner.says(queue("mail"), paused(true));
    owner.submit(of_queue("mail", 1..=6));
    assert_eq!(owner.leased(), []);
    owner.submit(of_queue("fast", 7..=8));
    assert_eq!(owner.leased(), [task(7), task(8)]);
    owner.says(queue("mail"), paused(false));
    assert_eq!(owner.leased(), [task(1), task(2), task(7), task(8)]);
    // What runs goes on, and nothing more begins.
    owner.says(tasks("a*"), paused(true));
    owner.succeeds(task(1));
    assert_eq!(owner.leased(), [task(2), task(7), task(8)]);
    owner.clears(tasks("a*"));
    assert_eq!(owner.leased(), [task(2), task(3), task(7), task(8)]);
}

#[test]
fn as_many_run_as_a_rule_allows_whatever_slots_there_are() {
    let mut owner = owner(16);
    owner.submit(of_queue("mail", [1]));
    owner.says(queue("mail"), at_once(2));
    owner.submit(of_queue("mail", 2..=6));
    // It has just asked for permits, and does not do so all the time.
    owner.pass(ms(10));
    assert_eq!(owner.leased(), [task(1), task(2)], "the one that had begun counts");
    owner.submit(of_queue("fast", 7..=9));
    assert_eq!(owner.leased().len(), 5);
    owner.succeeds(task(1));
    assert_eq!(owner.leased()[..2], [task(2), task(3)]);
    owner.says(queue("mail"), at_once(3));
    owner.pass(ms(1_000));
    assert_eq!(owner.leased()[..3], [task(2), task(3), task(4)]);
    owner.clears(queue("mail"));
    assert_eq!(owner.leased().len(), 8);
}

#[test]
fn word_of_a_run_that_was_lost_makes_no_room_beside_the_one_in_its_place() {
    let mut owner = owner(0);
    owner.says(queue("mail"), at_once(1));
    let far = lessee(FAR);
    owner.introduce(far, 0);
    owner.executor(ExecutorSays::Introduce { lessee: far, profile: served(1) });
    owner.executor(ExecutorSays::Grant { lessee: far, slots: vec![1] });
    owner.submit(of_queue("mail", [1, 2]));
    owner.pass(ms(10));
    let lost = owner.token(task(1));
    let (node, incarnation) = (FAR, far.incarnation);
    owner.step(Event::Liveness { node, incarnation, liveness: Liveness::Down });
    owner.grant_slots(4);
    owner.pass(ms(100));
    assert_eq!(owner.leased(), [task(1)]);
    assert_ne!(owner.token(task(1)), lost);
    owner.step(Event::Liveness { node, incarnation, liveness: Liveness::Alive });
    let failure = Failure::new(FailureKind::Error, "late");
    let outcomes = vec![(task(1), lost, Outcome::Failed(failure))];
    owner.executor(ExecutorSays::Outcomes { lessee: far, outcomes });
    owner.pass(ms(1_500));
    assert_eq!(owner.leased(), [task(1)], "it goes on");
    owner.succeeds(task(1));
    owner.pass(ms(10));
    assert_eq!(owner.leased(), [task(2)]);
}

#[test]
fn who_waits_for_permits_is_woken_now_and_then_only() {
    let mut owner = owner(4);
    owner.says(queue("mail"), at_once(1));
    owner.submit(of_queue("mail", 1..=3));
    // Something else has it look at what is missing just before it would ask again.
    for _ in 0..20 {
        owner.advance(ms(7));
        owner.step(Event::Due);
        owner.pass(ms(4));
    }
    owner.pass(ms(3_000));
    assert_eq!(owner.leased(), [task(1)]);
}

#[test]
fn no_more_begin_than_the_rate_of_a_rule() {
    let mut owner = owner(200);
    let rate: Rate = "20/s".parse().expect("a rate");
    owner.says(tasks("*"), Rule { rate: Some(Some(rate)), ..Rule::default() });
    owner.submit(of_queue("mail", 1..=200));
    // A limit that is new waits for what may have begun elsewhere.
    owner.pass(ms(2_400));
    assert_eq!(owner.leased(), []);
    owner.pass(ms(200));
    let before = owner.leased().len();
    owner.pass(ms(5_000));
    let begun = owner.leased().len() - before;
    assert!((97..=103).contains(&begun), "{begun} in five seconds");
}

#[test]
fn queues_with_weights_share_the_slots() {
    let mut owner = owner(0);
    owner.says(queue("heavy"), Rule { weight: Some(3), ..Rule::default() });
    owner.submit(of_queue("light", 1..=100));
    owner.submit(of_queue("heavy", 101..=200));
    for _ in 0..40 {
        owner.grant_slots(1);
    }
    let heavy = owner.leased().into_iter().filter(|leased| *leased > task(100)).count();
    assert_eq!((heavy, owner.leased().len()), (30, 40));
}

#[test]
fn a_queue_of_higher_rank_goes_first_whatever_else_waits() {
    let mut owner = owner(0);
    owner.says(queue("urgent"), Rule { rank: Some(1), ..Rule::default() });
    let mut first = of_queue("bulk", 1..=9);
    first.templates[0].options.priority = Some(9);
    owner.submit(first);
    owner.advance(ms(3_600_000));
    owner.submit(of_queue("urgent", 11..=13));
    for _ in 0..4 {
        owner.grant_slots(1);
    }
    assert_eq!(owner.leased(), [1, 11, 12, 13].map(task));
    // One that may not start is in nobody's way.
    owner.says(queue("urgent"), paused(true));
    owner.submit(of_queue("urgent", [14]));
    owner.grant_slots(1);
    assert_eq!(owner.leased(), [1, 2, 11, 12, 13].map(task));
}

#[test]
fn a_task_runs_only_where_it_may() {
    let mut owner = owner(8);
    let select = Some("role=db".parse::<Labels>().expect("labels"));
    owner.says(tasks("zip"), Rule { select, ..Rule::default() });
    owner.submit(batch(template("zip"), [task(1)]));
    assert_eq!(owner.leased(), [], "this node has no such label");
    let home = owner.lessee().node;
    let mut chosen = of_queue("default", 2..=5);
    let targets = [
        Target::Node(NodeId(9)),
        Target::Node(home),
        Target::Labels("role=db".parse().expect("labels")),
        Target::Anywhere,
    ];
    for (row, target) in chosen.rows.iter_mut().zip(targets) {
        row.particulars = Particulars { target, ..Particulars::NONE }.boxed();
    }
    owner.submit(chosen);
    assert_eq!(owner.leased(), [task(3), task(5)]);
    owner.clears(tasks("zip"));
    assert_eq!(owner.leased(), [task(1), task(3), task(5)]);
}

#[test]
fn tasks_go_where_the_rule_for_their_name_says() {
    let mut owner = owner(0);
    let routed =
        |queue: &str, priority| Rule { queue: Some(queue.to_owned()), priority, ..Rule::default() };
    owner.says(tasks("*"), routed("rest", Some(2)));
    owner.says(tasks("ad*"), routed("sums", None));
    let unsaid = Template { queue: String::new(), ..template("add") };
    owner.submit(batch(unsaid, [task(1)]));
    owner.submit(of_queue("own", [2]));
    let of = |owner: &LoneOwner, n| {
        let template = &owner.record(task(n)).expect("it is there").template;
        (template.queue.clone(), template.options.priority)
    };
    assert_eq!(of(&owner, 1), ("sums".to_owned(), Some(2)));
    assert_eq!(of(&owner, 2), ("own".to_owned(), Some(2)), "what is said counts more");
}

#[test]
fn queues_are_listed_with_what_is_in_them() {
    let mut owner = owner(2);
    owner.says(queue("quiet"), paused(true));
    owner.submit(of_queue("mail", 1..=5));
    let mut late = of_queue("mail", 6..=8);
    late.templates[0].options.delay = ms(60_000);
    owner.submit(late);
    owner.succeeds(task(1));
    owner.advance(ms(3_000));
    let asked = owner.ask(Ask::Queues);
    let [Answer::Queues { queues, rules, partitions_missing: 0, .. }] = owner.answers(asked)[..]
    else {
        panic!("{:?}", owner.answers(asked));
    };
    let names: Vec<&str> = queues.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, ["mail", "quiet"]);
    let mail = &queues[0];
    assert_eq!((mail.ready, mail.scheduled, mail.running), (2, 3, 2));
    assert_eq!((mail.begun, mail.ended), (3, 1));
    assert!(mail.oldest >= Some(ms(3_000)), "{mail:?}");
    assert!(rules.of(&queue("quiet")).is_paused());
}

#[test]
fn a_task_that_waits_says_why() {
    let mut owner = owner(1);
    let why = |owner: &mut LoneOwner, n| {
        let asked = owner.ask(Ask::Show { task: task(n) });
        let answers = owner.answers(asked);
        let [Answer::View(view)] = answers[..] else { panic!("{answers:?}") };
        view.obstacle.clone()
    };
    owner.submit(of_queue("mail", 1..=2));
    assert_eq!(owner.leased(), [task(1)]);
    assert_eq!(why(&mut owner, 2), Some(Obstacle::Slots));
    owner.says(queue("mail"), paused(true));
    let told = why(&mut owner, 2).expect("it waits");
    assert_eq!(told, Obstacle::Paused(queue("mail")));
    assert_eq!(told.to_string(), "queue mail is paused");
    owner.clears(queue("mail"));
    owner.says(queue("mail"), at_once(1));
    assert_eq!(why(&mut owner, 2), Some(Obstacle::Limited(queue("mail"))));
    owner.clears(queue("mail"));
    let target = Target::Node(NodeId(9));
    let mut elsewhere = of_queue("mail", [3]);
    elsewhere.rows[0].particulars = Particulars { target, ..Particulars::NONE }.boxed();
    owner.submit(elsewhere);
    assert_eq!(why(&mut owner, 3), Some(Obstacle::NobodySelected(None)));
    let select = Some("role=web".parse().unwrap());
    owner.says(queue("mail"), Rule { select, ..Rule::default() });
    let told = why(&mut owner, 2).expect("it waits");
    assert_eq!(told, Obstacle::NobodySelected(Some(queue("mail"))));
    assert!(told.to_string().contains("the rule for queue mail"), "{told}");
    // It is to run elsewhere anyhow.
    assert_eq!(why(&mut owner, 3), Some(Obstacle::NobodySelected(None)));
    owner.clears(queue("mail"));
    let mut late = of_queue("mail", [4]);
    late.templates[0].options.delay = ms(60_000);
    owner.submit(late);
    assert_eq!(why(&mut owner, 4), None, "its time has not come");
}

#[test]
fn a_task_is_shown_with_the_time_limits_that_it_is_declared_with() {
    let mut owner = owner(0);
    let lessee = owner.lessee();
    let mut profile = Profile { serves_all: true, ..profile(0) };
    for declared in &mut profile.tasks {
        declared.options.time_limit = Some(ms(30_000));
    }
    owner.executor(ExecutorSays::Introduce { lessee, profile });
    let mut own = of_queue("mail", [2]);
    own.templates[0].options.time_limit = Some(ms(9_000));
    owner.submit(of_queue("mail", [1]));
    owner.submit(own);
    for (n, limit) in [(1, ms(30_000)), (2, ms(9_000))] {
        let asked = owner.ask(Ask::Show { task: task(n) });
        let answers = owner.answers(asked);
        let [Answer::View(view)] = answers[..] else { panic!("{answers:?}") };
        let treatment = view.treatment.as_ref().expect("it is shown by itself");
        assert_eq!(treatment.options.time_limit, Some(limit));
    }
}

#[test]
fn a_task_of_a_limit_key_says_that_this_keeps_it() {
    let mut owner = owner(9);
    let mut limited = of_queue("mail", 1..=2);
    limited.templates[0].options.concurrency = Some(1);
    for row in &mut limited.rows {
        let limit_key = Some("account".into());
        row.particulars = Particulars { limit_key, ..Particulars::NONE }.boxed();
    }
    owner.submit(limited);
    assert_eq!(owner.leased(), [task(1)]);
    let asked = owner.ask(Ask::Show { task: task(2) });
    let answers = owner.answers(asked);
    let [Answer::View(view)] = answers[..] else { panic!("{answers:?}") };
    assert_eq!(view.obstacle, Some(Obstacle::KeyLimited));
}

#[test]
fn a_rule_that_cannot_be_meant_changes_nothing() {
    let mut owner = owner(1);
    let rule = Rule { weight: Some(0), ..Rule::default() };
    let asked = owner.ask(Ask::ChangeRule { subject: queue("a"), change: RuleChange::Say(rule) });
    let answers = owner.answers(asked);
    let [Answer::Failed(RequestError::Rule(why))] = answers[..] else { panic!("{answers:?}") };
    assert_eq!(why.to_string(), "weight must be 1 to 1000");
    owner.submit(of_queue("a", [1]));
    assert_eq!(owner.record(task(1)).map(Record::state), Some(State::Leased));
}
