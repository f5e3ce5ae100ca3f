//! Known defects, put in around the real code to see that the model finds them, each with the bounds
//! within which it must.

use super::state::Bounds;

/// A known defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The end of a run is taken for that of the present one, whichever it was.
    AnyToken,
    /// Executors are told to forget runs that were given up.
    CloseLost,
    /// Executors that are asked what they hold say: nothing.
    DenyAll,
    /// A new owner takes all runs for free that were leased before it.
    ForgetLeases,
    /// Executors do not remember what they have said never to have had.
    ForgetRefusals,
    /// Executors are not told that what was relayed was.
    HideRelays,
    /// Executors take dispatches of any term.
    IgnoreFence,
    /// A lease that is taken back before it was dispatched, or is about to be lost, is dispatched again
    /// like any other.
    KeepTakenBack,
    /// Executors hear of a new connection after the first words that came over it.
    LateReach,
    /// A new owner keeps no list of what was leased before it.
    LoseCount,
    /// Runs of an executor that is not heard of are left to it for ever.
    NeverLose,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::AnyToken,
        Self::CloseLost,
        Self::DenyAll,
        Self::ForgetLeases,
        Self::ForgetRefusals,
        Self::HideRelays,
        Self::IgnoreFence,
        Self::KeepTakenBack,
        Self::LateReach,
        Self::LoseCount,
        Self::NeverLose,
    ];

    /// Where it shows, and by what: part of what is told to be broken.
    #[must_use]
    pub const fn shows(self) -> (Bounds, &'static str) {
        let one = Bounds::one_task();
        match self {
            Self::AnyToken => (Bounds { blames: 1, spare_slots: 1, ..one }, "runs, and the record"),
            Self::CloseLost => (Bounds { blames: 1, breaks: 1, ..one }, "is forgotten"),
            Self::DenyAll | Self::ForgetLeases => {
                (Bounds { takeovers: 1, ..one }, "runs, and the record")
            }
            Self::ForgetRefusals => {
                (Bounds { blames: 1, repeats: 1, ..one }, "after it was denied")
            }
            Self::HideRelays => (Bounds { repeats: 1, overtakes: 1, ..one }, "starts twice"),
            Self::IgnoreFence => (Bounds { takeovers: 1, ..one }, "runs, and the record"),
            Self::KeepTakenBack => {
                (Bounds { blames: 1, repeats: 1, ..one }, "runs, and the record")
            }
            Self::LateReach => (Bounds { breaks: 1, ..one }, "starts twice"),
            Self::LoseCount | Self::NeverLose => (Bounds { crashes: 1, ..one }, "comes to rest"),
        }
    }
}
