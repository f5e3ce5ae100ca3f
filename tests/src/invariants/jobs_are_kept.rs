//! A job is what was said of it last: one that was acknowledged as defined is there, with that definition,
//! until it is removed, whatever broke.
//!
//! What is said of one job at the same time has no order, and what was said without an answer, or more
//! than once, may come late. So what may be the last word is what nothing followed for sure: whatever was
//! acknowledged, and began when the other was over.

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::job::{Job, JobName};
use umbel_protocol::partition::{JobChange, Partition, Precondition};
use umbel_protocol::task::{Record, State};

use super::{owned, partitions};
use crate::host::Host;
use crate::plan::SECOND;
use crate::world::World;

/// What took longer may have been passed on more than once, and come in again later.
const REPEATED_AFTER: u64 = SECOND / 2;

/// The version of the protocol that knows jobs.
const SINCE: u16 = 2;

/// What was said of jobs, by operation.
pub type Words = BTreeMap<u64, Word>;

/// When a job was seen as it was by each of its revisions: who saw it first asked at the first of these
/// times, who saw it last was answered at the second.
pub type Seen = BTreeMap<(JobName, u64), (u64, u64)>;

/// Something that was said of a job.
#[derive(Clone, Debug)]
pub struct Word {
    job: JobName,
    /// Of which revision it is an edit.
    edits: Option<u64>,
    /// What it is from then on, unless it is removed by it. None if it says nothing of that.
    says: Option<Option<Box<Job>>>,
    /// When that was first said.
    begun: u64,
    tries: u64,
    /// When it was over, if it was: nothing comes of it later.
    over: Option<u64>,
    /// When it was acknowledged.
    done: Option<u64>,
    /// Whether it had no effect for sure.
    in_vain: bool,
}

/// Somebody says it, or says it again.
pub fn said(world: &mut World, op: u64, job: &JobName, change: &JobChange) {
    let says = match change {
        JobChange::Define { job, .. } => Some(Some(job.clone())),
        JobChange::Remove { .. } => Some(None),
        JobChange::Enable { .. } => None,
    };
    let edits = match change {
        JobChange::Define { precondition: Precondition::Revision(seen), .. } => Some(*seen),
        JobChange::Define { .. } | JobChange::Remove { .. } | JobChange::Enable { .. } => None,
    };
    let (job, begun) = (job.clone(), world.now);
    let name = job.clone();
    let word =
        || Word { job, edits, says, begun, tries: 0, over: None, done: None, in_vain: false };
    world.watch.words.entry(op).or_insert_with(word).tries += 1;
    note_abandoned(world, &name);
}

/// Works out until when tasks of a job may be abandoned: whoever removes it, or says what it is where not
/// all say that it runs and is told of by the same, may have that done until it is over.
fn note_abandoned(world: &mut World, name: &JobName) {
    let words = world.watch.words.values().filter(|word| word.job == *name && !word.in_vain);
    let tasks = |job: &Job| {
        let alert = job.alert.as_ref().map(|alert| alert.template.name.clone());
        (job.template.name.clone(), alert)
    };
    let said = words.clone().filter_map(|word| word.says.as_ref()?.as_deref());
    let runs_others = said.map(tasks).collect::<BTreeSet<_>>().len() > 1;
    let abandons = |word: &&Word| match &word.says {
        Some(None) => true,
        Some(Some(_)) => runs_others,
        None => false,
    };
    let until = words.filter(abandons).map(|word| word.over.unwrap_or(u64::MAX)).max();
    match until {
        Some(until) => world.jobs.abandoned.insert(name.clone(), until),
        None => world.jobs.abandoned.remove(name),
    };
    // What is cancelled may be forgotten before anybody looks again.
    for task in world.jobs.met_of(name) {
        let may_stop = world.jobs.may_stop(task, world.now);
        world.ledger.meets(task, false, may_stop);
    }
}

/// It is done, as its caller is told for the first time or again.
///
/// # Errors
/// If it is an edit of what it cannot have been any more.
pub fn done(world: &mut World, op: u64) -> Result<(), String> {
    let now = world.now;
    if let Some(word) = world.watch.words.get_mut(&op).filter(|word| word.done.is_none()) {
        word.done = Some(now);
        word.over = word.is_single(now).then_some(now);
        let name = word.job.clone();
        note_abandoned(world, &name);
    }
    let Some(word) = world.watch.words.get(&op) else {
        return Ok(());
    };
    let revision = word.edits.map(|revision| (word.job.clone(), revision));
    let Some((_, seen)) = revision.and_then(|revision| world.watch.seen.get(&revision)) else {
        return Ok(());
    };
    let is_between = |other: &Word| {
        let is_other = other.says.is_some() && other.says != word.says;
        let is_done = other.done.is_some_and(|at| at < word.begun);
        other.job == word.job && is_other && other.begun > *seen && is_done
    };
    match world.watch.words.values().find(|other| is_between(other)) {
        Some(other) => Err(format!("{word:?} has overwritten {other:?} without a word")),
        None => Ok(()),
    }
}

/// A job was seen as of this revision by somebody who asked at `asked_at`.
pub fn seen(world: &mut World, job: &JobName, revision: u64, asked_at: u64) {
    let now = world.now;
    let times = world.watch.seen.entry((job.clone(), revision)).or_insert((asked_at, now));
    *times = (times.0.min(asked_at), now);
}

/// An edit is refused because something else was said meanwhile.
///
/// # Errors
/// If nobody has.
pub fn changed(world: &World, op: u64) -> Result<(), String> {
    let words = &world.watch.words;
    let Some((word, revision)) = words.get(&op).and_then(|word| Some((word, word.edits?))) else {
        return Err("what is no edit cannot be too late".to_owned());
    };
    let seen = world.watch.seen.get(&(word.job.clone(), revision));
    let since = seen.map_or(0, |(asked_at, _)| *asked_at);
    let may_be_meant = |(other, said): (&u64, &Word)| {
        *other != op && said.job == word.job && said.over.is_none_or(|over| over >= since)
    };
    if words.iter().any(may_be_meant) {
        return Ok(());
    }
    Err(format!("{word:?} is refused, and nobody has changed the job"))
}

/// It was not done, as its caller is told.
pub fn refused(world: &mut World, op: u64) {
    let now = world.now;
    if let Some(word) = world.watch.words.get_mut(&op) {
        word.in_vain = word.is_single(now);
        let name = word.job.clone();
        note_abandoned(world, &name);
    }
}

impl Word {
    /// Whether it was surely not passed on more than once by `now`.
    const fn is_single(&self, now: u64) -> bool {
        self.tries == 1 && now < self.begun + REPEATED_AFTER
    }
}

/// A job is shown to somebody who asked at `asked_at`, or said not to be there.
///
/// # Errors
/// If it must be otherwise.
pub fn shown(
    world: &World,
    name: &JobName,
    job: Option<&Job>,
    asked_at: u64,
) -> Result<(), String> {
    let mut last = last_words(world, name, asked_at);
    if last.any(|says| says == job) {
        return Ok(());
    }
    let may_be: Vec<_> = last_words(world, name, asked_at).collect();
    Err(format!("{name} is {job:?}, and may only be one of {may_be:?}"))
}

/// Whether somebody may have removed a job since `asked_at`.
#[must_use]
pub fn may_be_removed(world: &World, name: &JobName, asked_at: u64) -> bool {
    let words = world.watch.words.values().filter(|word| word.job == *name && !word.in_vain);
    let mut removals = words.filter(|word| word.says == Some(None));
    removals.any(|word| word.over.is_none_or(|over| over >= asked_at))
}

/// A job is said to be there to somebody who asked at `asked_at`.
///
/// # Errors
/// If it cannot be.
pub fn shown_to_exist(world: &World, name: &JobName, asked_at: u64) -> Result<(), String> {
    let is_there = last_words(world, name, asked_at).any(|says| says.is_some());
    if is_there { Ok(()) } else { Err(format!("{name} is said to exist, and does not")) }
}

/// What may be the last word about a job to somebody who asked at `asked_at` and is answered now.
fn last_words<'a>(
    world: &'a World,
    name: &'a JobName,
    asked_at: u64,
) -> impl Iterator<Item = Option<&'a Job>> {
    let words = move || world.watch.words.values().filter(move |word| word.job == *name);
    let said = move || words().filter_map(|word| Some((word, word.says.as_ref()?)));
    let is_followed = move |over: u64| {
        said().any(|(word, _)| word.begun > over && word.done.is_some_and(|at| at < asked_at))
    };
    let nothing = (!is_followed(0)).then_some(None);
    let last = said()
        .filter(move |(word, _)| !word.in_vain && word.over.is_none_or(|over| !is_followed(over)));
    nothing.into_iter().chain(last.map(|(_, says)| says.as_deref()))
}

/// Nothing is kept of jobs before all members understand it, as far as anybody knows.
///
/// # Errors
/// If something is.
pub fn is_understood(hosts: &[Host], partition: &Partition) -> Result<(), String> {
    let has_none = partition.jobs().next().is_none() && partition.job_tasks().next().is_none();
    let metas = hosts.iter().filter_map(|host| host.process.as_ref()?.scheduler.meta());
    if has_none || metas.map(|meta| meta.spoken).max() >= Some(SINCE) {
        return Ok(());
    }
    Err(format!("{} has jobs, and not all members know what that is", partition.id()))
}

/// All has come to rest.
///
/// # Errors
/// The first job that is not what it must be.
pub fn at_end(world: &World) -> Result<(), String> {
    for name in world.jobs.lasting.keys() {
        let id = name.partition(world.plan.partitions);
        let owned = owned(world, id).ok_or_else(|| format!("nobody owns {id}"))?;
        shown(world, name, owned.job(name).map(|state| &state.job), world.now)?;
    }
    let owned = partitions(world).filter_map(|id| owned(world, id));
    match owned
        .flat_map(|owned| owned.jobs())
        .find(|(name, _)| !world.jobs.lasting.contains_key(*name))
    {
        Some((name, _)) => Err(format!("nobody has defined {name}")),
        None => Ok(()),
    }
}

/// What waits to be run for a job, or to tell of it, is what it runs and is told of by: so it is after
/// each entry.
///
/// # Errors
/// The first task that is not.
pub fn nobody_waits_for_what_is_gone(partition: &Partition) -> Result<(), String> {
    for (name, _, task) in partition.job_tasks() {
        let Some(record) = partition.record(task) else {
            return Err(format!("{task} of {name} is open, and not there"));
        };
        let runs = partition.job(name).map(|state| &state.job.template.name);
        if waits(&record) && runs != Some(&record.template.name) {
            return Err(format!("{task} waits for {name}, which runs {runs:?}"));
        }
    }
    for (name, state) in partition.jobs() {
        let alert = state.job.alert.as_ref().map(|alert| &alert.template.name);
        let open = state.alerts_open.iter().filter_map(|task| partition.record(*task));
        if let Some(other) =
            open.filter(|record| waits(record)).find(|record| alert != Some(&record.template.name))
        {
            let task = &other.template.name;
            return Err(format!("{task} waits to tell of {name}, which is told of by {alert:?}"));
        }
    }
    Ok(())
}

const fn waits(record: &Record) -> bool {
    matches!(record.state(), State::Scheduled | State::Ready)
}
