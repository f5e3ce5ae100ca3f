//! Dropping what ended long ago: records become stubs, stubs go below the floor.

use super::*;

fn forget(owner: &mut Owner, finished: u32, floor: Wall) {
    forget_of(owner, each(finished), floor);
}

fn forget_of(owner: &mut Owner, finished: Shelves<u32>, floor: Wall) {
    let changes = owner.order(Command::Forget { finished, floor });
    assert_eq!(changes, []);
}

#[test]
fn what_ended_first_is_forgotten_first() {
    let mut owner = Owner::new();
    let (slow, token) = owner.run(&plain(), executor(1));
    let quick = owner.finished();
    let second = owner.finished();
    let open = owner.submit(&plain());
    owner.report(executor(1), slow, token, succeeded());

    forget(&mut owner, 2, Wall::EPOCH);
    assert_eq!(owner.partition.stub(quick), Some(State::Succeeded));
    assert_eq!(owner.partition.stub(second), Some(State::Succeeded));
    assert_eq!(owner.state(slow), State::Succeeded);
    assert_eq!(owner.partition.fill().stubs, 2);

    forget(&mut owner, 100, Wall::EPOCH);
    assert_eq!(owner.partition.stub(slow), Some(State::Succeeded));
    assert_eq!(owner.state(open), State::Ready);
    let fill = owner.partition.fill();
    assert_eq!((fill.open, fill.finished, fill.stubs), (1, Shelves::default(), 3));
}

#[test]
fn each_way_to_end_is_forgotten_by_itself() {
    let mut owner = Owner::new();
    let (failing, token) = owner.run(&plain(), executor(1));
    owner.report(executor(1), failing, token, failed(FailureKind::Permanent));
    let cancelled = owner.submit(&plain());
    owner.cancel(cancelled);
    let late = owner.submit(&expiring(owner.clock));
    owner.order(Command::Expire { tasks: vec![late] });
    let done = owner.finished();
    let kept = |owner: &Owner| Shelves::of(|shelf| owner.partition.fill().finished[shelf].tasks);
    assert_eq!(kept(&owner), Shelves { succeeded: 1, stopped: 2, dead: 1 });

    forget_of(&mut owner, Shelves { succeeded: 9, ..each(0) }, Wall::EPOCH);
    assert_eq!(owner.partition.stub(done), Some(State::Succeeded));
    assert_eq!(kept(&owner), Shelves { succeeded: 0, stopped: 2, dead: 1 });
    forget_of(&mut owner, Shelves { stopped: 1, ..each(0) }, Wall::EPOCH);
    assert_eq!(owner.partition.stub(cancelled), Some(State::Cancelled));
    assert_eq!(owner.state(late), State::Expired);
    forget_of(&mut owner, Shelves { dead: 1, ..each(0) }, Wall::EPOCH);
    assert_eq!(owner.partition.stub(failing), Some(State::Dead));
    assert_eq!(kept(&owner), Shelves { succeeded: 0, stopped: 1, dead: 0 });
}

#[test]
fn stubs_go_when_the_floor_has_passed_their_ids() {
    let mut owner = Owner::new();
    let old = owner.finished();
    let also_old = owner.finished();
    let floor = owner.clock;
    owner.wait(ms(1));
    let kept = owner.finished();
    forget(&mut owner, 3, floor);
    assert_eq!(owner.partition.dedup_floor(), floor);
    assert_eq!([old, also_old].map(|task| owner.partition.stub(task)), [None, None]);
    assert_eq!(owner.partition.stub(kept), Some(State::Succeeded));
}

#[test]
fn the_floor_never_goes_back() {
    let mut owner = Owner::new();
    let floor = owner.clock + ms(500);
    forget(&mut owner, 0, floor);
    forget(&mut owner, 0, START);
    assert_eq!(owner.partition.dedup_floor(), floor);
    let id = owner.id();
    assert_eq!(owner.hand_in(id, &plain()), Err(Refusal::TooOld));
}

#[test]
fn a_floor_that_stands_drops_no_stubs() {
    let mut owner = Owner::new();
    forget(&mut owner, 0, START - ms(1));
    let task = owner.finished();
    forget(&mut owner, 1, START - ms(1));
    assert_eq!(owner.partition.stub(task), Some(State::Succeeded));
}

#[test]
fn an_id_that_the_floor_has_passed_needs_no_stub() {
    let mut owner = Owner::new();
    let (task, token) = owner.run(&plain(), executor(1));
    owner.wait(ms(60_000));
    let floor = owner.clock;
    forget(&mut owner, 0, floor);
    owner.report(executor(1), task, token, succeeded());
    forget(&mut owner, 1, floor);
    // Else the owner would try for ever to get rid of it.
    assert!(!owner.partition.has_stubs_before(floor));
    assert_eq!(owner.partition.fill().stubs, 0);
    assert_eq!(owner.hand_in(task, &plain()), Err(Refusal::TooOld));
}

#[test]
fn templates_are_kept_as_long_as_a_record_uses_them() {
    let mut owner = Owner::new();
    let (shared, single) = (plain(), tried(9));
    for template in [&shared, &single] {
        let (task, token) = owner.run(template, executor(1));
        owner.report(executor(1), task, token, succeeded());
    }
    owner.submit(&shared);
    assert_eq!(owner.partition.templates.len(), 2);
    forget(&mut owner, 2, Wall::EPOCH);
    assert_eq!(
        owner.partition.templates.keys().map(|t| (**t).clone()).collect::<Vec<_>>(),
        [shared]
    );
}

#[test]
fn the_owner_can_tell_how_many_ended_before_a_time() {
    let mut owner = Owner::new();
    for _ in 0..3 {
        owner.finished();
        owner.wait(ms(10));
    }
    owner.submit(&plain());
    let before = |millis| owner.partition.finished_before(Shelf::Succeeded, START + ms(millis));
    assert_eq!([0, 1, 10, 11, 20, 21, 999].map(before), [0, 1, 1, 2, 2, 3, 3]);
}

#[test]
fn the_owner_can_tell_where_the_floor_must_be_for_fewer_stubs() {
    let mut owner = Owner::new();
    for _ in 0..20 {
        owner.finished();
        owner.wait(ms(1));
    }
    forget(&mut owner, 20, Wall::EPOCH);
    let partition = &owner.partition;
    assert_eq!(partition.stub_floor(20), None);
    assert_eq!(partition.stub_floor(21), None);
    // Eight are too many, and three more so that it is not needed again at once.
    let floor = partition.stub_floor(12).unwrap();
    assert_eq!(floor, START + ms(10));
    assert!(partition.has_stubs_before(START));
    assert!(!partition.has_stubs_before(START - ms(1)));
    forget(&mut owner, 0, floor);
    assert_eq!(owner.partition.fill().stubs, 9);
    assert_eq!(owner.partition.stub_floor(0), Some(START + ms(19)));
}

fn kept_for(retention: Span) -> Template {
    with(Options { retention: Some(retention), ..Options::default() })
}

#[test]
fn what_says_for_how_long_it_is_kept_goes_by_that_alone() {
    let mut owner = Owner::new();
    let mut end = |template| {
        let (task, token) = owner.run(&template, executor(1));
        owner.report(executor(1), task, token, succeeded());
        task
    };
    let long = end(kept_for(ms(60_000)));
    let brief = end(kept_for(ms(1_000)));
    let plain = end(plain());
    let fill = owner.partition.fill();
    assert_eq!((fill.timed.tasks, fill.finished.succeeded.tasks), (2, 1));
    assert_eq!(owner.partition.outlived(owner.clock), 0);
    owner.wait(ms(1_000));
    assert_eq!(owner.partition.outlived(owner.clock), 1);

    forget(&mut owner, 9, Wall::EPOCH);
    assert_eq!(owner.partition.stub(plain), Some(State::Succeeded));
    let until = owner.clock;
    assert_eq!(owner.order(Command::ForgetTimed { tasks: 9, until }), []);
    assert_eq!(owner.partition.stub(brief), Some(State::Succeeded));
    assert_eq!(owner.state(long), State::Succeeded);
    let copy = Partition::from_bytes(&owner.partition.to_bytes()).unwrap();
    assert_counted(&copy);
    assert_eq!(copy.outlived(owner.clock + ms(60_000)), 1);
    owner.order(Command::Delete { task: long });
    assert_eq!(owner.partition.stub(long), Some(State::Succeeded));
    assert_eq!(owner.partition.fill().timed, Room::default());
}

#[test]
fn of_a_result_that_is_ignored_nothing_is_kept() {
    let mut owner = Owner::new();
    let ignored = with(Options { ignore_result: Some(true), ..Options::default() });
    let (task, token) = owner.run(&ignored, executor(1));
    let large = Outcome::Succeeded(Bytes::from(vec![b'7'; 9_000]));
    owner.report(executor(1), task, token, large);
    assert_eq!(owner.record(task).phase(), &Phase::Succeeded(Bytes::from_static(b"null")));
    assert!(owner.partition.fill().bytes < 9_000);
}
