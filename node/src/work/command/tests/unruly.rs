//! Programs that do several things at once which they should not.

use futures_util::FutureExt as _;

use super::*;

#[tokio::test]
async fn a_program_that_never_stops_talking_is_ended_at_its_time_limit() {
    let bench = Bench::new();
    let limited = bench.shell("yes & yes >&2").time_limit(Duration::from_millis(200));
    let outcome = bench.run(limited, "null").await;
    let kept = detail(&outcome);
    for output in ["stdout", "stderr"] {
        let said = kept[output].as_str().unwrap();
        assert!(said.len() <= CAPTURE_BYTES_MAX + 64, "{output}: {}", said.len());
    }
    let (kind, message) = failure(outcome);
    assert_eq!(kind, FailureKind::TimedOut, "{message}");
}

#[tokio::test]
async fn output_that_comes_faster_than_it_is_read_leaves_all_else_a_turn() {
    let run = tokio::spawn(async {
        let mut excerpt = Excerpt::new(0);
        let endless = capture(Some(tokio::io::repeat(b'y')), &mut excerpt, Lines::new(None, false));
        let (tell, told) = tokio::sync::oneshot::channel();
        tell.send(()).unwrap();
        let end = async {
            tokio::task::yield_now().await;
            told.await.unwrap();
        };
        alongside(&mut pin!(endless), end).await;
    });
    tokio::time::timeout(NEVER, run).await.expect("its end has a turn").unwrap();
}

#[tokio::test]
async fn a_child_that_outlives_its_program_and_does_not_listen_is_killed() {
    let bench = Bench::new().grace(Duration::from_millis(50));
    // The second one has closed all that could tell of it.
    let text = "trap '' TERM; sleep 1000 & echo $! > child; \
                (exec sleep 1000 <&- >&- 2>&-) & echo $! > silent; echo done";
    let (stdout, _) = output(bench.run(bench.shell(text), "null").await);
    assert_eq!(stdout, "done\n");
    for name in ["child", "silent"] {
        assert!(!lives(bench.pid(name).await), "{name}");
    }
}

#[tokio::test]
async fn nobody_waits_for_what_is_left_behind_when_the_run_is_over() {
    use std::future::{pending, ready};
    let waited = |rest_is_gone: bool, is_over: bool| {
        let until = async |met: bool| if met { ready(()).await } else { pending().await };
        linger(until(rest_is_gone), until(is_over)).now_or_never()
    };
    assert_eq!((waited(true, false), waited(false, true)), (Some(()), Some(())));
    assert_eq!(waited(false, false), None);
}

#[tokio::test]
async fn a_program_that_has_closed_its_outputs_and_hangs_is_ended_at_its_time_limit() {
    let bench = Bench::new().grace(Duration::from_millis(50));
    let text =
        "trap '' TERM; echo said; exec <&- >&- 2>&-; echo $$ > pid; while :; do sleep 1; done";
    // On a busy machine it may need longer to come as far as this is about.
    let mut limit = Duration::from_millis(100);
    let (outcome, pid) = loop {
        let outcome = bench.run(bench.shell(text).time_limit(limit), "null").await;
        match bench.written("pid") {
            Some(pid) => break (outcome, pid),
            None => limit *= 2,
        }
    };
    assert_eq!(detail(&outcome)["signal"], "SIGKILL");
    let expected = format!("it took longer than its limit of {limit:?}: said");
    assert_eq!(failure(outcome), (FailureKind::TimedOut, expected), "not that memory is short");
    assert!(!lives(pid));
}
