//! Waking up: by work, by a read, by a message, by suspicion of the leader's node; and without the
//! harm that clocks which stood still could do.

use super::super::quiescence::QUIET_TICKS;
use super::super::{Body, CAMPAIGN_SPREAD, CAMPAIGN_TICKS, Change, ELECTION_TICKS, RaftKind, Role};
use super::sent::{Sent, told_to};
use super::world::{A, B, C, D, GROUP, World, copy, node, stored};

/// Three copies that sleep, `A` the leader.
fn sleeping() -> World {
    let mut world = World::led(3);
    world.until(40, |world| world.hosts.iter().all(|host| host.group.is_asleep()));
    world.run(1_000);
    world.sent.clear();
    world
}

fn awake(world: &World) -> Vec<usize> {
    (0..world.hosts.len()).filter(|at| !world.hosts[*at].group.is_asleep()).collect()
}

#[test]
fn work_wakes_all() {
    let mut world = sleeping();
    world.propose(A, "x").unwrap();
    assert_eq!(awake(&world), [A], "it begins to tick at once");
    world.settle();
    assert_eq!(awake(&world), [A, B, C]);
    for at in [A, B, C] {
        assert_eq!(world.told(at), ["x"]);
    }
    world.run(40);
    assert_eq!(awake(&world), []);
}

#[test]
fn a_read_wakes_all() {
    let mut world = sleeping();
    world.group(A).read_index(9);
    assert_eq!(awake(&world), [A]);
    world.settle();
    assert_eq!(awake(&world), [A, B, C]);
    assert_eq!(world.hosts[A].reads.len(), 1, "and it is confirmed");
}

#[test]
fn a_change_of_the_copies_wakes_all() {
    let mut world = sleeping();
    let learners = vec![(world.group(A).roster().next_replica(), node(D))];
    let change = Change { learners, ..Change::default() };
    world.group(A).propose_change(&change).unwrap();
    assert_eq!(awake(&world), [A]);
    world.settle();
    assert_eq!(awake(&world), [A, B, C]);
    assert!(world.hosts.iter().all(|host| host.changes == 1));
}

#[test]
fn a_handover_wakes_the_leader() {
    let mut world = sleeping();
    world.group(A).hand_over(node(B));
    assert_eq!(awake(&world), [A]);
    world.settle();
    assert_eq!(world.leaders(), [B]);
    assert_eq!(awake(&world), [A, B, C]);
}

#[test]
fn a_message_of_raft_wakes_whom_it_reaches() {
    let mut world = sleeping();
    world.group(A).wake();
    world.drain(A);
    world.lose(|sent| sent.to == C);
    world.settle();
    assert_eq!(awake(&world), [A, B]);
}

#[test]
fn a_leader_that_is_woken_speaks_at_once() {
    let mut world = sleeping();
    world.group(A).wake();
    let sent = world.drain(A);
    assert_eq!(told_to(&sent, RaftKind::Heartbeat), [B, C]);
    world.settle();
    assert_eq!(awake(&world), [A, B, C]);
    assert_eq!(world.leaders(), [A]);
    // It stays awake for as long as if there had been work.
    world.run(QUIET_TICKS as usize - 1);
    assert_eq!(awake(&world), [A, B, C]);
}

#[test]
fn waking_who_is_awake_changes_nothing() {
    let mut world = World::led(3);
    world.group(A).wake();
    world.group(B).wake();
    assert!(!world.group(A).has_work());
    assert!(!world.group(B).has_work());
}

#[test]
fn a_leader_that_wakes_does_not_depose_itself_for_the_time_it_slept() {
    let mut world = sleeping();
    // A quorum check may have been due when it fell asleep, and the one before it unanswered.
    world.group(A).raw.raft.election_elapsed = ELECTION_TICKS - 1;
    for (_, progress) in world.group(A).raw.raft.mut_prs().iter_mut() {
        progress.recent_active = false;
    }
    world.group(A).wake();
    // Nobody hears it for a while.
    world.cut.insert(A);
    for _ in 0..ELECTION_TICKS {
        world.group(A).tick();
        world.drain(A);
        assert_eq!(world.group(A).role(), Role::Leader);
    }
    world.cut.clear();
    world.run(2 * ELECTION_TICKS);
    assert_eq!(world.leaders(), [A]);
}

#[test]
fn a_leader_that_wakes_counts_its_followers_as_there() {
    let mut world = sleeping();
    for (_, progress) in world.group(A).raw.raft.mut_prs().iter_mut() {
        progress.recent_active = false;
    }
    world.group(A).wake();
    assert!(world.group(A).is_caught_up(copy(B)));
}

#[test]
fn a_follower_that_wakes_does_not_campaign_for_the_time_it_slept() {
    let mut world = sleeping();
    world.group(B).raw.raft.election_elapsed = 2 * CAMPAIGN_TICKS;
    world.group(B).wake();
    for _ in 1..CAMPAIGN_TICKS {
        world.group(B).tick();
        assert!(world.drain(B).is_empty());
    }
    assert_eq!(world.group(B).leader(), Some(node(A)));
}

#[test]
fn suspicion_of_the_leader_s_node_makes_followers_campaign_within_three_ticks() {
    for (jitter, ticks) in [(0, 1), (1, 2), (2, 3), (7, 3)] {
        let mut world = sleeping();
        world.cut.insert(A);
        for at in [B, C] {
            world.group(at).suspect_leader(node(A), jitter);
        }
        assert_eq!(awake(&world), [B, C]);
        for tick in 1..=ticks {
            world.group(B).tick();
            let campaigns = world.drain(B).iter().any(|sent| sent.is(RaftKind::PreVote));
            assert_eq!(campaigns, tick == ticks, "jitter {jitter}, tick {tick}");
        }
        // And it gets the vote of the other one, which no longer protects that leader.
        world.settle();
        assert_eq!(world.leaders(), [A, B]);
        assert_eq!(world.group(B).term(), world.group(A).term() + 1);
    }
}

#[test]
fn suspicion_told_at_every_tick_does_not_put_the_campaign_off() {
    let mut world = sleeping();
    world.cut.insert(A);
    for jitter in [2, 2, 2] {
        for at in [B, C] {
            world.group(at).suspect_leader(node(A), jitter);
        }
        world.group(C).tick();
        world.settle();
    }
    assert_eq!(world.leaders(), [A, C]);
}

#[test]
fn suspicion_of_another_node_wakes_nobody() {
    let mut world = sleeping();
    world.group(B).suspect_leader(node(C), 0);
    world.group(A).suspect_leader(node(A), 0);
    world.group(A).suspect_leader(node(B), 0);
    world.run(10);
    assert_eq!(awake(&world), []);
    assert_eq!(world.sent, []);
}

#[test]
fn suspicion_that_was_wrong_deposes_nobody() {
    let mut world = sleeping();
    let term = world.group(A).term();
    world.group(B).suspect_leader(node(A), 0);
    world.run(40);
    assert_eq!(world.leaders(), [A]);
    assert_eq!(world.group(A).term(), term);
    assert_eq!(awake(&world), [], "all sleep again");
}

#[test]
fn a_copy_that_restarts_wakes_the_others_and_deposes_nobody() {
    let mut world = sleeping();
    let term = world.group(A).term();
    world.crash(B);
    world.until(CAMPAIGN_TICKS + 10, |world| awake(world) == [A, B, C]);
    world.until(2, |world| world.hosts[B].group.leader() == Some(node(A)));
    world.until(60, |world| awake(world).is_empty());
    assert_eq!((world.leaders(), world.group(A).term()), (vec![A], term));
}

#[test]
fn a_leader_that_restarts_while_all_sleep_is_not_protected_from_itself() {
    let mut world = sleeping();
    world.say(A, "x");
    world.run(40);
    assert_eq!(awake(&world), []);
    world.crash(A);
    let ticks = world.until(60, |world| !world.leaders().is_empty());
    assert!(ticks < CAMPAIGN_TICKS + CAMPAIGN_SPREAD, "{ticks}");
    assert_eq!(world.leaders(), [A], "it has everything, and nobody else had to wait so long");
    assert_eq!(world.told(A), ["x"]);
}

#[test]
fn a_question_of_old_for_votes_does_not_make_anybody_forget_the_leader() {
    let mut world = World::of(3);
    world.group(A).campaign();
    world.settle();
    let old = world.sent.iter().find(|sent| sent.to == B && sent.is(RaftKind::PreVote)).cloned();
    world.until(40, |world| awake(world).is_empty());
    world.hand(old.unwrap());
    assert_eq!(world.group(B).leader(), Some(node(A)));
}

#[test]
fn a_leader_that_slept_while_it_was_replaced_finds_out() {
    let mut world = sleeping();
    world.cut.insert(A);
    for at in [B, C] {
        world.group(at).suspect_leader(node(A), at);
    }
    let next = world.succeed();
    world.say(next, "x");
    world.run(100);
    assert!(world.group(A).is_asleep(), "nobody has told it");
    // What it believes does no harm: a read needs the others, and none of them answers it.
    world.group(A).read_index(1);
    world.propose(A, "lost").unwrap();
    world.settle();
    assert_eq!((world.hosts[A].reads.len(), world.told(A).len()), (0, 0));
    world.cut.clear();
    world.run(3);
    assert_eq!(world.leaders(), [next]);
    assert_eq!(world.told(A), ["x"]);
}

/// Four copies that sleep, of which `D` learns and has just started again; it had written down what
/// it knew, but not that the last entry is committed.
fn forgetful_learner() -> World {
    let mut world = World::open(stored(GROUP, 3, 1));
    world.lead(A);
    world.say(A, "x");
    world.until(40, |world| awake(world).is_empty());
    world.crash(D);
    world.run(100);
    assert_eq!(awake(&world), [D], "nobody tells it anything, and it asks for no vote");
    world
}

#[test]
fn a_copy_that_started_again_while_all_sleep_wakes_them_by_asking() {
    let mut world = forgetful_learner();
    world.group(A).ask_stray(copy(D));
    world.settle();
    assert_eq!(awake(&world), [A, B, C, D]);
    world.until(40, |world| awake(world).is_empty());
    assert_eq!(world.told(D), ["x"]);
}

#[test]
fn a_copy_that_sleeps_wakes_nobody_by_asking() {
    let mut world = sleeping();
    for (asks, hears) in [(B, A), (A, B), (A, A), (D, A)] {
        world.group(hears).ask_stray(copy(asks));
        world.settle();
        assert_eq!(awake(&world), []);
    }
    let asked = |sent: &Sent| matches!(sent.message.body, Body::Sleep { .. });
    let asked = world.sent.iter().filter(|sent| asked(sent)).count();
    assert_eq!(asked, 1, "only a leader asks back, and copies only");
}
