//! What nodes fill in from declarations has no part in whether two submissions are the same.

use proptest::prelude::*;

use super::*;

fn options() -> impl Strategy<Value = Options> {
    // Few values, so that what is said is often what another declaration says.
    let maybe = || prop::option::of(1..3_u8);
    let span = |part: Option<u8>| part.map(|n| ms(u64::from(n)));
    (maybe(), maybe(), maybe(), maybe(), maybe(), 0..2_u64).prop_map(
        move |(priority, attempts, first, most, limit, delay)| Options {
            priority,
            attempts_max: attempts.map(u16::from),
            backoff_first: span(first),
            backoff_max: span(most),
            time_limit: span(limit),
            delay: ms(delay),
            ..Options::default()
        },
    )
}

fn queue() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "default", "mail"]).prop_map(str::to_owned)
}

/// What a caller says, and what the task is declared with when a node takes it.
fn said() -> impl Strategy<Value = Template> {
    (queue(), options()).prop_map(|(queue, options)| Template { queue, ..with(options) })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_same_submission_stays_the_same_under_any_declaration(
        said in said(), other in said(), at_first in options(), later in options(),
    ) {
        let mut owner = Owner::new();
        let task = owner.id();
        prop_assert_eq!(owner.hand_in(task, &said.completed("mail", &at_first)), Ok(true));
        assert_unchanged(&mut owner, |owner| {
            assert_eq!(owner.hand_in(task, &said.completed("default", &later)), Ok(false));
            let answer = if said == other { Ok(false) } else { Err(Refusal::Conflict) };
            assert_eq!(owner.hand_in(task, &other.completed("mail", &at_first)), answer);
            assert_eq!(owner.hand_in(task, &other.completed("default", &later)), answer);
        });
    }

    #[test]
    fn what_is_filled_in_can_be_told_from_what_was_said(
        said in said(), at_first in options(), later in options(),
    ) {
        let whole = said.completed("mail", &at_first);
        prop_assert_eq!(&whole.said(), &said);
        prop_assert_eq!(whole.completed("default", &later), said.completed("default", &later));
        prop_assert_eq!(whole.options.priority, said.options.priority.or(at_first.priority));
        prop_assert_eq!(
            whole.options.attempts_max, said.options.attempts_max.or(at_first.attempts_max)
        );
        // The executor's own declaration counts, and only a caller can ask for a delay.
        prop_assert_eq!(whole.options.time_limit, said.options.time_limit);
        prop_assert_eq!(whole.options.delay, said.options.delay);
    }
}
