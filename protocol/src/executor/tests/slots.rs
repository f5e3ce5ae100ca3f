//! Whose slots are: home's while nobody else wants them, and counted anew at every introduction.

use super::*;
use crate::limits::CROSSING_MAX;

#[test]
fn home_gets_all_slots_when_it_is_introduced() {
    let mut host = Host::unheard(4);
    assert_eq!(host.step(Event::Reached(HOME)), [introduce(HOME, 4), grant(HOME, &[4, 1])]);
    assert_eq!(host.executor.free(), [4, 1]);
}

#[test]
fn other_nodes_get_no_slots_for_being_reached() {
    let mut host = Host::new(4);
    assert_eq!(host.step(Event::Reached(OTHER)), [introduce(OTHER, 4)]);
}

#[test]
fn other_nodes_are_told_nothing_before_this_one_is_a_member() {
    let mut host = Host::stranger(4);
    assert_eq!(host.step(Event::Reached(HOME)), [introduce(HOME, 4), grant(HOME, &[4, 1])]);
    assert_eq!(host.step(Event::Reached(OTHER)), []);
    assert_eq!(host.step(Event::Admitted), [introduce(OTHER, 4)]);
    assert_eq!(host.step(Event::Reached(THIRD)), [introduce(THIRD, 4)]);
    assert_eq!(host.step(Event::Admitted), [], "it is told again when its scheduler begins anew");
}

#[test]
fn slots_are_kept_for_nobody_while_home_is_not_there() {
    let mut host = Host::unheard(4);
    assert_eq!(host.demand(OTHER, &[3, 0]), [grant(OTHER, &[3, 0])]);
    assert_eq!(host.step(Event::Reached(HOME)), [introduce(HOME, 4), grant(HOME, &[1, 1])]);
}

#[test]
fn a_wish_recalls_what_home_does_not_use() {
    let mut host = Host::new(4);
    assert_eq!(host.demand(OTHER, &[2, 0]), [recall(&[2, 0])]);
    assert_eq!(host.give_back(HOME, &[2, 0]), [grant(OTHER, &[2, 0])]);
    // That was all that was wanted.
    assert_eq!(host.give_back(HOME, &[1, 0]), [grant(HOME, &[1, 0])]);
}

#[test]
fn no_more_is_recalled_than_home_has_idle() {
    let mut host = Host::busy(3);
    host.finish(&[1]);
    assert_eq!(host.demand(OTHER, &[256, 0]), [recall(&[1, 0])]);
}

#[test]
fn what_home_gives_back_beyond_the_wish_is_its_own_again() {
    let mut host = Host::new(4);
    host.demand(OTHER, &[1, 0]);
    assert_eq!(host.give_back(HOME, &[3, 0]), [grant(HOME, &[2, 0]), grant(OTHER, &[1, 0])]);
}

#[test]
fn home_is_not_asked_for_slots_that_it_wants_itself() {
    let mut host = Host::new(4);
    assert_eq!(host.demand(HOME, &[1, 0]), []);
    assert_eq!(host.demand(OTHER, &[2, 0]), []);
}

#[test]
fn wishes_of_several_nodes_are_added_up_and_met_in_part() {
    let mut host = Host::new(4);
    host.demand(OTHER, &[1, 0]);
    assert_eq!(host.demand(THIRD, &[2, 0]), [recall(&[3, 0])]);
    let granted = host.give_back(HOME, &[2, 0]);
    // One of the three is still wanted.
    assert_eq!(granted, [grant(OTHER, &[1, 0]), grant(THIRD, &[1, 0]), recall(&[1, 0])]);
}

#[test]
fn pools_are_apart() {
    let mut host = Host::new(4);
    assert_eq!(host.demand(OTHER, &[0, 5]), [recall(&[0, 1])]);
    assert_eq!(host.give_back(HOME, &[0, 1]), [grant(OTHER, &[0, 1]),]);
    let own = Template { queue: "own".to_owned(), ..Template::new("zip") };
    let says = OwnerSays::Dispatch { lessee: ME, templates: vec![own], runs: vec![run(1)] };
    assert_eq!(host.hear(OTHER, says).len(), 1, "it starts");
    assert_eq!(host.executor.free(), [4, 0]);
}

#[test]
fn nobody_gives_back_more_than_it_holds() {
    let mut host = Host::new(4);
    assert_eq!(host.give_back(THIRD, &[2, 0]), []);
    host.demand(OTHER, &[1, 0]);
    host.give_back(HOME, &[1, 0]);
    assert_eq!(host.give_back(OTHER, &[9, 9]), [grant(HOME, &[1, 0])]);
    assert_eq!(host.executor.free(), [4, 1]);
}

#[test]
fn slots_of_another_that_are_not_used_come_back() {
    let mut host = Host::new(4);
    host.demand(OTHER, &[2, 0]);
    host.give_back(HOME, &[2, 0]);
    // It is watched for two seconds at a time.
    assert_eq!(host.pass(Span::from_millis(3_000)), []);
    assert_eq!(host.pass(Span::from_millis(1_000)), [grant(HOME, &[2, 0])]);
    // Too late to give them back.
    assert_eq!(host.give_back(OTHER, &[2, 0]), []);
}

#[test]
fn of_slots_of_another_those_come_back_that_it_never_needs() {
    let mut host = Host::new(4);
    host.demand(OTHER, &[3, 1]);
    host.give_back(HOME, &[3, 1]);
    // One grant of three got lost, and it goes on with what it has.
    for n in 1..8 {
        assert_eq!(host.dispatch(OTHER, vec![run(n)]), [start(&run(n))]);
        host.finish(&[n]);
        host.close(OTHER, &[n]);
        let came_back = match n {
            4 => vec![grant(HOME, &[2, 1])],
            _ => vec![],
        };
        assert_eq!(host.pass(Span::from_millis(1_000)), came_back, "after {n} s");
        host.demand(OTHER, &[1, 0]);
        host.give_back(HOME, &[1, 0]);
    }
}

#[test]
fn slots_of_a_node_that_is_not_heard_of_are_for_others_at_once() {
    let mut host = Host::new(4);
    host.demand(OTHER, &[3, 0]);
    host.give_back(HOME, &[2, 0]);
    // It held two and wanted one more: neither counts any more.
    assert_eq!(host.step(Event::Unheard(OTHER)), [grant(HOME, &[2, 0])]);
    assert_eq!(host.give_back(HOME, &[1, 0]), [grant(HOME, &[1, 0])]);
    assert_eq!(host.demand(THIRD, &[1, 0]), [recall(&[1, 0])]);
    // It was only out of reach: it asks again.
    assert_eq!(host.step(Event::Reached(OTHER)), [introduce(OTHER, 4), recall(&[1, 0])]);
    assert_eq!(host.demand(OTHER, &[1, 0]), [recall(&[2, 0])]);
    assert_eq!(host.step(Event::Unheard(HOME)), [], "a node hears itself");
}

#[test]
fn what_is_dispatched_late_is_no_longer_kept_but_runs_if_there_is_room() {
    let mut host = Host::new(4);
    host.demand(OTHER, &[2, 0]);
    host.give_back(HOME, &[2, 0]);
    assert_eq!(host.pass(Span::from_millis(3_500)), []);
    assert_eq!(host.dispatch(OTHER, vec![run(1)]), [start(&run(1))]);
    let back = [beat(OTHER, &[1]), grant(HOME, &[1, 0])];
    assert_eq!(host.pass(Span::from_millis(1_000)), back, "the other one");
    host.give_back(HOME, &[1, 0]);
    assert_eq!(host.dispatch(OTHER, vec![run(2)]).len(), 1);
}

#[test]
fn an_introduction_counts_the_slots_of_a_node_anew() {
    let mut host = Host::new(4);
    host.demand(OTHER, &[3, 0]);
    host.give_back(HOME, &[2, 0]);
    // It holds two and wants one more; whoever is introduced to has heard of neither.
    let effects = host.step(Event::Reached(OTHER));
    assert_eq!(effects, [introduce(OTHER, 4), grant(HOME, &[2, 0])]);
    assert_eq!(host.demand(OTHER, &[1, 0]), [recall(&[1, 0])]);
}

#[test]
fn an_introduction_to_home_grants_it_what_is_idle_and_not_what_runs() {
    let mut host = Host::new(4);
    host.dispatch(HOME, vec![run(1)]);
    assert_eq!(host.step(Event::Reached(HOME)), [introduce(HOME, 4), grant(HOME, &[3, 1])]);
    assert_eq!(host.executor.free(), [3, 1]);
}

#[test]
fn what_is_meant_for_an_earlier_start_is_answered_with_an_introduction() {
    let earlier = Lessee { executor: 1, ..ME };
    let says = [
        OwnerSays::Ask { lessee: earlier, partition: PartitionId(0), term: 99 },
        OwnerSays::Demand { lessee: earlier, wanted: vec![2, 0] },
        OwnerSays::Dispatch { lessee: earlier, templates: vec![template()], runs: vec![run(1)] },
        OwnerSays::Return { lessee: earlier, slots: vec![2, 0] },
    ];
    let mut host = Host::new(4);
    for says in says {
        assert_eq!(host.hear(OTHER, says.clone()), [introduce(OTHER, 4)], "{says:?}");
    }
    // None of it had any other effect.
    assert_eq!(host.executor.held(), 0);
    assert_eq!(host.dispatch(HOME, vec![run(1)]), [start(&run(1))]);
}

#[test]
fn slots_may_become_more_and_fewer_while_runs_take_them() {
    let mut host = Host::busy(3);
    assert_eq!(host.step(Event::Learned(profile(5))), []);
    assert_eq!(host.step(Event::Reached(HOME)), [introduce(HOME, 5), grant(HOME, &[2, 1])]);
    assert_eq!(host.executor.free(), [2, 1]);
    host.step(Event::Learned(profile(2)));
    host.step(Event::Reached(HOME));
    assert_eq!((host.executor.held(), host.executor.free()), (3, vec![0, 1]), "all three go on");
    // What was on its way is not refused: of a task that is never started twice that would be the end.
    assert_eq!(host.dispatch(HOME, vec![run(7)]), [start(&run(7))]);
    host.finish(&[1, 2]);
    assert_eq!(host.executor.free(), [0, 1], "there are as many as there may be");
    // No more were on their way than had been granted.
    assert_eq!(host.dispatch(HOME, vec![run(9)]), [start(&run(9))]);
    assert_eq!(host.dispatch(HOME, vec![run(10)]), [never_had(HOME, &[10])]);
    host.finish(&[7]);
    host.pass(CROSSING_MAX);
    assert_eq!(host.dispatch(HOME, vec![run(8)]), [never_had(HOME, &[8])]);
    host.finish(&[3]);
    assert_eq!(host.executor.free(), [1, 1]);
}
