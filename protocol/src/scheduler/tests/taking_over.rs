//! A node takes over the partitions of one that is gone, with all that runs in them.

use super::*;
use crate::id::{GroupId, Lessee, Token};
use crate::membership::Liveness;
use crate::task::{RunEnd, State};
use crate::wire::{Answer, ExecutorSays, OwnerSays};

/// A cluster whose owner of task 1 is gone while a caller waits for it at another node.
struct Orphaned {
    network: Network,
    /// The node that owned it.
    gone: usize,
    /// The node whose executor runs it, and at which the caller waits.
    runner: usize,
    /// Its run.
    token: Token,
}

impl Orphaned {
    /// The task runs on the node that is gone if `there`, else elsewhere.
    fn new(there: bool) -> Self {
        let mut network = Network::formed(3, 3);
        let gone = network.owner(HERE);
        let caller = network.others(HERE)[0];
        let runner = if there { gone } else { caller };
        let lessee = network.lessee(runner);
        network.executor(gone, granted(lessee, 1));
        network.ask(caller, 1, submit_and_wait(&[1]));
        assert_eq!(network.take_answers().len(), 1);
        let [(_, run)] = &network.dispatched(runner)[..] else {
            panic!("not dispatched once: {:?}", network.told);
        };
        let token = run.token;
        network.told.clear();
        network.stop(gone);
        assert_ne!(network.owner(HERE), gone);
        Self { network, gone, runner, token }
    }

    /// The answer of the executor to the questions of the new owner.
    fn holds(&mut self, runs: &[(u64, Token)]) {
        let (owner, lessee) = (self.network.owner(HERE), self.network.lessee(self.runner));
        let question = self.network.told.iter().rev().find_map(|(by, to, says)| match says {
            OwnerSays::Ask { lessee: asked, partition: HERE, term } => {
                Some((*by, *to, *asked, *term))
            }
            _ => None,
        });
        let (by, to, asked, term) = question.expect("a question");
        assert_eq!((by, to, asked), (owner, self.runner, lessee));
        assert!(term > self.token.term);
        let runs = runs.iter().map(|(n, token)| (task(*n), *token)).collect();
        self.network.executor(owner, ExecutorSays::Holds { lessee, partition: HERE, term, runs });
    }

    fn state(&self) -> State {
        let owner = &self.network.nodes[self.network.owner(HERE)];
        owner.record(task(1)).unwrap().state()
    }
}

#[test]
fn a_run_that_goes_on_elsewhere_is_taken_over() {
    let mut orphaned = Orphaned::new(false);
    orphaned.holds(&[(1, orphaned.token)]);
    orphaned.network.pass(ms(1_000));
    assert_eq!(orphaned.state(), State::Leased);
    let Orphaned { mut network, runner, token, .. } = orphaned;
    let (owner, lessee) = (network.owner(HERE), network.lessee(runner));
    network.told.clear();
    network.executor(owner, ended(lessee, 1, token, success()));
    assert!(network.told.contains(&(owner, runner, closed(&[(1, token)]))));
    network.pass(ms(15_000));
    let told = network.take_answers();
    assert!(
        matches!(&told[..], [(at, 1, Answer::Finished(ends))] if *at == runner && ends.len() == 1),
        "the caller is told once: {told:?}"
    );
}

#[test]
fn a_run_that_never_began_is_leased_anew() {
    let mut orphaned = Orphaned::new(false);
    orphaned.holds(&[]);
    assert_eq!(orphaned.state(), State::Ready);
    let Orphaned { mut network, runner, token, .. } = orphaned;
    let (owner, lessee) = (network.owner(HERE), network.lessee(runner));
    network.told.clear();
    network.executor(owner, granted(lessee, 1));
    let [(by, run)] = &network.dispatched(runner)[..] else {
        panic!("not dispatched once: {:?}", network.told);
    };
    assert_eq!((*by, run.task), (owner, task(1)));
    assert!(run.token > token, "tokens only grow");
    assert_eq!(run.term, run.token.term);
}

#[test]
fn a_run_that_was_lost_with_the_owner_is_repeated_elsewhere() {
    let Orphaned { mut network, gone, .. } = Orphaned::new(true);
    let owner = network.owner(HERE);
    let record = network.nodes[owner].record(task(1)).unwrap();
    assert_eq!(record.state(), State::Ready);
    assert_eq!(record.history.as_ref().unwrap().runs[0].end, RunEnd::Unheard);
    let lessee = network.lessee(owner);
    network.executor(owner, granted(lessee, 1));
    assert_eq!(network.dispatched(owner).len(), 1);
    // It was only cut off.
    network.stopped.clear();
    network.all_hear(gone, Liveness::Alive);
    network.pass(ms(500));
    let record = network.nodes[owner].record(task(1)).unwrap();
    assert_eq!(record.history.as_ref().unwrap().crashes, 0);
}

#[test]
fn an_end_is_sent_on_to_the_owner() {
    let Orphaned { mut network, runner, token, .. } = Orphaned::new(false);
    let owner = network.owner(HERE);
    let other = *network.others(HERE).iter().find(|at| **at != owner).unwrap();
    let lessee = network.lessee(runner);
    network.told.clear();
    network.executor(other, ended(lessee, 1, token, success()));
    let owner = network.node_id(owner);
    let moved = OwnerSays::Moved { partition: HERE, owner };
    assert_eq!(network.told, [(other, runner, moved)]);
}

#[test]
fn who_has_no_copy_sends_an_end_on_to_one_who_has() {
    let mut network = Network::formed(5, 3);
    network.pass(ms(10_000));
    let holds = |network: &Network, at: usize| {
        network.nodes[at].scheduler.copy(GroupId::of(HERE)).is_some()
    };
    let strangers: Vec<usize> = (0..5).filter(|at| !holds(&network, *at)).collect();
    assert_eq!(strangers.len(), 2);
    let lessee = network.lessee(network.owner(HERE));
    let token = Token { term: 1, index: 2, position: 0 };
    for (stranger, other) in strangers.iter().copied().zip(strangers.iter().rev()) {
        let hearsay = network.node_id(*other);
        network.nodes[stranger].scheduler.owners.insert(HERE, hearsay);
        network.told.clear();
        network.executor(stranger, ended(lessee, 1, token, success()));
        let [(_, _, OwnerSays::Moved { partition: HERE, owner })] = network.told[..] else {
            panic!("{:?}", network.told)
        };
        // By hearsay alone two of them might point at each other for ever.
        assert!(holds(&network, network.index(owner)));
    }
}

#[test]
fn an_end_that_comes_before_the_answer_counts() {
    let orphaned = Orphaned::new(false);
    let Orphaned { mut network, runner, token, .. } = orphaned;
    let (owner, lessee) = (network.owner(HERE), network.lessee(runner));
    network.executor(owner, ended(lessee, 1, token, success()));
    let state = network.nodes[owner].record(task(1)).unwrap().state();
    assert_eq!(state, State::Succeeded);
}

#[test]
fn an_executor_that_began_anew_is_not_waited_for() {
    let orphaned = Orphaned::new(false);
    let Orphaned { mut network, runner, .. } = orphaned;
    let owner = network.owner(HERE);
    let lessee = Lessee { executor: 2, ..network.lessee(runner) };
    network.executor(owner, ExecutorSays::Introduce { lessee, profile: profile(1) });
    network.executor(owner, granted(lessee, 1));
    network.told.clear();
    network.pass(ms(200));
    assert_eq!(network.dispatched(runner).len(), 1, "{:?}", network.told);
}
