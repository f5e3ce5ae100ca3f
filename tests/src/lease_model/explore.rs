//! Visits every state that a model can get into, breadth first, so that what is found first is found
//! by the shortest way.
//!
//! **Safety** is checked by the model itself at every step. **Liveness** is checked once all states
//! are known: from each of them a state of rest must be within reach by *fair* steps alone, those
//! that happen by themselves if one only waits. In a finite graph that is the same as: whoever takes
//! every step that offers itself again and again comes to rest, wherever faults have left the system.
//! Repeats make circles of most of our ways, so it is the graph that must be looked at and not its
//! paths one by one.
//!
//! States are told apart by 128 bits of their digest; only those of the front are kept.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::thread;

use xxhash_rust::xxh3::xxh3_128;

/// States that are expanded together.
const BATCH: usize = 8_192;

/// Something with states and steps between them.
pub trait Model: Sync {
    /// A state.
    type State: Clone + Send + Sync;
    /// A step that may be taken.
    type Action: Debug;

    /// Where all begins.
    fn start(&self) -> Self::State;

    /// Appends all steps that may be taken, always in the same order.
    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>);

    /// Takes a step.
    ///
    /// # Errors
    /// What it breaks.
    fn next(&self, state: &Self::State, action: &Self::Action)
    -> Result<Step<Self::State>, String>;

    /// Whether a step happens by itself, sooner or later, as long as it offers itself.
    fn is_fair(&self, action: &Self::Action) -> bool;

    /// Whether nothing is left to be done.
    fn is_at_rest(&self, state: &Self::State) -> bool;

    /// Bytes that are equal for states from which the same may follow.
    fn digest(&self, state: &Self::State, bytes: &mut Vec<u8>);
}

/// Where a step leads.
pub struct Step<S> {
    /// The state after it.
    pub state: S,
    /// What happened that must be possible.
    pub seen: Vec<&'static str>,
}

/// What was visited.
#[derive(Debug, Default)]
pub struct Report {
    /// States.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    /// States of rest.
    pub at_rest: usize,
    /// What happened in any step.
    pub seen: BTreeSet<&'static str>,
    /// Whether the search was given up at so many states as were allowed.
    pub cut: bool,
    /// What is wrong.
    pub broken: Option<Counterexample>,
}

/// A shortest way to something that must not be.
#[derive(Debug)]
pub struct Counterexample {
    /// What is wrong.
    pub what: String,
    /// The steps that lead there.
    pub steps: Vec<String>,
}

struct Known {
    parent: u32,
    action: u16,
}

struct Found<S> {
    from: u32,
    action: u16,
    fair: bool,
    digest: u128,
    to: Result<(S, bool), String>,
    seen: Vec<&'static str>,
}

/// Visits all states of `model`, at most `limit`.
pub fn explore<M: Model>(model: &M, limit: usize) -> Report {
    let mut search = Search::new(model);
    let mut front = vec![(0, model.start())];
    while !front.is_empty() && !search.report.cut {
        search.report.depth += 1;
        let mut next = Vec::new();
        for batch in front.chunks(BATCH) {
            for found in expand_all(model, batch) {
                if let Some(broken) = search.take(found, &mut next) {
                    search.report.broken = Some(broken);
                    return search.report;
                }
            }
            search.report.cut = search.known.len() > limit;
            if search.report.cut {
                break;
            }
        }
        front = next;
    }
    search.report.depth = search.report.depth.saturating_sub(1);
    if !search.report.cut {
        search.report.broken = search.trap();
    }
    search.report
}

struct Search<'a, M: Model> {
    model: &'a M,
    ids: HashMap<u128, u32>,
    known: Vec<Known>,
    rest: Vec<u32>,
    /// Fair steps, by where they lead and whence.
    fair: Vec<(u32, u32)>,
    report: Report,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M) -> Self {
        let start = model.start();
        let mut rest = Vec::new();
        if model.is_at_rest(&start) {
            rest.push(0);
        }
        let ids = HashMap::from([(digest(model, &start, &mut Vec::new()), 0)]);
        let known = vec![Known { parent: 0, action: 0 }];
        let report = Report { states: 1, ..Report::default() };
        Self { model, ids, known, rest, fair: Vec::new(), report }
    }

    /// Takes in where a step led; what is wrong with it.
    fn take(
        &mut self,
        found: Found<M::State>,
        next: &mut Vec<(u32, M::State)>,
    ) -> Option<Counterexample> {
        let Found { from, action, fair, digest, to, seen } = found;
        self.report.steps += 1;
        self.report.seen.extend(seen);
        let (state, at_rest) = match to {
            Ok(to) => to,
            Err(what) => {
                let mut way = self.way(from);
                way.push(action);
                return Some(Counterexample { what, steps: self.tell(&way) });
            }
        };
        let fresh = u32::try_from(self.known.len()).expect("memory ends before");
        let id = *self.ids.entry(digest).or_insert(fresh);
        if id == fresh {
            self.known.push(Known { parent: from, action });
            self.report.states += 1;
            if at_rest {
                self.rest.push(id);
                self.report.at_rest += 1;
            }
            next.push((id, state));
        }
        if fair && id != from {
            self.fair.push((id, from));
        }
        None
    }

    /// A shortest way to a state from which no fair steps lead to rest.
    fn trap(&mut self) -> Option<Counterexample> {
        self.fair.sort_unstable();
        let mut leads = vec![false; self.known.len()];
        let mut open = std::mem::take(&mut self.rest);
        for id in &open {
            leads[*id as usize] = true;
        }
        while let Some(to) = open.pop() {
            let first = self.fair.partition_point(|(id, _)| *id < to);
            for (_, from) in self.fair[first..].iter().take_while(|(id, _)| *id == to) {
                if !std::mem::replace(&mut leads[*from as usize], true) {
                    open.push(*from);
                }
            }
        }
        let trap = leads.iter().position(|leads| !leads)?;
        let way = self.way(u32::try_from(trap).expect("it is an id"));
        let what = "it never comes to rest from here, whatever happens by itself".to_owned();
        Some(Counterexample { what, steps: self.tell(&way) })
    }

    fn way(&self, mut to: u32) -> Vec<u16> {
        let mut way = Vec::new();
        while to != 0 {
            let Known { parent, action } = self.known[to as usize];
            way.push(action);
            to = parent;
        }
        way.reverse();
        way
    }

    fn tell(&self, way: &[u16]) -> Vec<String> {
        let mut state = self.model.start();
        let mut told = Vec::new();
        for place in way {
            let mut actions = Vec::new();
            self.model.actions(&state, &mut actions);
            let action = &actions[usize::from(*place)];
            told.push(format!("{action:?}"));
            if let Ok(step) = self.model.next(&state, action) {
                state = step.state;
            }
        }
        told
    }
}

fn digest<M: Model>(model: &M, state: &M::State, bytes: &mut Vec<u8>) -> u128 {
    bytes.clear();
    model.digest(state, bytes);
    xxh3_128(bytes)
}

/// Takes all steps from all states of `batch`, on two threads, and tells of them in order.
fn expand_all<M: Model>(model: &M, batch: &[(u32, M::State)]) -> Vec<Found<M::State>> {
    let (first, second) = batch.split_at(batch.len() / 2);
    if first.is_empty() {
        return expand(model, second);
    }
    thread::scope(|scope| {
        let other = scope.spawn(|| expand(model, second));
        let mut found = expand(model, first);
        found.extend(other.join().expect("a model that panics has a bug"));
        found
    })
}

fn expand<M: Model>(model: &M, batch: &[(u32, M::State)]) -> Vec<Found<M::State>> {
    let mut all = Vec::new();
    let mut actions = Vec::new();
    let mut bytes = Vec::new();
    for (from, state) in batch {
        actions.clear();
        model.actions(state, &mut actions);
        for (place, action) in (0_u16..).zip(&actions) {
            let (fair, mut seen, mut mark) = (model.is_fair(action), Vec::new(), 0);
            let to = model.next(state, action).map(|step| {
                mark = digest(model, &step.state, &mut bytes);
                seen = step.seen;
                let at_rest = model.is_at_rest(&step.state);
                (step.state, at_rest)
            });
            all.push(Found { from: *from, action: place, fair, digest: mark, to, seen });
        }
    }
    all
}
