//! Known defects, to prove that the tests would find them.
//!
//! A simulator is worth what it finds. So each of these, mostly a line that somebody might forget or
//! get wrong, can be switched on for a test run, and an invariant must name it. They stand in the code
//! where such a mistake would really be made.
//!
//! **No product has them**: without the feature `sabotage` the question whether one is on is a
//! constant `false`, and what depends on it is not compiled. Only the package of the tests asks for
//! that feature. A command for the whole workspace unites features, so that what it builds has the
//! switch, at off; a plain `cargo build` has not even that.

#[cfg(feature = "sabotage")]
use std::cell::Cell;

/// A defect, and the invariants of the simulator of which one must find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defect {
    /// Copies acknowledge entries before they are on disk: `nothing_unsynced_is_promised`.
    AcknowledgeUnsynced,
    /// Whole states are sent to all that want one, at once: `states_take_turns`.
    AllStates,
    /// Clients are told that a task is durable when it has joined the line:
    /// `nothing_unsynced_is_promised`.
    AnswerUncommitted,
    /// A leader applies what only its own disk has: `leased_runs_only`,
    /// `nothing_unsynced_is_promised`.
    ApplyUncommitted,
    /// A run that succeeded ends its task as cancelled if somebody asked to stop it:
    /// `every_task_ends`.
    CancelBeatsSuccess,
    /// An executor is told that an end is on record when it only is on its way there:
    /// `second_run_after_loss`, `leased_runs_only`, `every_task_ends`.
    CloseUncommitted,
    /// A run that was cut off counts as one that took its node with it: `every_task_ends`.
    CutOffIsCrash,
    /// A count is told as whole though nobody has told of some partitions: `groups_are_counted`.
    CountInPart,
    /// A lease is dispatched when it is proposed: `leased_runs_only`.
    DispatchUncommitted,
    /// An executor starts what it is sent twice: `second_run_after_loss`, `exactly_one_run`.
    DoubleStart,
    /// An interval is counted from when its last tick was fired: `jobs_are_fired`.
    DriftInterval,
    /// The owner of a job leaves the last of its hosts out: `each_host_has_its_run`, `jobs_are_fired`.
    DropHost,
    /// An executor drops the outcome of a run that another owner decides:
    /// `second_run_after_loss`, `leased_runs_only`, `exactly_one_run`.
    DropRedirected,
    /// A job is edited whatever was said of it since it was looked at: `jobs_are_kept`.
    EditBlindly,
    /// A tick that was fired is fired again under another id: `ticks_fire_once`.
    FireAgain,
    /// The floor of recognised ids follows the clock, backwards too: `nothing_goes_back`,
    /// `finished_stays`.
    FloorGoesBack,
    /// Time steps with the wall clock where nobody says that it is wrong: `starts_in_place`.
    FollowSteps,
    /// A snapshot is written without the jobs: `jobs_are_kept`, `replicas_converge`.
    ForgetJobs,
    /// A new owner does not look who runs its tasks: `every_task_ends`, `majority_serves`,
    /// `taken_over_in_time`.
    ForgetLeases,
    /// An executor that has fewer slots than runs gives all out again that become free: `nothing_is_left`,
    /// `starts_in_place`.
    ForgetOwed,
    /// An executor does not remember what it said it never had: `leased_runs_only`,
    /// `second_run_after_loss`.
    ForgetRefusals,
    /// A partition does not remember what it has turned away because of its key: `linearizable_tasks`.
    ForgetTurnedAway,
    /// The home of a limit gives to each owner what is there for all: `limited_by_rule`.
    ForgetPermits,
    /// Retention takes a task that has not ended: `acknowledged_is_kept`, `every_task_ends`,
    /// `leased_runs_only`, `submitted_once`.
    ForgetUnfinished,
    /// A copy forgets at a restart whom it has voted for: `one_vote`, `one_owner`.
    ForgetVote,
    /// A unique key is free as soon as its task has started: `unique_keys`.
    FreeKey,
    /// A node that cannot do its part goes on owning: `unfit_part_with_all`.
    HoldOn,
    /// An executor starts what an owner dispatches whose time is over: `leased_runs_only`,
    /// `second_run_after_loss`.
    IgnoreFence,
    /// A partition leases more tasks of a limit key than it allows: `limited_by_key`.
    IgnoreLimits,
    /// A job fires though its run before goes on, and must not: `jobs_are_fired`.
    IgnoreOverlap,
    /// Tasks of a queue that is paused start: `limited_by_rule`.
    IgnorePause,
    /// A copy that was removed stays: `replicas_converge`.
    KeepRemoved,
    /// What says itself for how long it is kept is kept for ever: `forgotten_in_time`.
    KeepTimed,
    /// What waits for a job that was removed, or runs something else, stays: `jobs_are_kept`.
    KeepUnwanted,
    /// What a copy weighed still counts when it is gone: `memory_is_counted`.
    KeepWeight,
    /// What is to be started at most once is tried again when its run was lost: `at_most_once`.
    LeaseTwice,
    /// A dispatch that an executor refuses keeps its slot: `nothing_is_left`, `nobody_starves`.
    LeakSlot,
    /// A new copy votes before it has caught up: `voters_are_odd`,
    /// `replicas_converge`.
    LearnerVotes,
    /// A state machine takes its time from the clock of its node: `replicas_converge`,
    /// `finished_never_runs`.
    LocalTime,
    /// What is to be told of a job is taken off its list, and no task tells it: `alerts_are_told`.
    LoseAlert,
    /// A run that must not overlap with others is given up as soon as its node is taken to be down:
    /// `exclusive`.
    LoseExclusive,
    /// What has happened to a job is counted, and not to be told: `alerts_are_told`.
    LoseNotice,
    /// An executor is not told what is said of a task: `said_as_it_was`.
    LoseSaid,
    /// A tick is neither fired nor missed: `jobs_are_fired`.
    LoseTick,
    /// Executors that are asked what they hold say: nothing. `every_task_ends`, `leased_runs_only`,
    /// `second_run_after_loss`.
    LostHolds,
    /// Nobody gives on what is to be relayed: `relayed_in_time`.
    MuteRelays,
    /// The state is never saved in place of the log: `nothing_is_unbounded`.
    NoCheckpoint,
    /// What failed is tried again at once: `starts_in_place`.
    NoPause,
    /// An owner asks nobody for slots: `nobody_starves`.
    NoWishes,
    /// The outcome of an old run counts as that of the present one: `every_task_ends`,
    /// `leased_runs_only`, `second_run_after_loss`.
    OldOutcome,
    /// A watcher is told what it knows if others know less: `watched_in_order`.
    RepeatWords,
    /// An executor that retires does not wait for its runs: `orderly_end`, `exactly_one_run`,
    /// `second_run_after_loss`.
    RetireEarly,
    /// What is forgotten leaves nothing that would recognise it: `finished_stays`.
    SkipStub,
    /// A group that sleeps does not wake when the node of its leader is suspected: `majority_serves`.
    SleepOn,
    /// Nobody looks when what was put away is due: `every_task_ends`, `starts_in_place`,
    /// `majority_serves`.
    StayCold,
    /// An owner takes in whatever comes, however full its node is: `nothing_is_unbounded`.
    TakeAll,
    /// An owner answers without asking whether it still is one: `linearizable_tasks`,
    /// `acknowledged_is_kept`.
    UnconfirmedReads,
    /// What is said of a task alone is lost when its record is put away: `said_as_it_was`,
    /// `replicas_converge`.
    WarmBare,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 58] = [
        Self::AcknowledgeUnsynced,
        Self::AllStates,
        Self::AnswerUncommitted,
        Self::ApplyUncommitted,
        Self::CancelBeatsSuccess,
        Self::CloseUncommitted,
        Self::CountInPart,
        Self::CutOffIsCrash,
        Self::DispatchUncommitted,
        Self::DoubleStart,
        Self::DriftInterval,
        Self::DropHost,
        Self::DropRedirected,
        Self::EditBlindly,
        Self::FireAgain,
        Self::FloorGoesBack,
        Self::FollowSteps,
        Self::ForgetJobs,
        Self::ForgetLeases,
        Self::ForgetOwed,
        Self::ForgetPermits,
        Self::ForgetRefusals,
        Self::ForgetTurnedAway,
        Self::ForgetUnfinished,
        Self::ForgetVote,
        Self::FreeKey,
        Self::HoldOn,
        Self::IgnoreFence,
        Self::IgnoreLimits,
        Self::IgnoreOverlap,
        Self::IgnorePause,
        Self::KeepRemoved,
        Self::KeepTimed,
        Self::KeepUnwanted,
        Self::KeepWeight,
        Self::LeakSlot,
        Self::LeaseTwice,
        Self::LearnerVotes,
        Self::LocalTime,
        Self::LoseAlert,
        Self::LoseExclusive,
        Self::LoseNotice,
        Self::LoseSaid,
        Self::LoseTick,
        Self::LostHolds,
        Self::MuteRelays,
        Self::NoCheckpoint,
        Self::NoPause,
        Self::NoWishes,
        Self::OldOutcome,
        Self::RepeatWords,
        Self::RetireEarly,
        Self::SkipStub,
        Self::SleepOn,
        Self::StayCold,
        Self::TakeAll,
        Self::UnconfirmedReads,
        Self::WarmBare,
    ];
}

#[cfg(feature = "sabotage")]
std::thread_local! {
    // Worlds are run on several threads at once, each of them on one.
    static ON: Cell<Option<Defect>> = const { Cell::new(None) };
}

/// Switches `defect` on, or all off, for what this thread steps from now on.
#[cfg(feature = "sabotage")]
pub fn switch(defect: Option<Defect>) {
    ON.set(defect);
}

/// Whether `defect` is on.
#[cfg(feature = "sabotage")]
pub(crate) fn has(defect: Defect) -> bool {
    ON.get() == Some(defect)
}

/// Whether `defect` is on: no product has any.
#[cfg(not(feature = "sabotage"))]
pub(crate) const fn has(_: Defect) -> bool {
    false
}
