//! The limits that more than one part has to know, each with its reason. Those of one part alone stand with it.
//!
//! A limit is answered with a typed error by whoever meets it first; nothing in umbel grows without
//! one. Values that depend on each other are derived from each other and checked below.
//!
//! **Some are part of the log's meaning**: every replica applies them, and replicas that apply an
//! entry under other values are not replicas any more. [`PARTITION_BYTES_MAX`],
//! [`PARTITION_TASKS_MAX`], [`PARTITION_FAILURES_BYTES_MAX`], [`PARTITION_FINISHED_BYTES_MAX`],
//! [`PARTITION_STUBS_MAX`],
//! [`ID_AHEAD_MAX`], [`DELAY_MAX`], [`CRASHES_MAX`], [`RUN_ERROR_BYTES_MAX`], [`UNIQUES_KEPT_MAX`], [`RUNS_KEPT_MAX`], [`RUNS_KEPT_CROWDED`], [`DETAIL_BYTES_MAX`],
//! [`ATTEMPTS_DEFAULT`], [`BACKOFF_FIRST_DEFAULT`] and [`BACKOFF_MAX_DEFAULT`] are, and so is what
//! a [record](crate::task::Record::weight) or a [job](crate::job::Job::weight) weighs; of jobs,
//! [`JOBS_MAX`], [`JOBS_BYTES_MAX`], [`JOB_TASKS_MAX`], [`JOB_TASKS_BYTES_MAX`], [`JOB_OPEN_MAX`],
//! [`EXPIRES_ON_NODE`], [`NOTICES_MAX`], [`NOTICE_NODES_MAX`], [`ALERTS_OPEN_MAX`],
//! [`REPORTS_AWAITED_MAX`], [`TICKS_KEPT_MAX`], [`TICK_RUNS_KEPT_MAX`], [`TICK_RUNS_KEPT_CROWDED`] and
//! [`TICK_OUTPUT_BYTES_MAX`] are. They stay as they are for as long as there are logs that were written
//! under them; another value is another command, which says so. All others are for an owner or a node
//! to decide, and may differ between nodes.

use crate::partition::{Room, Shelves};
use crate::task::{
    FAILURE_WEIGHT, HISTORY_WEIGHT, LEASE_WEIGHT, RECORD_WEIGHT, RUN_WEIGHT, STUB_WEIGHT,
    TEMPLATE_WEIGHT,
};
use crate::time::Span;

/// Most partitions of a cluster: the id of a task has ten bits for it.
pub const PARTITIONS_MAX: u16 = 1024;
/// Partitions of a cluster that does not say otherwise: enough to spread over tens of nodes, few
/// enough that their idle cost stays invisible.
pub const PARTITIONS_DEFAULT: u16 = 256;
/// Copies of a partition that a cluster keeps if it does not say otherwise.
pub const REPLICAS_DEFAULT: u8 = 3;
/// Most copies of a partition: a majority of seven survives three losses, more only adds latency.
pub const REPLICAS_MAX: u8 = 7;
/// Most voters of the meta group.
pub const META_VOTERS_MAX: usize = 5;
/// Most members of a cluster: what the simulated membership has been shown to carry.
pub const MEMBERS_MAX: usize = 1024;
/// Most forgotten members that a cluster remembers, so that they are told when they come back: as
/// many as it may have. One that comes back later joins as if it had never been there.
pub const FORGOTTEN_MAX: usize = MEMBERS_MAX;

/// Longest task, queue, node or cluster name in bytes: it fits a label, a file name and a metric.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest key of a task in bytes: as much as anybody can still compare by eye.
pub const KEY_BYTES_MAX: usize = 256;
/// Most labels of a node or a task, or of a selection among them: more than anybody tells apart.
pub const LABELS_MAX: usize = 32;
/// Longest key or value of a label in bytes: it fits a column, a metric and a file name.
pub const LABEL_BYTES_MAX: usize = 64;
/// Most headers of a task.
pub const HEADERS_MAX: usize = 32;
/// Longest name of a header in bytes: its prefix and it still fit one of HTTP, and a variable.
pub const HEADER_NAME_BYTES_MAX: usize = 64;
/// Bytes of the names and values of all headers of a task: with those of a web service's own they stay
/// below the 8 KiB that most servers take.
pub const HEADERS_BYTES_MAX: usize = 4 * 1024;
/// Longest display name of a task in bytes: as much as a line of a list has room for.
pub const DISPLAY_NAME_BYTES_MAX: usize = 128;
/// Longest `tracestate` in bytes: what all who pass one on have to keep.
pub const TRACESTATE_BYTES_MAX: usize = 512;
/// Most members of a `tracestate`, as its specification says.
pub const TRACESTATE_MEMBERS_MAX: usize = 32;
/// Most names of arguments that are not shown; whoever has more hides all of them.
pub const REDACT_MAX: usize = 16;
/// Longest of those names in bytes: that of a field, which people write.
pub const REDACT_NAME_BYTES_MAX: usize = 64;
/// Unique keys that a partition keeps for a time, whatever becomes of their tasks; beyond it tasks that ask
/// for that are refused.
pub const UNIQUES_KEPT_MAX: usize = 16_384;
/// Limit keys whose rates a partition keeps to at a time; beyond it tasks of others wait until what has begun
/// of one of them is made up for.
pub const RATED_KEYS_MAX: usize = 16_384;
/// The least that a task can ask to be waited for when its executor is not heard of: a few beats of that.
pub const LOST_AFTER_MIN: Span = Span::from_millis(5_000);
/// The most.
pub const LOST_AFTER_MAX: Span = Span::from_millis(24 * 3_600_000);
/// After so long an executor ends a run that must not overlap with others if its owner is silent, unless its
/// task says otherwise: some beats may be lost, and a takeover takes less.
pub const EXCLUSIVE_LOST_AFTER: Span = Span::from_millis(15_000);
/// How long it may take to end a run from then on: its processes are killed, its code is dropped.
pub const GUARD_GRACE: Span = Span::from_millis(2_000);
/// Most runs of a key at a time that a task can ask for. What is to be limited to more needs no limit.
pub const CONCURRENCY_MAX: u16 = 10_000;
/// Most runs in a second that a rate can ask for: a partition begins hardly more.
pub const RATE_PER_SECOND_MAX: u32 = 10_000;
/// Most runs at a time that a rule can allow a queue, or tasks of a name: more than a cluster has slots.
pub const PERMITS_MAX: u32 = 1_000_000;
/// Largest weight of a queue or a tenant: of two that are further apart the lesser one would hardly be seen.
pub const WEIGHT_MAX: u16 = 1_000;
/// Most queues, and tasks by name, of which people say something, and as many of which the file does: all of
/// it goes to every member whenever any of it changes.
pub const RULES_MAX: usize = 1_024;
/// Bytes of all rules of one of the two sources: those of both, and all members, fit into a frame.
pub const RULES_BYTES_MAX: usize = 512 * 1024;
/// Most queues that a listing has: all of them fit into a frame.
pub const QUEUES_LISTED_MAX: usize = 4_096;
/// Longest time of a rate.
pub const RATE_PER_MAX: Span = DELAY_MAX;
/// Longest cron expression in bytes: no schedule that somebody can still read needs more, and what is
/// wrong with one is shown below it.
pub const CRON_BYTES_MAX: usize = 256;
/// Largest arguments of one task.
pub const ARGS_BYTES_MAX: usize = 1024 * 1024;
/// Largest result (or error text) of one task; longer ones end the run as an error.
pub const RESULT_BYTES_MAX: usize = 1024 * 1024;
/// Most of an error message that a record keeps.
pub const ERROR_BYTES_MAX: usize = 8 * 1024;
/// Most that a failure carries as data besides its message: enough of what a program printed to see
/// why it failed, a quarter of a result because that of each attempt passes the log, though only the
/// last is kept.
pub const DETAIL_BYTES_MAX: usize = RESULT_BYTES_MAX / 4;
/// Most output that a command run captures, for each of stdout and stderr.
pub const CAPTURE_BYTES_MAX: usize = 256 * 1024;
/// Longest line that a run says of itself, in bytes: as much as anybody reads. Longer ones are cut.
pub const LINE_BYTES_MAX: usize = 4 * 1024;
/// Lines of a run that its node keeps for those who watch: a second of somebody who talks much, or an
/// hour of somebody who does not.
pub const JOURNAL_LINES_MAX: usize = 1_024;
/// Bytes of those lines: a hundred runs that talk at a time are not to be felt. All that is kept of one run
/// fits into one message.
pub const JOURNAL_BYTES_MAX: usize = 128 * 1024;
/// Bytes of the lines of all runs of a node: beyond it those that talk keep less each.
pub const JOURNALS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The last lines of a run that are shown with its task: a screen has room for them.
pub const JOURNAL_TAIL_LINES: usize = 20;
/// Longest text on what a run is at, in bytes: it stands beside a bar.
pub const PROGRESS_MESSAGE_BYTES_MAX: usize = 256;
/// A run is told of once in so long at the most, whatever it says meanwhile: nobody reads faster.
pub const NEWS_EVERY: Span = Span::from_millis(100);
/// Bytes of what runs said last that an owner keeps for those who watched them, and ask on in a moment.
pub const LAST_WORDS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most tasks of one submission: larger ones are cut by the client.
pub const BATCH_TASKS_MAX: usize = 4096;
/// Most bytes of one submission: arguments, ids, and what its tasks have in common.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Starts of a task that its record remembers; older ones only count.
pub const RUNS_KEPT_MAX: usize = 16;
/// The same while the partition holds more bytes than it takes in: what tasks go through must not
/// make it grow without end.
pub const RUNS_KEPT_CROWDED: usize = 1;
/// Attempts of a task unless its policy says otherwise.
pub const ATTEMPTS_DEFAULT: u16 = 3;
/// After so long a task that waits counts as if its priority were one higher, and so on: of two that are
/// one step apart the lesser one waits a minute longer, at the most.
pub const AGING: Span = Span::from_millis(60_000);
/// Most attempts that a policy may ask for.
pub const ATTEMPTS_MAX: u16 = 1000;
/// Most pauses that a policy may list one by one: more than anybody writes by hand.
pub const BACKOFF_LIST_MAX: usize = 32;
/// First pause before a retry; it doubles with each failure.
pub const BACKOFF_FIRST_DEFAULT: Span = Span::from_millis(1_000);
/// Longest pause before a retry.
pub const BACKOFF_MAX_DEFAULT: Span = Span::from_millis(600_000);
/// Lost runs after which a task is dead unless its policy says otherwise: one more would take another
/// node with it.
pub const CRASHES_MAX: u16 = 3;
/// Most lost runs that a policy may allow: so many are remembered, and those in doubt are among them.
pub const CRASHES_ALLOWED_MAX: u16 = 16;
/// Most that is remembered of why a run failed, besides the [whole](ERROR_BYTES_MAX) of the last.
pub const RUN_ERROR_BYTES_MAX: usize = 256;
/// Within how long tasks that have one crash left come back, each at a time of its own. One that kills
/// its node takes along whatever runs beside it; those must not come back beside it once more.
pub const CRASH_SPREAD: Span = Span::from_millis(10_000);
/// How long a task whose last losses are unexplained is held before it is given up: a node that was
/// only cut off may come back and show that it did not crash.
pub const CRASH_HOLD: Span = Span::from_millis(600_000);
/// Longest delay of a task.
pub const DELAY_MAX: Span = Span::from_millis(366 * 24 * 3600 * 1000);

/// One frame on a work or consensus stream: a full batch, and as much again of what was gathered
/// with it.
pub const FRAME_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;
/// Dispatches, outcomes and reports that are gathered into one message: beyond it another begins.
/// One of them alone may be larger than that by its arguments or result.
pub const GATHERED_BYTES_MAX: usize = 1024 * 1024;
/// One entry of a log. It travels alone if need be, so it fits into a frame with what is said around
/// it: an entry that does not would be sent again for ever, and its group would stand still.
pub const ENTRY_BYTES_MAX: usize = FRAME_BYTES_MAX - 64 * 1024;
/// One snapshot on a bulk stream: all that a partition may hold, and what is said around it. What a
/// partition holds is bounded so that it always fits; see `PartitionLimits::image_bytes_max`.
pub const SNAPSHOT_BYTES_MAX: usize = PartitionLimits::REAL.image_bytes_max(ENTRY_BYTES_MAX)
    + JOBS_IMAGE_BYTES_MAX
    + UNIQUES_IMAGE_BYTES_MAX
    + LIMITED_IMAGE_BYTES_MAX
    + 64 * 1024;
/// One gossip datagram: what every QUIC path carries.
pub const DATAGRAM_BYTES_MAX: usize = 1_150;

/// Most live bytes (records, results) of one partition; beyond it submissions are `Overloaded`.
pub const PARTITION_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Most bytes that a partition keeps of why unfinished tasks failed last: all of a partition may
/// fail over and over, and that must not take the room that is for tasks. Half of it is for messages
/// alone, details give way first.
pub const PARTITION_FAILURES_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Most unfinished tasks of one partition.
pub const PARTITION_TASKS_MAX: usize = 1_000_000;
/// Most bytes of finished records of one partition. Its owner has it forget long before; this is for
/// an owner that does not keep pace, since outcomes are never refused.
pub const PARTITION_FINISHED_BYTES_MAX: usize = 4 * FINISHED_BYTES_MAX;
/// Most stubs of one partition, in the same way.
pub const PARTITION_STUBS_MAX: usize = 4 * STUBS_MAX;
/// Most jobs of one partition: a million in a cluster of the usual kind.
pub const JOBS_MAX: usize = 4_096;
/// Bytes of the jobs of one partition, definitions and histories: beyond it no more are defined, and
/// beyond half of it only the last tick of each is remembered.
pub const JOBS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Tasks of jobs of one partition that have not ended: beyond it ticks wait.
pub const JOB_TASKS_MAX: usize = 65_536;
/// Bytes that those are counted as, with the labels that they ask for.
pub const JOB_TASKS_BYTES_MAX: usize = JOB_TASKS_MAX * 256;
/// Tasks of one job that have not ended: beyond it its ticks are skipped, whatever its overlap rule, so
/// that one job whose tasks hang does not take the room of all others. Four for each member.
pub const JOB_OPEN_MAX: usize = 4_096;
/// After so long the run of a tick on one node is given up if it has not started, unless its job says
/// otherwise: a node that is down for longer has missed it.
pub const EXPIRES_ON_NODE: Span = Span::from_millis(600_000);
/// Most that waits to be told of one job: its owner tells it within a round, if there is room for the
/// tasks that do.
pub const NOTICES_MAX: usize = 8;
/// Nodes that one of those names.
pub const NOTICE_NODES_MAX: usize = 10;
/// Tasks that tell of one job and have not ended: beyond it what there is to tell waits, so that an alert
/// that nobody can run does not fill the partition.
pub const ALERTS_OPEN_MAX: usize = 16;
/// Ticks of one job whose reports are awaited: beyond it the oldest is not watched any more.
pub const REPORTS_AWAITED_MAX: usize = 256;
/// Largest arguments of a job: each of its tasks has a copy.
pub const JOB_ARGS_BYTES_MAX: usize = 64 * 1024;
/// Most of the command of a job that is told of.
pub const JOB_COMMAND_BYTES_MAX: usize = 512;
/// Most late ticks of a job that are fired at once.
pub const MISFIRES_MAX: u16 = 100;
/// Ticks of a job that are remembered.
pub const TICKS_KEPT_MAX: usize = 20;
/// Runs of those ticks that are remembered: one for each member, of the last tick at least.
pub const TICK_RUNS_KEPT_MAX: usize = 1_024;
/// The same where there is little room.
pub const TICK_RUNS_KEPT_CROWDED: usize = 16;
/// Most that is remembered of what a run of a job printed.
pub const TICK_OUTPUT_BYTES_MAX: usize = 256;
/// Most bytes of the jobs of a partition in its snapshot: what they may be, what their last ticks may
/// still come to hold, and their open tasks.
const JOBS_IMAGE_BYTES_MAX: usize = JOBS_BYTES_MAX
    + JOBS_MAX * (512 + TICK_RUNS_KEPT_CROWDED * (128 + TICK_OUTPUT_BYTES_MAX))
    + JOBS_MAX * NOTICES_MAX * (128 + NOTICE_NODES_MAX * 19 + TICK_OUTPUT_BYTES_MAX)
    + JOBS_MAX * REPORTS_AWAITED_MAX * 18
    + JOBS_MAX * ALERTS_OPEN_MAX * 18
    + JOB_TASKS_BYTES_MAX
    + 1024 * 1024;
/// Most bytes of the unique keys that a partition keeps, in its snapshot: a name, a key, an id and a time
/// each.
const UNIQUES_IMAGE_BYTES_MAX: usize =
    UNIQUES_KEPT_MAX * (NAME_BYTES_MAX + 5 + 2 * KEY_BYTES_MAX + 3 + 17 + 9);
/// Most bytes of what a partition remembers of limit keys, in its snapshot: a key and a time each.
const LIMITED_IMAGE_BYTES_MAX: usize = RATED_KEYS_MAX * (KEY_BYTES_MAX + 3 + 9);
/// Bytes of all records of all partitions on one node, unless it is told otherwise; beyond it
/// submissions are `Overloaded`. A small host has so much to spare beside the service that the node
/// is part of, and it holds three million small tasks that wait. Partitions may not all be at their
/// own limits at once: those only keep one of them from taking all.
pub const NODE_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// The least that a node may be told to have: some full batches on their way to disk, and room for
/// others to wait.
pub const NODE_BYTES_MIN: usize = 64 * 1024 * 1024;
/// What a partition keeps of finished tasks, by how they ended.
pub const KEPT: Shelves<Room> = Shelves {
    succeeded: Room { tasks: 4_096, bytes: 8 * 1024 * 1024 },
    stopped: Room { tasks: 1_024, bytes: 2 * 1024 * 1024 },
    dead: Room { tasks: 1_024, bytes: 4 * 1024 * 1024 },
};
/// A task that waits for longer is put away, see [`cold`](crate::cold): reading it back costs a few
/// microseconds, so that it is not worth while for one that is to start soon.
pub const COLD_AFTER: Span = Span::from_millis(120_000);
/// So long before its time what was put away is read back. Millions may have the same time, and no more than
/// [`WARMED_MAX`] are read at once: in so long it is a million.
pub const WARM_AHEAD: Span = Span::from_millis(60_000);
/// Records that a node reads back in a tick at most: it does nothing else for as long as that takes, a few
/// milliseconds.
pub const WARMED_MAX: usize = 2_048;
/// Records that were put away and are read at most to find those of a listing that is to have certain labels: the
/// node does nothing else meanwhile.
pub const COLD_LOOKS_MAX: usize = 4_096;
/// Records that are looked at most for a page of a listing, in memory: a few milliseconds. The next page goes on from
/// there.
pub const LOOKS_MAX: usize = 65_536;
/// Bytes of what a node may put away: more than the memory that it has by default for what leads there.
pub const COLD_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// Bytes of finished records that a partition keeps.
pub const FINISHED_BYTES_MAX: usize = KEPT.total().bytes;
/// How long a finished record is kept with its result.
pub const RETENTION: Span = Span::from_millis(3_600_000);
/// The highest [rank](crate::meta::Rule::rank) of a queue.
pub const RANK_MAX: u8 = 9;
/// A task that says [for how long](crate::task::Options::retention) what became of it is kept says so long at least:
/// whoever waits for its end is told of it in that time.
pub const RETENTION_MIN: Span = Span::from_millis(1_000);
/// Stubs of forgotten tasks that a partition keeps to recognise a second submission; one that was turned
/// away because of its unique key counts as two.
pub const STUBS_MAX: usize = 16_384;
/// How long a submission is recognised as the same.
pub const DEDUP_WINDOW: Span = Span::from_millis(3_600_000);
/// How far ahead of partition time the clock inside a task's id may be.
pub const ID_AHEAD_MAX: Span = Span::from_millis(60_000);

/// Bytes proposed by an owner and not yet committed, per group; beyond it submissions wait.
pub const GROUP_UNCOMMITTED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Log bytes of a group after which its state is saved and the log cut, at the least.
pub const LOG_BYTES_MIN: usize = 256 * 1024;
/// Log bytes that a leader keeps in memory for followers that lag; beyond it they get a snapshot.
pub const LOG_MEMORY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Entries of one append message.
pub const APPEND_BYTES_MAX: u64 = 1024 * 1024;
/// Append messages on their way to one follower of one group.
pub const APPENDS_IN_FLIGHT_MAX: usize = 64;

/// Whole states on their way from one node to another: one travels while the one before is written
/// there. A node that joins gets one for each of its groups, and they are read as fast as they come.
pub const STATES_TO_NODE_MAX: usize = 2;
/// Whole states on their way from one node to all others.
pub const STATES_IN_FLIGHT_MAX: usize = 8;
/// Bytes of those together: the sender holds them twice, as they are and as they are sent. One alone
/// may be larger.
pub const STATES_BYTES_IN_FLIGHT_MAX: usize = 128 * 1024 * 1024;

/// Submissions that a node holds while they are on their way into a log.
pub const SUBMISSIONS_IN_FLIGHT_MAX: usize = 4_096;
/// Tasks in those submissions.
pub const SUBMISSION_TASKS_IN_FLIGHT_MAX: usize = 262_144;
/// Bytes of submissions that a node holds: of its own clients until they are answered for good, of
/// other nodes until they are durable. Without a majority all of them wait until their deadlines.
pub const SUBMISSION_BYTES_IN_FLIGHT_MAX: usize = 256 * 1024 * 1024;
/// Callers that wait for outcomes on one node.
pub const WAITERS_MAX: usize = 4_194_304;
/// Requests that a node has passed on to others and not heard of.
pub const FORWARDS_MAX: usize = 65_536;
/// Tasks of one listing.
pub const LIST_MAX: usize = 10_000;
/// Jobs of one list: whatever is said of them, so many fit into a frame.
pub const JOBS_LISTED_MAX: usize = 512;
/// Results of one listing, and what failures carry as data: together with what else is told of so
/// many tasks they fit into a frame.
pub const LISTED_BYTES_MAX: usize = 5 * 512 * 1024;
/// Texts of errors of one listing, apart from the former: a few long results are no reason not to say
/// why tasks failed.
pub const LISTED_TEXT_BYTES_MAX: usize = 1024 * 1024;
/// Runs of one listing, besides the last one of each task.
pub const LISTED_RUNS_MAX: usize = 8 * 1024;
/// Messages in an actor's mailbox. A message is a batch, so this is far from the number of tasks.
pub const MAILBOX_MAX: usize = 1_024;

/// Two nodes that have had no connection for so long speak through a third, as far as they are owner
/// and executor. A connection that merely broke is back in that time: each side calls again at least
/// once a second.
pub const RELAY_AFTER: Span = Span::from_millis(1_000);
/// So long they speak through the same one; then it is the next one's turn. What is not confirmed is
/// repeated once a second, so that each try goes another way.
pub const RELAY_TURN: Span = Span::from_millis(1_000);
/// A member that said to have no way to a node either is not asked again for so long, if others are
/// left: as long as a connection may be dead before both sides know.
pub const RELAY_AVOIDED: Span = Span::from_millis(5_000);
/// How long something said between two nodes may still come after they found another way to each
/// other: far longer than anything waits in a queue or a process stands still. Beyond it a node that
/// slept is down to the others, and its leases are gone.
pub const CROSSING_MAX: Span = Span::from_millis(60_000);

/// Log bytes that stay in memory behind the last applied entry, for a follower that is a little
/// behind.
pub const LOG_TAIL_BYTES: usize = 64 * 1024;
/// The log may outgrow the state this many times before the state is saved anew: saving costs time
/// in proportion to the state, a longer log costs disk and time at the next start.
pub const LOG_PER_STATE: usize = 4;

/// What one partition may hold. There is only one such value, apart from tests, which fill small
/// partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartitionLimits {
    /// See [`PARTITION_TASKS_MAX`].
    pub(crate) tasks: usize,
    /// See [`PARTITION_BYTES_MAX`].
    pub(crate) bytes: usize,
    /// See [`PARTITION_FINISHED_BYTES_MAX`].
    pub(crate) finished_bytes: usize,
    /// See [`PARTITION_STUBS_MAX`].
    pub(crate) stubs: usize,
}

impl PartitionLimits {
    /// Those of every partition.
    pub(crate) const REAL: Self = Self {
        tasks: PARTITION_TASKS_MAX,
        bytes: PARTITION_BYTES_MAX,
        finished_bytes: PARTITION_FINISHED_BYTES_MAX,
        stubs: PARTITION_STUBS_MAX,
    };

    /// Most that the records of a partition weigh between two entries of at most `entry` bytes.
    ///
    /// Nothing is taken in beyond `bytes`. What is there may still grow: the batch that was taken in
    /// last reaches beyond them by what its entry holds, and by what its records take besides; each
    /// unfinished one may come to have a history, and from then on only one run and a lease; why they
    /// failed last has a limit of its own; the finished are cut down to theirs before each entry, which
    /// may bring as many results as it holds.
    pub(crate) const fn weight_max(&self, entry: usize) -> usize {
        self.bytes
            + self.finished_bytes
            + PARTITION_FAILURES_BYTES_MAX
            + 2 * (entry + OVERSHOOT)
            + BATCH_TASKS_MAX * (RECORD_WEIGHT + GROWTH)
            + self.tasks * GROWTH
    }

    /// Most bytes of a partition's state between two entries of at most `entry` bytes. A record is
    /// written in fewer bytes than it weighs: it grows by less than it was counted too high.
    pub(crate) const fn image_bytes_max(&self, entry: usize) -> usize {
        self.weight_max(entry) - self.tasks * SPARE + self.stubs * STUB_BYTES + HEADER
    }
}

/// What an unfinished record may grow by in a crowded partition.
const GROWTH: usize = HISTORY_WEIGHT + RUN_WEIGHT * RUNS_KEPT_CROWDED + LEASE_WEIGHT;
/// So much more than its written bytes a record weighs, at the least. Those are at most: its id, its
/// template and its length, two numbers, its phase with a kind and two lengths, and whether it has a
/// history and particulars.
const SPARE: usize = RECORD_WEIGHT - (17 + 5 + 9 + 2 * 9 + 20 + 2);
/// What the last task that is taken in brings besides its bytes, at the most.
const OVERSHOOT: usize =
    RECORD_WEIGHT + TEMPLATE_WEIGHT + 2 * NAME_BYTES_MAX + GROWTH + METADATA_OVERSHOOT;
/// What labels and headers are counted as beyond their bytes.
const METADATA_OVERSHOOT: usize = (LABELS_MAX + HEADERS_MAX) * 64 + 1024;
/// A written stub: an id and a state.
const STUB_BYTES: usize = 18;
/// What is written of a partition besides records, templates and stubs: eight numbers.
const HEADER: usize = 8 * 9;

/// The limits that a simulated cluster draws others for, so that what happens at them happens within
/// seconds. All that copies must agree on is decided by the owner and written into commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`CRASH_HOLD`].
    pub crash_hold: Span,
    /// See [`DEDUP_WINDOW`].
    pub dedup_window: Span,
    /// See [`KEPT`].
    pub kept: Shelves<Room>,
    /// See [`LOG_BYTES_MIN`].
    pub log_bytes_min: usize,
    /// See [`LOG_PER_STATE`].
    pub log_per_state: usize,
    /// See [`LOG_TAIL_BYTES`].
    pub log_tail_bytes: usize,
    /// See [`NODE_BYTES_MAX`].
    pub node_bytes_max: usize,
    /// See [`RETENTION`].
    pub retention: Span,
    /// See [`STATES_BYTES_IN_FLIGHT_MAX`].
    pub states_bytes_in_flight_max: usize,
    /// See [`STATES_IN_FLIGHT_MAX`].
    pub states_in_flight_max: usize,
    /// See [`STATES_TO_NODE_MAX`].
    pub states_to_node_max: usize,
    /// See [`STUBS_MAX`].
    pub stubs_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            crash_hold: CRASH_HOLD,
            dedup_window: DEDUP_WINDOW,
            kept: KEPT,
            log_bytes_min: LOG_BYTES_MIN,
            log_per_state: LOG_PER_STATE,
            log_tail_bytes: LOG_TAIL_BYTES,
            node_bytes_max: NODE_BYTES_MAX,
            retention: RETENTION,
            states_bytes_in_flight_max: STATES_BYTES_IN_FLIGHT_MAX,
            states_in_flight_max: STATES_IN_FLIGHT_MAX,
            states_to_node_max: STATES_TO_NODE_MAX,
            stubs_max: STUBS_MAX,
        }
    }
}

const _: () = {
    // The last tick of a job on each of all members is remembered.
    assert!(MEMBERS_MAX <= TICK_RUNS_KEPT_MAX);
    // Of a job in a list: six names, an expression, a selection, what a run printed, names of arguments
    // that are not shown, and numbers.
    assert!(
        JOBS_LISTED_MAX * (6 * NAME_BYTES_MAX + CRON_BYTES_MAX + TICK_OUTPUT_BYTES_MAX + 8 * 1024)
            < FRAME_BYTES_MAX
    );
    // Of a task in a listing: its two names and numbers; of a run a node, two times and how it ended.
    assert!(
        LISTED_BYTES_MAX
            + LISTED_TEXT_BYTES_MAX
            + LIST_MAX * (2 * NAME_BYTES_MAX + 170)
            + LISTED_RUNS_MAX * 40
            < FRAME_BYTES_MAX
    );
    assert!(BATCH_BYTES_MAX + LISTED_TEXT_BYTES_MAX + BATCH_TASKS_MAX * 64 < FRAME_BYTES_MAX);
    assert!(QUEUES_LISTED_MAX * (NAME_BYTES_MAX + 100) < FRAME_BYTES_MAX);
    // All of the cluster's facts in one frame: members with their labels, and rules of both sources.
    assert!(
        MEMBERS_MAX * (NAME_BYTES_MAX + 2 * LABELS_MAX * (LABEL_BYTES_MAX + 5) + 128)
            + 2 * RULES_BYTES_MAX
            < FRAME_BYTES_MAX
    );
    // Whatever carries a result can carry a failure.
    assert!(ERROR_BYTES_MAX + DETAIL_BYTES_MAX <= RESULT_BYTES_MAX);
    // The longest failure is kept whole while there are few.
    assert!((ERROR_BYTES_MAX + DETAIL_BYTES_MAX) * 2 < PARTITION_FAILURES_BYTES_MAX);
    assert!(PARTITIONS_DEFAULT <= PARTITIONS_MAX);
    assert!(REPLICAS_DEFAULT <= REPLICAS_MAX && REPLICAS_MAX % 2 == 1);
    assert!(ARGS_BYTES_MAX < BATCH_BYTES_MAX);
    assert!(GATHERED_BYTES_MAX + RESULT_BYTES_MAX + BATCH_BYTES_MAX < ENTRY_BYTES_MAX);
    assert!(GATHERED_BYTES_MAX + ARGS_BYTES_MAX < FRAME_BYTES_MAX);
    assert!(CAPTURE_BYTES_MAX * 2 < RESULT_BYTES_MAX);
    assert!(LINE_BYTES_MAX < JOURNAL_BYTES_MAX && JOURNAL_BYTES_MAX < GATHERED_BYTES_MAX / 4);
    assert!(JOURNAL_BYTES_MAX * 16 < LAST_WORDS_BYTES_MAX);
    assert!(PARTITION_FINISHED_BYTES_MAX < PARTITION_BYTES_MAX);
    // What an entry ends is told to those who wait for it before the next entry can drop it, and an
    // owner that keeps pace never comes so far.
    assert!(FINISHED_BYTES_MAX + 2 * ENTRY_BYTES_MAX < PARTITION_FINISHED_BYTES_MAX);
    // Four bytes of length stand before a message, and it is held in memory as a whole.
    assert!(SNAPSHOT_BYTES_MAX < 512 * 1024 * 1024);
    // What is counted of a part is no less than what is written of it: a run is a lessee (31), a
    // token (23), two times, an end and whether it has an error; a lease is as much with one time and a flag; a history has
    // three counts, a flag, a length, a time and a failure that may be missing and a place; a failure
    // a kind and two lengths; a template has seven options, what of them was said and two lengths
    // besides its names.
    assert!(RUN_WEIGHT >= 31 + 23 + 2 * 9 + 3);
    assert!(LEASE_WEIGHT >= 31 + 23 + 1 + 9);
    assert!(HISTORY_WEIGHT >= 3 + 3 + 5 + 1 + 9 + 10 + 1 + 9);
    assert!(FAILURE_WEIGHT > 2 * 9);
    assert!(TEMPLATE_WEIGHT >= 2 * 9 + 2 + 9 + 4 + 3 * 10 + 10 + 8 + 40 + 10);
    assert!(CRASHES_ALLOWED_MAX as usize <= RUNS_KEPT_MAX);
    assert!(CRASHES_MAX <= CRASHES_ALLOWED_MAX);
    assert!(GROWTH > SPARE);
    assert!(PARTITION_BYTES_MAX * 2 < NODE_BYTES_MAX);
    assert!(BATCH_BYTES_MAX * 8 < NODE_BYTES_MIN);
    // Stubs alone never make a node of the usual size tight.
    assert!(STUBS_MAX * STUB_WEIGHT * (PARTITIONS_DEFAULT as usize) < NODE_BYTES_MAX / 4);
    assert!(BATCH_TASKS_MAX < SUBMISSION_TASKS_IN_FLIGHT_MAX);
    assert!(BATCH_BYTES_MAX * 16 <= SUBMISSION_BYTES_IN_FLIGHT_MAX);
};
