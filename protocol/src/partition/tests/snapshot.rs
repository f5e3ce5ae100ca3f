//! A partition as bytes: nothing is lost, equal states are equal bytes, other bytes are refused.

use super::super::CorruptSnapshot;
use super::*;

/// A partition with tasks of every state, stubs, shared templates and a past.
fn eventful() -> Owner {
    let mut owner = Owner::new();
    let lessee = executor(1);
    owner.finished();
    let dead = owner.run(&tried(1), lessee);
    owner.report(lessee, dead.0, dead.1, failed(FailureKind::Error));
    let finished = Shelves { succeeded: 1, ..each(0) };
    owner.order(Command::Forget { finished, floor: START - ms(1_000) });
    owner.wait(ms(50));
    owner.finished();
    let retried = owner.run(&plain(), lessee);
    owner.report(lessee, retried.0, retried.1, failed(FailureKind::Error));
    owner.submit(&delayed(ms(9_000)));
    let lost = owner.submit(&tried(9));
    owner.crash(lost, executor(2), Loss::Unheard);
    let cancelling = owner.run(&plain(), lessee);
    owner.cancel(cancelling.0);
    let cancelled = owner.submit(&plain());
    owner.cancel(cancelled);
    let expired = owner.submit(&expiring(START));
    owner.order(Command::Expire { tasks: vec![expired] });
    // Ended last, though its id is the first of those that are left.
    let late = TaskId::new(START, PARTITION, 0);
    assert_eq!(owner.hand_in(late, &plain()), Ok(true));
    owner.cancel(late);
    let states: BTreeSet<State> =
        owner.partition.records().map(|(_, record)| record.state()).collect();
    assert_eq!(states.len(), State::ALL.len());
    owner
}

#[test]
fn nothing_is_lost() {
    let owner = eventful();
    let bytes = owner.partition.to_bytes();
    let restored = Partition::from_bytes(&bytes).unwrap();
    assert_counted(&restored);
    assert_eq!(restored.fill(), owner.partition.fill());
    assert_eq!(restored.tally.finished, owner.partition.tally.finished);
    assert!(restored.records().eq(owner.partition.records()));
    assert_eq!(restored.stubs, owner.partition.stubs);
    assert_eq!(restored.templates, owner.partition.templates);
    assert_eq!(restored.id(), PARTITION);
    assert_eq!(restored.now(), owner.partition.now());
    assert_eq!(restored.dedup_floor(), START - ms(1_000));
    assert!(restored.to_bytes() == bytes);
}

#[test]
fn a_restored_partition_goes_on_like_the_other() {
    let mut owner = eventful();
    let mut restored = eventful();
    restored.partition = Partition::from_bytes(&owner.partition.to_bytes()).unwrap();
    let go_on = |owner: &mut Owner| {
        let task = owner.submit(&plain());
        owner.crash(task, executor(1), Loss::Unheard);
        let next = owner.finished();
        let changes = owner.order(Command::Forget { finished: each(3), floor: START });
        (task, next, changes, owner.partition.to_bytes())
    };
    assert!(go_on(&mut owner) == go_on(&mut restored));
}

#[test]
fn an_empty_partition_is_a_state_like_any_other() {
    let empty = Partition::new(PARTITION);
    let restored = Partition::from_bytes(&empty.to_bytes()).unwrap();
    assert_eq!(restored.fill(), super::super::Fill::default());
    assert!(restored.to_bytes() == empty.to_bytes());
}

#[test]
fn the_way_to_a_state_does_not_show() {
    let build = |detour: bool| {
        let mut owner = Owner::new();
        let (a, b) = (owner.id(), owner.id());
        if detour {
            // Refused, known and mismatched things on the way; templates in another order.
            owner.accept(&[(b, &tried(9)), (a, &plain()), (b, &plain()), (a, &plain())]);
        } else {
            owner.accept(&[(b, &tried(9)), (a, &plain())]);
        }
        owner.partition.to_bytes()
    };
    assert!(build(false) == build(true));
}

#[test]
fn part_of_a_snapshot_is_not_taken_for_one() {
    let bytes = eventful().partition.to_bytes();
    for len in 0..bytes.len() {
        let error = Partition::from_bytes(&bytes[..len]).unwrap_err();
        assert!(matches!(error, CorruptSnapshot::Malformed(_)), "{len}: {error}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(Partition::from_bytes(&longer).is_err());
}

#[test]
fn a_record_without_its_template_is_refused() {
    let mut owner = Owner::new();
    let task = owner.submit(&plain());
    let bytes = owner.partition.to_bytes();
    let place = bytes.windows(args().len()).position(|at| at == args()).unwrap() - 2;
    let mut broken = bytes;
    assert_eq!(broken[place], 0, "here its template is named");
    broken[place] = 1;
    let error = Partition::from_bytes(&broken).unwrap_err();
    assert_eq!(error, CorruptSnapshot::NoTemplate { task });
    assert!(error.to_string().contains(&task.to_string()), "{error}");
}
