//! What is special about the worlds of a kind besides what goes wrong in them.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use umbel_protocol::limits::Limits;
use umbel_protocol::time::Span;

use super::kinds::{Noise, UNRULY};
use super::{Plan, SECOND};

/// What is poison is not over when the rest is: whoever dies for good then may not be the only one.
pub(super) fn poisoned(plan: Plan, _: &mut ChaCha8Rng) -> Plan {
    Plan { loses_minority: false, ..plan }
}

pub(super) fn as_drawn(plan: Plan, _: &mut ChaCha8Rng) -> Plan {
    plan
}

/// Nothing happens, now and then for many minutes: groups fall asleep and are woken, and what has ended
/// is collected.
pub(super) fn at_length(plan: Plan, rng: &mut ChaCha8Rng) -> Plan {
    let times = if rng.random_bool(0.3) { 20 } else { 1 };
    Plan { storm: times * plan.storm, submissions: plan.submissions * 2, ..plan }
}

/// Two that are cut from each other need a third. They have much to say to each other, and are cut
/// for longer than anything waits.
pub(super) fn bridged(plan: Plan, _: &mut ChaCha8Rng) -> Plan {
    let submissions = 4 * plan.submissions;
    let storm = plan.storm + 30 * SECOND;
    Plan { submissions, storm, ..plan }.of_hosts_from(3)
}

/// There is more to do than there are slots, now and then.
pub(super) fn busy(plan: Plan, _: &mut ChaCha8Rng) -> Plan {
    Plan { submissions: 4 * plan.submissions, ..plan }
}

pub(super) fn mixed(mut plan: Plan, rng: &mut ChaCha8Rng) -> Plan {
    if rng.random_bool(0.5) {
        plan.faults.noise = Noise { datagrams_lost: 50, ..UNRULY };
    }
    plan
}

/// Copies are replaced before the storm is over.
pub(super) fn restoring(plan: Plan, _: &mut ChaCha8Rng) -> Plan {
    Plan { storm: plan.storm + 20 * SECOND, replace_after: 5 * SECOND, ..plan }.of_hosts_from(2)
}

/// What one host loses others must have.
pub(super) fn renewing(plan: Plan, rng: &mut ChaCha8Rng) -> Plan {
    restoring(plan, rng).of_hosts_from(4)
}

/// One that is alone has nobody to hand over to.
pub(super) fn leaving(mut plan: Plan, _: &mut ChaCha8Rng) -> Plan {
    plan.faults.lags = false;
    let (submissions, storm) = (4 * plan.submissions, plan.storm + 30 * SECOND);
    Plan { submissions, storm, ..plan }.of_hosts_from(2)
}

pub(super) fn thirty(mut plan: Plan, _: &mut ChaCha8Rng) -> Plan {
    plan.faults.lags = false;
    let limits = Limits::default();
    let (partitions, replicas, submissions, batch_max) = (64, 3, 150, 4);
    let (loses_minority, is_curious, storm) = (false, false, 75 * SECOND);
    Plan {
        jobs: 0,
        limits,
        partitions,
        replicas,
        submissions,
        batch_max,
        loses_minority,
        is_curious,
        storm,
        ..plan
    }
    .of_hosts_from(30)
}

/// All begin with the version before; see that the storm is long enough for most to be upgraded.
pub(super) fn upgraded(plan: Plan, rng: &mut ChaCha8Rng) -> Plan {
    let (submissions, storm) = (2 * plan.submissions, plan.storm + 20 * SECOND);
    let older = if rng.random_bool(0.8) { plan.hosts } else { rng.random_range(1..=plan.hosts) };
    Plan { submissions, storm, older, ..plan }
}

/// Shapes that few hosts do not have.
pub(super) fn wide(plan: Plan, _: &mut ChaCha8Rng) -> Plan {
    plan.of_hosts_from(4)
}

/// Long enough for all that people say of queues to be heeded, and to be taken back.
pub(super) fn ruled(plan: Plan, _: &mut ChaCha8Rng) -> Plan {
    Plan { submissions: 4 * plan.submissions, storm: 30 * SECOND, older: 0, ..plan }
}

/// Few things happen, over minutes.
pub(super) fn for_minutes(plan: Plan, _: &mut ChaCha8Rng) -> Plan {
    let submissions = plan.submissions.min(40);
    Plan { submissions, batch_max: plan.batch_max.min(4), storm: 200 * SECOND, ..plan }
}

/// A cut lasts for longer than what has ended is remembered.
pub(super) fn forgetful(plan: Plan, rng: &mut ChaCha8Rng) -> Plan {
    let span = |rng: &mut ChaCha8Rng| Span::from_millis(rng.random_range(1_000..8_000));
    let limits = Limits { dedup_window: span(rng), retention: span(rng), ..plan.limits };
    Plan { limits, storm: 75 * SECOND, ..plan }.of_hosts_from(3)
}

/// Ten times as much as there is room for, and as there are slots.
pub(super) fn overloaded(plan: Plan, _: &mut ChaCha8Rng) -> Plan {
    let limits = Limits { node_bytes_max: 1 << 17, ..plan.limits };
    Plan { limits, submissions: 150, batch_max: 20, storm: 10 * SECOND, ..plan }
}
