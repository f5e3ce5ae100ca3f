//! Defects put in on purpose, to see that they are found.
//!
//! Most stand in the protocol itself, where they would be made ([`Defect`]). The others are those of
//! what is around it, and are put in here: of disks, of clients, of whoever tells how a run ended.

use umbel_protocol::group::{Body, RaftKind};
use umbel_protocol::limits::{FRAME_BYTES_MAX, Limits};
use umbel_protocol::partition::{Room, Shelves};
use umbel_protocol::sabotage::Defect;
use umbel_protocol::task::Outcome;
use umbel_protocol::time::Span;
use umbel_protocol::wire::{Envelope, PeerMessage, decode_from, encode_for};

use crate::plan::{FaultPlan, Plan, SECOND, Trouble};
use crate::world::World;

/// A defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A disk says that writes are durable before they are, and loses them in a crash.
    EarlyDisk,
    /// Runs that failed are told to have succeeded.
    FalseSuccess,
    /// A disk says that writes are durable and now and then keeps nothing of them.
    ForgetfulDisk,
    /// Votes are told to be granted that were refused.
    FreeVotes,
    /// A submission that is tried again counts as a new one.
    NoDedup,
    /// One in the protocol.
    Inside(Defect),
}

/// Invariants that seldom speak first, as another finds the same a moment before, and defects that each of
/// them finds where it is the only one that is heard.
pub const ALONE: [(&str, Sabotage); 12] = [
    ("acknowledged_is_kept", Sabotage::Inside(Defect::ForgetUnfinished)),
    ("each_host_has_its_run", Sabotage::Inside(Defect::DropHost)),
    ("finished_never_runs", Sabotage::Inside(Defect::LocalTime)),
    ("jobs_are_fired", Sabotage::Inside(Defect::FireAgain)),
    ("jobs_are_kept", Sabotage::Inside(Defect::ForgetJobs)),
    ("linearizable_tasks", Sabotage::Inside(Defect::UnconfirmedReads)),
    ("nothing_goes_back", Sabotage::Inside(Defect::FloorGoesBack)),
    ("nothing_is_left", Sabotage::Inside(Defect::LeakSlot)),
    ("one_owner", Sabotage::FreeVotes),
    ("orderly_end", Sabotage::Inside(Defect::RetireEarly)),
    ("submitted_once", Sabotage::NoDedup),
    ("taken_over_in_time", Sabotage::Inside(Defect::ForgetLeases)),
];

impl Sabotage {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let around = [
            Self::EarlyDisk,
            Self::FalseSuccess,
            Self::ForgetfulDisk,
            Self::FreeVotes,
            Self::NoDedup,
        ];
        around.into_iter().chain(Defect::ALL.map(Self::Inside))
    }

    /// The one that is called so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|sabotage| sabotage.name() == name)
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Inside(defect) => format!("{defect:?}"),
            other => format!("{other:?}"),
        }
    }

    /// The defect of the protocol, if it is one.
    #[must_use]
    pub const fn inside(self) -> Option<Defect> {
        match self {
            Self::Inside(defect) => Some(defect),
            Self::EarlyDisk
            | Self::FalseSuccess
            | Self::ForgetfulDisk
            | Self::FreeVotes
            | Self::NoDedup => None,
        }
    }

    /// The invariants of which one must find it: which of them is first is up to chance.
    #[must_use]
    pub const fn found_by(self) -> &'static [&'static str] {
        match self {
            Self::EarlyDisk | Self::ForgetfulDisk => {
                &["nothing_unsynced_is_promised", "leased_runs_only", "one_vote"]
            }
            Self::FalseSuccess => &["every_task_ends"],
            // Of two leaders of one term each may grant what the other's followers never had, and commit
            // or acknowledge what the other does not know.
            Self::FreeVotes => &[
                "one_vote",
                "one_owner",
                "leased_runs_only",
                "nothing_unsynced_is_promised",
                "replicas_converge",
            ],
            // What is submitted once more runs once more, is taken under two ids, or runs under one of
            // them when the other was stopped.
            Self::NoDedup => &[
                "at_most_once",
                "second_run_after_loss",
                "exactly_one_run",
                "submitted_once",
                "leased_runs_only",
                "linearizable_tasks",
            ],
            Self::Inside(defect) => match defect {
                Defect::AcknowledgeUnsynced | Defect::AnswerUncommitted => {
                    &["nothing_unsynced_is_promised"]
                }
                Defect::AllStates => &["states_take_turns"],
                Defect::ApplyUncommitted => &["leased_runs_only", "nothing_unsynced_is_promised"],
                Defect::CountInPart => &["groups_are_counted"],
                Defect::ForgetOwed => &["nothing_is_left", "starts_in_place"],
                Defect::KeepTimed => &["forgotten_in_time"],
                Defect::CancelBeatsSuccess | Defect::CutOffIsCrash => &["every_task_ends"],
                Defect::DispatchUncommitted => &["leased_runs_only"],
                Defect::DoubleStart => &["second_run_after_loss", "exactly_one_run"],
                Defect::DropHost => &["each_host_has_its_run", "jobs_are_fired"],
                Defect::DropRedirected => {
                    &["second_run_after_loss", "leased_runs_only", "exactly_one_run"]
                }
                Defect::EditBlindly | Defect::KeepUnwanted => &["jobs_are_kept"],
                Defect::FireAgain => &["ticks_fire_once"],
                Defect::DriftInterval | Defect::IgnoreOverlap | Defect::LoseTick => {
                    &["jobs_are_fired"]
                }
                Defect::FollowSteps => &["starts_in_place"],
                Defect::LoseAlert | Defect::LoseNotice => &["alerts_are_told"],
                Defect::ForgetJobs => &["jobs_are_kept", "replicas_converge"],
                Defect::FloorGoesBack => &["nothing_goes_back", "finished_stays"],
                Defect::ForgetLeases => {
                    &["every_task_ends", "majority_serves", "taken_over_in_time"]
                }
                Defect::ForgetTurnedAway => &["linearizable_tasks"],
                // Whoever submits it again, not having been answered, has it taken in once more.
                Defect::ForgetUnfinished => &[
                    "acknowledged_is_kept",
                    "every_task_ends",
                    "leased_runs_only",
                    "submitted_once",
                ],
                Defect::ForgetVote => &["one_vote", "one_owner"],
                // Of one that is to be stopped the run that has succeeded is forgotten, and another stops.
                Defect::CloseUncommitted => {
                    &["second_run_after_loss", "leased_runs_only", "every_task_ends"]
                }
                Defect::ForgetRefusals | Defect::IgnoreFence => {
                    &["leased_runs_only", "second_run_after_loss"]
                }
                Defect::FreeKey => &["unique_keys"],
                Defect::IgnoreLimits => &["limited_by_key"],
                Defect::ForgetPermits | Defect::IgnorePause => &["limited_by_rule"],
                Defect::LoseExclusive => &["exclusive"],
                Defect::HoldOn => &["unfit_part_with_all"],
                Defect::LostHolds => {
                    &["every_task_ends", "leased_runs_only", "second_run_after_loss"]
                }
                Defect::KeepRemoved => &["replicas_converge"],
                Defect::KeepWeight => &["memory_is_counted"],
                Defect::LeakSlot => &["nothing_is_left", "nobody_starves"],
                Defect::LeaseTwice => &["at_most_once"],
                Defect::LocalTime => &["replicas_converge", "finished_never_runs"],
                Defect::LearnerVotes => &["voters_are_odd", "replicas_converge"],
                Defect::LoseSaid => &["said_as_it_was"],
                Defect::RepeatWords => &["watched_in_order"],
                Defect::MuteRelays => &["relayed_in_time"],
                Defect::NoCheckpoint => &["nothing_is_unbounded"],
                Defect::NoPause => &["starts_in_place"],
                Defect::NoWishes => &["nobody_starves"],
                Defect::OldOutcome => {
                    &["every_task_ends", "leased_runs_only", "second_run_after_loss"]
                }
                Defect::RetireEarly => &["orderly_end", "exactly_one_run", "second_run_after_loss"],
                Defect::SkipStub => &["finished_stays"],
                Defect::SleepOn => &["majority_serves"],
                Defect::StayCold => &["every_task_ends", "starts_in_place", "majority_serves"],
                Defect::TakeAll => &["nothing_is_unbounded"],
                Defect::UnconfirmedReads => &["linearizable_tasks", "acknowledged_is_kept"],
                Defect::WarmBare => &["said_as_it_was", "replicas_converge"],
            },
        }
    }

    /// The `number`th world in which it is looked for. Most show in any; some need something that is
    /// rare elsewhere.
    #[must_use]
    pub fn plan(self, number: u64) -> Plan {
        let plan = match self {
            Self::Inside(defect) => plan_for(defect, number),
            _ => Plan::of(number),
        };
        Plan { sabotage: Some(self), ..plan }
    }
}

/// The `number`th of the plans that `is_meant`.
fn nth(number: u64, is_meant: impl Fn(&Plan) -> bool) -> Plan {
    let plans = (0..).map(Plan::of).filter(is_meant);
    let number = usize::try_from(number).expect("few worlds");
    plans.into_iter().nth(number).expect("there is no end of them")
}

fn plan_for(defect: Defect, number: u64) -> Plan {
    let of_kind = |kinds: &'static [&'static str]| {
        move |plan: &Plan| plan.hosts >= 3 && kinds.contains(&plan.faults.kind)
    };
    match defect {
        // Elsewhere cuts heal before anybody misses what was not relayed.
        Defect::MuteRelays => nth(number, |plan| plan.faults.is_bridged_only()),
        Defect::UnconfirmedReads => {
            // An owner is cut off, and somebody asks it in the second before it notices.
            let plan = nth(number, of_kind(&["partitions"]));
            Plan { submissions: 6 * plan.submissions, batch_max: 1, is_curious: true, ..plan }
        }
        Defect::LoseExclusive => nth(number, of_kind(&["alone beside cuts"])),
        Defect::CloseUncommitted | Defect::ForgetLeases | Defect::LostHolds => {
            nth(number, of_kind(&["crashes", "blackouts", "everything"]))
        }
        Defect::CutOffIsCrash | Defect::DropRedirected | Defect::OldOutcome => {
            nth(number, of_kind(&["partitions", "pauses", "everything"]))
        }
        Defect::ForgetRefusals => {
            // What was refused must come again: an owner is started anew, or its connection is.
            let plan = nth(number, |plan| plan.hosts >= 3 && plan.hosts <= 5);
            let faults = FaultPlan {
                kind: "parts fall",
                every: SECOND / 2,
                troubles: &[(Trouble::Relink, 4), (Trouble::PartFalls, 2), (Trouble::Pause, 1)],
                lags: true,
                ..FaultPlan::default()
            };
            Plan { faults, submissions: 6 * plan.submissions, batch_max: 1, ..plan }
        }
        Defect::IgnoreFence => {
            // What an owner sent before it fell must come after what its successor asked: to an executor
            // that stood still.
            let plan = nth(number, |plan| plan.hosts >= 3 && plan.hosts <= 5);
            let faults = FaultPlan {
                kind: "everything",
                every: SECOND,
                troubles: &[
                    (Trouble::Crash, 1),
                    (Trouble::Pause, 3),
                    (Trouble::Relink, 3),
                    (Trouble::Cut, 1),
                ],
                lags: true,
                ..FaultPlan::default()
            };
            Plan { faults, submissions: 6 * plan.submissions, batch_max: 1, ..plan }
        }
        Defect::CancelBeatsSuccess => {
            // Of few tasks that are to be stopped a run goes on all the same, to a good end.
            let plan = Plan::of(number);
            Plan { submissions: 10 * plan.submissions, batch_max: 1, ..plan }
        }
        Defect::FloorGoesBack => {
            // Now it follows the stubs, of which there are too many, now the clock.
            let plan = Plan::of(number);
            let kept = Shelves::of(|_| Room { tasks: 4, bytes: 1 << 20 });
            let (dedup_window, stubs_max) = (Span::from_millis(60_000), 4);
            let limits = Limits { kept, dedup_window, stubs_max, ..plan.limits };
            Plan { limits, submissions: 4 * plan.submissions, ..plan }
        }
        Defect::FollowSteps => {
            // Nobody tells one or two nodes what is right.
            let plan = nth(number, |plan| plan.faults.kind == "clock steps" && plan.hosts <= 2);
            Plan { submissions: 4 * plan.submissions, ..plan }
        }
        Defect::RetireEarly => nth(number, of_kind(&["leaving", "joining, leaving and crashes"])),
        Defect::LeaseTwice => nth(number, of_kind(&["crashes", "parts fall", "everything"])),
        Defect::ForgetPermits | Defect::IgnorePause => {
            nth(number, |plan| plan.faults.kind == "ruled" && plan.hosts >= 3)
        }
        Defect::CountInPart => nth(number, of_kind(&["crashes", "blackouts", "everything"])),
        Defect::ForgetOwed => nth(number, |plan| plan.faults.kind == "slots change"),
        Defect::HoldOn => nth(number, of_kind(&["disks", "full disks", "starved"])),
        Defect::DriftInterval
        | Defect::DropHost
        | Defect::EditBlindly
        | Defect::FireAgain
        | Defect::ForgetJobs
        | Defect::IgnoreOverlap
        | Defect::KeepUnwanted
        | Defect::LoseAlert
        | Defect::LoseNotice
        | Defect::LoseTick => nth(number, |plan| plan.jobs > 0),
        // Where nobody dies for good it shows in those that are away for long.
        Defect::SleepOn => nth(number, |plan| plan.hosts >= 3 && !plan.loses_minority),
        Defect::TakeAll => nth(number, |plan| plan.faults.kind == "overload"),
        Defect::NoWishes => nth(number, |plan| plan.hosts >= 2),
        Defect::KeepRemoved | Defect::KeepWeight => nth(number, |plan| plan.hosts >= 5),
        Defect::LearnerVotes => nth(number, |plan| plan.hosts >= 2),
        Defect::AcknowledgeUnsynced
        | Defect::AllStates
        | Defect::AnswerUncommitted
        | Defect::ApplyUncommitted
        | Defect::DispatchUncommitted
        | Defect::DoubleStart
        | Defect::ForgetTurnedAway
        | Defect::ForgetUnfinished
        | Defect::ForgetVote
        | Defect::FreeKey
        | Defect::IgnoreLimits
        | Defect::KeepTimed
        | Defect::LeakSlot
        | Defect::LocalTime
        | Defect::LoseSaid
        | Defect::NoPause
        | Defect::RepeatWords
        | Defect::SkipStub
        | Defect::StayCold
        | Defect::WarmBare => Plan::of(number),
        Defect::NoCheckpoint => {
            let plan = Plan::of(number);
            let limits = Limits { log_bytes_min: 4 * 1024, log_per_state: 0, ..plan.limits };
            Plan { limits, partitions: 4, submissions: 4 * plan.submissions, ..plan }
        }
    }
}

impl World {
    fn has(&self, sabotage: Sabotage) -> bool {
        self.plan.sabotage == Some(sabotage)
    }

    /// Whether disks answer before they have written.
    pub(crate) fn answers_early(&self) -> bool {
        self.has(Sabotage::EarlyDisk)
    }

    /// Whether a disk forgets what it has just been given.
    pub(crate) fn forgets(&mut self) -> bool {
        self.has(Sabotage::ForgetfulDisk) && self.flip(0.2)
    }

    /// Whether a submission gets new ids when it is tried again.
    pub(crate) fn renames_retries(&self) -> bool {
        self.has(Sabotage::NoDedup)
    }

    /// How the run of the task `mark` is told to have ended.
    pub(crate) fn told_end(&self, mark: u64, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failed(_) if self.has(Sabotage::FalseSuccess) => {
                Outcome::Succeeded(mark.to_string().into())
            }
            outcome => outcome,
        }
    }

    /// What is sent to another node, in the version that both speak.
    pub(crate) fn said_abroad(&self, version: u16, bytes: Vec<u8>) -> Vec<u8> {
        if !self.has(Sabotage::FreeVotes) {
            return bytes;
        }
        let mut envelope: Envelope =
            decode_from(version, &bytes, FRAME_BYTES_MAX).expect("just encoded");
        for message in &mut envelope.messages {
            if let PeerMessage::Group(messages) = message {
                for message in messages {
                    grant_vote(&mut message.body);
                }
            }
        }
        encode_for(version, &envelope)
    }
}

fn grant_vote(body: &mut Body) {
    if let Body::Raft(raft) = body
        && matches!(raft.kind, RaftKind::VoteResponse | RaftKind::PreVoteResponse)
    {
        raft.reject = false;
    }
}
