//! A partition that is filled with the worst that there is still fits into a snapshot.
//!
//! The partitions here are small ones; how large their states can be is derived from their limits in
//! the same way as for a real one.

use proptest::prelude::*;

use super::history::logs;
use super::*;
use crate::limits::{
    BACKOFF_LIST_MAX, CRASHES_ALLOWED_MAX, DISPLAY_NAME_BYTES_MAX, HEADERS_MAX, LABEL_BYTES_MAX,
    NAME_BYTES_MAX, PartitionLimits, REDACT_MAX, RUNS_KEPT_CROWDED,
};
use crate::task::{FilledIn, Rate};

/// What an entry holds at most.
const ENTRY: usize = 8 * 1024;
const SMALL: PartitionLimits =
    PartitionLimits { tasks: 200, bytes: 60_000, finished_bytes: 20_000, stubs: 40 };

impl Owner {
    fn small() -> Self {
        let mut owner = Self::new();
        owner.partition.limits = SMALL;
        // As late in a long log as can be.
        owner.index = u64::MAX / 2;
        owner.term = u64::MAX / 2;
        owner.partition.order_next = u64::MAX / 2;
        owner.partition.tally.finish_next = u64::MAX / 2;
        owner
    }

    /// Writes an entry that is not too large, and looks at what it leaves.
    fn try_hard(&mut self, commands: Vec<Command>) {
        let proposal = Proposal::new(self.term, self.clock, commands);
        let bytes = proposal.to_bytes().len();
        assert!(bytes <= ENTRY, "an entry of {bytes} bytes");
        self.write(proposal.commands);
        assert_fits(&self.partition);
    }

    /// Takes in tasks until none is taken any more; how many were.
    fn fill(&mut self, args: usize, template: impl Fn(usize) -> Template) -> usize {
        self.fill_with(args, template, &Particulars::NONE)
    }

    /// The same with tasks of which this is said.
    fn fill_with(
        &mut self,
        args: usize,
        template: impl Fn(usize) -> Template,
        said: &Particulars,
    ) -> usize {
        for count in 0.. {
            // What is made in one millisecond is dropped together.
            self.wait(ms(1));
            let mut batch = batch(&[(self.id(), &template(count))]);
            batch.rows[0].args = vec![b'1'; args].into();
            batch.rows[0].particulars = said.clone().boxed();
            let before = self.partition.fill().open;
            self.try_hard(vec![Command::Accept { batch: Arc::new(batch), grants: Vec::new() }]);
            if self.partition.fill().open == before {
                return count;
            }
        }
        unreachable!("nothing is without end")
    }

    fn open_tasks(&self) -> Vec<TaskId> {
        let records = self.partition.records();
        records.filter(|(_, record)| !record.state().is_final()).map(|(id, _)| id).collect()
    }

    /// Leases all open tasks; their runs.
    fn lease_all(&mut self) -> Vec<(TaskId, Token)> {
        for tasks in self.open_tasks().chunks(100) {
            self.try_hard(vec![Command::Lease { lessee: worst(), tasks: tasks.to_vec() }]);
        }
        let leased = |(id, record): (TaskId, Look<'_>)| match record.phase() {
            Phase::Leased(lease) => Some((id, lease.token)),
            _ => None,
        };
        self.partition.records().filter_map(leased).collect()
    }
}

#[track_caller]
fn assert_fits(partition: &Partition) {
    let (weight, bytes) = (partition.fill().bytes, partition.to_bytes().len());
    assert!(weight <= partition.limits.weight_max(ENTRY), "{weight}: {:?}", partition.fill());
    let most = partition.limits.image_bytes_max(ENTRY);
    assert!(bytes <= most, "{bytes} bytes of {most}: {:?}", partition.fill());
}

/// An executor whose name takes most bytes.
fn worst() -> Lessee {
    let incarnation = Incarnation(u64::MAX);
    Lessee { node: NodeId(u128::MAX), incarnation, executor: u32::MAX }
}

/// No two are the same, and all are long.
fn apart(count: usize) -> Template {
    let name = |of: &str| format!("{of}{count:0width$}", width = NAME_BYTES_MAX - of.len());
    let options = Options {
        priority: Some(9),
        delay: Span::default(),
        attempts_max: Some(1_000),
        backoff_first: Some(Span::from_micros(u64::MAX / 8)),
        backoff_max: Some(Span::from_micros(u64::MAX / 4)),
        time_limit: Some(Span::from_micros(u64::MAX)),
        expires_at: Some(START + ms(u64::MAX >> 12)),
        expires: Some(Span::from_micros(u64::MAX / 8)),
        deadline: Some(Span::from_micros(u64::MAX / 8)),
        soft_limit: Some(Span::from_micros(u64::MAX)),
        backoff_list: Some(vec![Span::from_micros(u64::MAX / 8); BACKOFF_LIST_MAX]),
        crashes_max: Some(CRASHES_ALLOWED_MAX),
        at_most_once: Some(false),
        unique_scope: Some(UniqueScope::For(Span::from_micros(u64::MAX / 8))),
        unique_policy: Some(UniquePolicy::Refuse),
        concurrency: Some(u16::MAX),
        rate: Some(Rate { count: u32::MAX, per: Span::from_micros(u64::MAX) }),
        exclusive: Some(false),
        lost_after: Some(Span::from_micros(u64::MAX)),
        redact: None,
        retention: Some(Span::from_micros(u64::MAX / 8)),
        ignore_result: Some(false),
    };
    Template { name: name("n"), queue: name("q"), options, filled_in: FilledIn::default() }
}

fn often() -> Template {
    tried(1_000)
}

#[test]
fn tasks_of_which_each_is_another_are_counted_with_all_that_they_say() {
    let mut owner = Owner::small();
    let count = owner.fill(0, apart);
    assert!((50..70).contains(&count), "{count}");
    let bytes = owner.partition.to_bytes().len();
    assert!(bytes * 4 < SMALL.bytes * 3, "{bytes} bytes where {} are counted", SMALL.bytes);
}

#[test]
fn what_is_said_of_tasks_is_counted() {
    let mut full = Metadata {
        display_name: Some("x".repeat(DISPLAY_NAME_BYTES_MAX).into()),
        parent: Some(TaskId::new(START, PARTITION, u64::MAX)),
        root: Some(TaskId::new(START, PARTITION, u64::MAX)),
        ..Metadata::default()
    };
    let mut few = Metadata::default();
    few.labels.insert("a", "b").unwrap();
    for n in 0..HEADERS_MAX {
        let value = "v".repeat(LABEL_BYTES_MAX);
        full.labels.insert(&format!("{n:064}"), &value).unwrap();
        full.headers.insert(&format!("h{n}"), &value).unwrap();
    }
    let names = (0..REDACT_MAX).map(|n| format!("{n:064}").into()).collect();
    let hiding = with(Options { redact: Some(names), ..often().options });
    for said in [few, full] {
        let said = Particulars::NONE.with_metadata(said);
        let mut owner = Owner::small();
        let count = owner.fill_with(0, |_| hiding.clone(), &said);
        let bytes = owner.partition.to_bytes().len();
        assert!(bytes < owner.partition.fill().bytes, "{count} tasks are {bytes} bytes");
        owner.lease_all();
        assert_fits(&owner.partition);
    }
    let mut owner = Owner::small();
    let name = |n: usize, count: usize| format!("{n}{count:063}").into();
    let count = owner.fill(0, |count| {
        let names = (0..REDACT_MAX).map(|n| name(n, count)).collect();
        with(Options { redact: Some(names), ..often().options })
    });
    assert!((10..30).contains(&count), "{count}");
}

#[test]
fn tasks_that_run_again_and_again_do_not_outgrow_it() {
    for args in [0, 100, 2_000] {
        let mut owner = Owner::small();
        let count = owner.fill(args, |_| often());
        for round in 0..2 * RUNS_KEPT_MAX {
            let runs = owner.lease_all();
            assert_eq!(runs.len(), count, "round {round}");
            let release = |(task, token): &(TaskId, Token)| (*task, *token);
            for runs in runs.chunks(50) {
                let runs = runs.iter().map(release).collect();
                owner.try_hard(vec![Command::Release { runs }]);
            }
        }
        let records = || owner.partition.records().map(|(_, record)| record);
        assert!(records().all(|record| record.history.as_ref().unwrap().starts == 32));
        if args < 2_000 {
            let kept = |record: &Record| record.history.as_ref().unwrap().runs.len();
            assert!(records().all(|record| kept(&record) >= RUNS_KEPT_CROWDED));
            assert!(records().any(|record| kept(&record) == RUNS_KEPT_CROWDED));
        }
    }
}

#[test]
fn a_roomy_partition_remembers_all_runs() {
    let mut owner = Owner::small();
    let task = owner.submit(&often());
    for _ in 0..RUNS_KEPT_MAX {
        owner.crash(task, executor(1), Loss::Unheard);
        owner.order(Command::Pardon { lessee: executor(1) });
    }
    assert_eq!(owner.history(task).runs.len(), RUNS_KEPT_MAX);
}

#[test]
fn results_that_nobody_drops_do_not_outgrow_it() {
    let mut owner = Owner::small();
    let result = Bytes::from(vec![b'1'; 3_000]);
    let mut ended = 0;
    for _ in 0..4 {
        owner.fill(0, |_| often());
        let runs = owner.lease_all();
        for two in runs.chunks(2) {
            let report = |(task, token): &(TaskId, Token)| Report {
                task: *task,
                token: *token,
                outcome: Outcome::Succeeded(result.clone()),
            };
            let reports = two.iter().map(report).collect();
            owner.try_hard(vec![Command::Report { lessee: worst(), reports }]);
            // Who waits for them can be told.
            let told = |(task, _): &(TaskId, Token)| owner.partition.record(*task).is_some();
            assert!(two.iter().all(told));
        }
        ended += runs.len();
    }
    assert!(ended > 400);
    let fill = owner.partition.fill();
    assert!(fill.finished.total().tasks < 15, "{fill:?}");
    assert!(fill.stubs <= SMALL.stubs && fill.stubs > 0, "{fill:?}");
    // What was dropped is too old or known: it never runs again.
    assert!(owner.partition.dedup_floor > START);
}

#[test]
fn what_takes_most_room_gives_way() {
    let mut owner = Owner::small();
    let large = |owner: &mut Owner, outcome: Outcome| {
        let (task, token) = owner.run(&tried(1), worst());
        owner.report(worst(), task, token, outcome);
        owner.wait(ms(1));
        task
    };
    let failure = Failure::new(FailureKind::Permanent, "x".repeat(3_000));
    let dead = large(&mut owner, Outcome::Failed(failure));
    let cancelled = owner.submit(&plain());
    owner.cancel(cancelled);
    for _ in 0..50 {
        large(&mut owner, Outcome::Succeeded(Bytes::from(vec![b'1'; 3_000])));
    }
    assert_eq!((owner.state(dead), owner.state(cancelled)), (State::Dead, State::Cancelled));
    let fill = owner.partition.fill();
    assert!((3..8).contains(&fill.finished.succeeded.tasks), "{fill:?}");
}

#[test]
fn one_entry_that_ends_all_leaves_them_for_those_who_wait() {
    let mut owner = Owner::small();
    let count = owner.fill(50, |_| tried(1));
    owner.lease_all();
    for _ in 0..CRASHES_MAX {
        owner.try_hard(vec![Command::Lose { lessee: worst(), loss: Loss::Restarted, hold: ms(0) }]);
        owner.wait(CRASH_SPREAD);
        owner.lease_all();
    }
    let fill = owner.partition.fill();
    assert_eq!((fill.open, fill.finished.dead.tasks), (0, count), "all of them are dead");
    assert!(fill.finished.dead.bytes > 2 * SMALL.finished_bytes);
    // The next entry, whatever it is, cuts them down.
    owner.try_hard(Vec::new());
    let fill = owner.partition.fill();
    assert!(fill.finished.total().bytes <= SMALL.finished_bytes, "{fill:?}");
    assert!(fill.stubs <= SMALL.stubs);
}

#[test]
fn what_a_real_partition_can_be_fits() {
    let real = PartitionLimits::REAL;
    assert_eq!(Partition::new(PARTITION).limits, real);
    let bytes = Partition::from_bytes(&Partition::new(PARTITION).to_bytes()).unwrap();
    assert_eq!(bytes.limits, real);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_log_outgrows_it_and_replicas_agree(log in logs(), some in 1..9_usize) {
        let limits = PartitionLimits { tasks: 6, bytes: 2_500, finished_bytes: 1_500, stubs: 2 };
        let new = || Partition { limits, ..Partition::new(PARTITION) };
        let (mut first, mut second) = (new(), new());
        for (at, entry) in log.iter().enumerate() {
            let (mut changes, mut again) = (Vec::new(), Vec::new());
            first.apply(entry.index, entry.term, entry.proposal.clone(), &mut changes);
            assert_counted(&first);
            assert_fits(&first);
            prop_assert!(first.stubs.len() <= limits.stubs);
            if at % some == 0 {
                second = Partition { limits, ..Partition::from_bytes(&second.to_bytes()).unwrap() };
            }
            second.apply(entry.index, entry.term, entry.proposal.clone(), &mut again);
            prop_assert_eq!(changes, again, "entry {}", entry.index);
        }
        prop_assert!(first.to_bytes() == second.to_bytes());
    }
}
