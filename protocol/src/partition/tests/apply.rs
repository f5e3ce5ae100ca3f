//! Whose entries count, what time it is, and how the commands of an entry follow each other.

use super::super::Grant;
use super::*;

#[test]
fn a_proposal_of_another_term_has_no_effect() {
    let mut owner = Owner::new();
    let (task, token) = owner.run(&plain(), executor(1));
    let fresh = owner.id();
    let commands = vec![
        accept(&[(fresh, &plain())]),
        Command::Report {
            lessee: executor(1),
            reports: vec![Report { task, token, outcome: succeeded() }],
        },
        Command::Cancel { task },
    ];
    let at = owner.clock + ms(60_000);
    for (written, entered) in [(3, 4), (4, 5), (0, 4)] {
        let proposal = Proposal::new(written, at, commands.clone());
        let mut changes = Vec::new();
        assert_unchanged(&mut owner, |owner| {
            owner.partition.apply(owner.index + 1, entered, proposal, &mut changes);
        });
        assert_eq!(changes, [], "written in {written}, entered in {entered}");
    }
    assert_eq!(owner.partition.now(), START);
}

#[test]
fn partition_time_is_what_the_entry_says_and_never_goes_back() {
    let mut owner = Owner::new();
    assert_eq!(owner.partition.now(), Wall::EPOCH);
    owner.write(Vec::new());
    assert_eq!(owner.partition.now(), START);
    owner.wait(ms(7));
    owner.write(Vec::new());
    assert_eq!(owner.partition.now(), START + ms(7));
    owner.clock = START;
    let task = owner.submit(&delayed(ms(100)));
    assert_eq!(owner.partition.now(), START + ms(7));
    assert_eq!(owner.record(task).accepted_at, START + ms(7));
    assert_eq!(owner.not_before(task), START + ms(107));
}

#[test]
fn commands_take_effect_in_their_order() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let (first, token) = owner.run(&plain(), lessee);
    let second = owner.submit(&plain());
    let third = owner.id();
    let reports = vec![Report { task: first, token, outcome: succeeded() }];
    let changes = owner.write(vec![
        Command::Report { lessee, reports },
        Command::Lease { lessee, tasks: vec![second] },
        accept(&[(third, &plain())]),
        Command::Cancel { task: third },
        accept(&[(third, &plain())]),
    ]);
    let second_token = Token { term: 4, index: owner.index, position: 0 };
    let accepted = |ordinal, known| Change::Accepted {
        ordinal,
        refused: Vec::new(),
        known,
        unused: Vec::new(),
    };
    assert_eq!(
        changes,
        [
            Change::Finished { task: first },
            Change::Closed { task: first, token, lessee },
            Change::Leased { task: second, token: second_token, lessee },
            Change::Ready { task: third },
            accepted(0, 0),
            Change::Finished { task: third },
            accepted(1, 1),
        ]
    );
    assert_eq!(owner.state(third), State::Cancelled);
}

#[test]
fn every_lease_of_an_entry_has_a_token_of_its_own() {
    let mut owner = Owner::new();
    let (a, b) = (owner.submit(&plain()), owner.submit(&plain()));
    let (c, d) = (owner.id(), owner.id());
    let grants = vec![Grant { lessee: executor(2), rows: 2 }];
    let changes = owner.write(vec![
        Command::Lease { lessee: executor(1), tasks: vec![b, a] },
        Command::Accept { batch: Arc::new(batch(&[(c, &plain()), (d, &plain())])), grants },
    ]);
    let leased: Vec<_> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Leased { task, token, lessee } => Some((*task, token.position, *lessee)),
            _ => None,
        })
        .collect();
    assert_eq!(
        leased,
        [(b, 0, executor(1)), (a, 1, executor(1)), (c, 2, executor(2)), (d, 3, executor(2))]
    );
    for (task, position, lessee) in leased {
        let token = Token { term: owner.term, index: owner.index, position };
        let lease = Lease { lessee, token, since: START, cancelling: false };
        assert_eq!(*owner.record(task).phase(), Phase::Leased(Box::new(lease)));
    }
}
