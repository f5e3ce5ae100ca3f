//! Which options are refused, and what is said of them.

use super::*;
use crate::task::{Batch, Particulars, Row, Template};

const fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}

#[track_caller]
fn refused(options: Options) -> String {
    options.check().expect_err("it makes no sense").to_string()
}

#[test]
fn each_option_has_its_range_and_says_its_name() {
    let none = Options::default;
    assert_eq!(none().check(), Ok(()));
    let day = 24 * 3_600 * 1_000;
    let cases = [
        (Options { priority: Some(10), ..none() }, "priority must be 0 to 9"),
        (Options { attempts_max: Some(0), ..none() }, "attempts must be 1 to 1000"),
        (Options { attempts_max: Some(1_001), ..none() }, "attempts must be 1 to 1000"),
        (Options { crashes_max: Some(0), ..none() }, "crashes must be 1 to 16"),
        (Options { crashes_max: Some(17), ..none() }, "crashes must be 1 to 16"),
        (Options { delay: ms(367 * day), ..none() }, "delay must be at most 366 days"),
        (Options { expires: Some(Span::ZERO), ..none() }, "expires must be 1 ms to 366 days"),
        (Options { deadline: Some(ms(367 * day)), ..none() }, "deadline must be 1 ms to 366 days"),
        (Options { soft_limit: Some(Span::ZERO), ..none() }, "soft_limit must be 1 ms to 366 days"),
        (Options { time_limit: Some(Span::ZERO), ..none() }, "time_limit must be 1 ms to 366 days"),
        (Options { retention: Some(ms(999)), ..none() }, "retention must be 1 s to 366 days"),
        (
            Options { time_limit: Some(ms(367 * day)), ..none() },
            "time_limit must be 1 ms to 366 days",
        ),
        (
            Options { backoff_first: Some(ms(367 * day)), ..none() },
            "backoff_first must be at most 366 days",
        ),
        (
            Options { backoff_max: Some(ms(367 * day)), ..none() },
            "backoff_max must be at most 366 days",
        ),
        (
            Options { backoff_list: Some(Vec::new()), ..none() },
            "backoff_list must be 1 to 32 pauses of at most 366 days",
        ),
        (
            Options { backoff_list: Some(vec![ms(1); 33]), ..none() },
            "backoff_list must be 1 to 32 pauses of at most 366 days",
        ),
        (
            Options { backoff_list: Some(vec![ms(1), ms(367 * day)]), ..none() },
            "backoff_list must be 1 to 32 pauses of at most 366 days",
        ),
    ];
    for (options, told) in cases {
        assert_eq!(refused(options.clone()), told, "{options:?}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let none = Options::default;
    let list = || Some(vec![ms(1)]);
    let told = refused(Options { backoff_list: list(), backoff_first: Some(ms(1)), ..none() });
    assert!(told.starts_with("`backoff_list` and `backoff_first` or `backoff_max`: "), "{told}");
    refused(Options { backoff_list: list(), backoff_max: Some(ms(1)), ..none() });
    let told = refused(Options { at_most_once: Some(true), attempts_max: Some(2), ..none() });
    assert!(told.starts_with("`at_most_once` and more than one attempt, or pauses"), "{told}");
    for pauses in [
        Options { backoff_list: list(), ..none() },
        Options { backoff_first: Some(ms(1)), ..none() },
        Options { backoff_max: Some(ms(1)), ..none() },
    ] {
        refused(Options { at_most_once: Some(true), ..pauses });
    }
    let told = refused(Options { at_most_once: Some(true), crashes_max: Some(2), ..none() });
    assert!(told.starts_with("`at_most_once` and `crashes`: "), "{told}");
    let once = Options { at_most_once: Some(true), attempts_max: Some(1), ..none() };
    assert_eq!(once.check(), Ok(()));
    let limits = |soft, hard| Options {
        soft_limit: Some(ms(soft)),
        time_limit: Some(ms(hard)),
        ..Options::default()
    };
    assert!(refused(limits(5, 5)).starts_with("`soft_limit` and `time_limit`: "));
    assert_eq!(limits(4, 5).check(), Ok(()));
    let told = refused(Options { deadline: Some(ms(4)), ..limits(4, 5) });
    assert!(told.starts_with("`soft_limit` and `deadline`: "), "{told}");
    let pauses = |first, longest| Options {
        backoff_first: Some(ms(first)),
        backoff_max: Some(ms(longest)),
        ..Options::default()
    };
    assert!(refused(pauses(6, 5)).starts_with("`backoff_first` and `backoff_max`: "));
    assert_eq!(pauses(5, 5).check(), Ok(()));
}

#[test]
fn a_task_waits_for_one_time_only() {
    let mut template = Template::new("add");
    template.options.delay = ms(5);
    let id = crate::id::TaskId::new(Wall::from_millis(7), crate::id::PartitionId(0), 1);
    let particulars =
        Particulars { not_before: Some(Wall::from_millis(9)), ..Particulars::NONE }.boxed();
    let row = Row { particulars, ..Row::new(id, 0, bytes::Bytes::new()) };
    let batch = Batch { templates: vec![template], rows: vec![row] };
    let told = batch.check().expect_err("which of the two?").to_string();
    assert!(told.starts_with("`delay` and `at`: "), "{told}");
}

#[test]
fn a_task_may_start_before_it_is_given_up() {
    let until = |millis| {
        let mut template = Template::new("add");
        template.options.expires_at = Some(Wall::from_millis(millis));
        let at = Some(Wall::from_millis(9));
        Particulars { not_before: at, ..Particulars::NONE }.check(&template)
    };
    assert_eq!(until(10), Ok(()));
    let told = until(9).expect_err("it never could").to_string();
    assert!(told.starts_with("`at` and `expires_at`: "), "{told}");
}

#[test]
fn what_is_declared_in_another_way_gives_way() {
    let declared = Options {
        attempts_max: Some(7),
        backoff_first: Some(ms(1)),
        backoff_max: Some(ms(9)),
        deadline: Some(ms(50)),
        ..Options::default()
    };
    let completed = |options| {
        let template = Template { options, ..Template::new("add") };
        let whole = template.completed("mail", &declared);
        assert_eq!(whole.check(), Ok(()));
        assert_eq!(whole.said(), template, "what was said can still be told");
        whole.options
    };
    let whole = completed(Options { backoff_list: Some(vec![ms(3); 2]), ..Options::default() });
    assert_eq!((whole.backoff_first, whole.backoff_max), (None, None));
    assert_eq!((whole.attempts_max(), whole.deadline), (3, Some(ms(50))));
    let whole = completed(Options { at_most_once: Some(true), ..Options::default() });
    assert_eq!((whole.attempts_max(), whole.attempts_max), (1, None));
    let declared = Options { at_most_once: Some(true), ..Options::default() };
    let template = Template::new("add");
    let options = Options { attempts_max: Some(4), ..Options::default() };
    let whole = Template { options, ..template.clone() }.completed("mail", &declared);
    assert_eq!((whole.check(), whole.options.is_at_most_once()), (Ok(()), false));
    assert!(template.completed("mail", &declared).options.is_at_most_once());
    let declared = Options {
        backoff_first: Some(ms(10)),
        backoff_max: Some(ms(20)),
        soft_limit: Some(ms(10)),
        time_limit: Some(ms(20)),
        ..Options::default()
    };
    let completed = |options| {
        let whole = Template { options, ..Template::new("add") }.completed("mail", &declared);
        assert_eq!(whole.check(), Ok(()));
        let options = whole.options;
        [options.backoff_first, options.backoff_max, options.soft_limit, options.time_limit]
    };
    let short = Options { backoff_max: Some(ms(5)), time_limit: Some(ms(5)), ..Options::default() };
    assert_eq!(completed(short), [Some(ms(5)), Some(ms(5)), None, Some(ms(5))]);
    let long =
        Options { backoff_first: Some(ms(30)), soft_limit: Some(ms(30)), ..Options::default() };
    assert_eq!(completed(long), [Some(ms(30)), None, Some(ms(30)), None]);
}

#[test]
fn a_soft_limit_is_shorter_than_the_time_limit_that_will_hold() {
    let declared = Options { time_limit: Some(ms(30)), ..Options::default() };
    let soft = |limit| Options { soft_limit: Some(ms(limit)), ..Options::default() };
    assert_eq!(soft(29).check_times(&declared), Ok(()));
    let refused = soft(30).check_times(&declared).expect_err("it would never be told");
    assert!(refused.to_string().contains("longer `time_limit`"), "{refused}");
    let both = Options { time_limit: Some(ms(40)), ..soft(30) };
    assert_eq!(both.check_times(&declared), Ok(()), "what is said counts");
    let declared = Options { deadline: Some(ms(30)), ..Options::default() };
    let refused = soft(30).check_times(&declared).expect_err("it would never be told");
    assert!(refused.to_string().contains("a longer `deadline`"), "{refused}");
    assert_eq!(soft(30).check_times(&Options::default()), Ok(()));
}

#[test]
fn no_pause_is_longer_than_the_longest_that_was_said() {
    let options = Options { backoff_max: Some(ms(200)), ..Options::default() };
    let template = Template { options, ..Template::new("add") };
    let whole = template.completed("mail", &Options::default());
    assert_eq!((whole.options.backoff(1), whole.options.backoff(9)), (ms(200), ms(200)));
    assert_eq!(whole.said(), template);
}
