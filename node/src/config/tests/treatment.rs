//! How tasks are treated, as a file says it, and what of that contradicts itself. Each case is a whole file and
//! the whole report on it.

use umbel_protocol::task::{Options, Rate, UniquePolicy, UniqueScope};
use umbel_protocol::time::Span;

use super::{parse, refused};

#[test]
fn how_a_task_is_treated_can_be_said_in_full() {
    let config = parse(
        r#"[tasks.a]
command = ["a"]
backoff_list = ["0s", "1m30s"]
time_limit = "10s"
soft_limit = "9s"
expires = "5m"
deadline = "1h"
crashes = 1
[tasks.b]
webhook = "http://[::1]:80/b"
at_most_once = true
unique_until = "10m"
if_exists = "replace"
[tasks.c]
command = ["c"]
concurrency = 2
rate = "20/min"
lost_after = "30s"
[tasks.d]
command = ["d"]
exclusive = true"#,
    );
    let millis = Span::from_millis;
    let expected = Options {
        backoff_list: Some(vec![Span::ZERO, millis(90_000)]),
        time_limit: Some(millis(10_000)),
        soft_limit: Some(millis(9_000)),
        expires: Some(millis(300_000)),
        deadline: Some(millis(3_600_000)),
        crashes_max: Some(1),
        ..Options::default()
    };
    assert_eq!(config.tasks["a"].options, expected);
    let options = &config.tasks["b"].options;
    assert!(options.is_at_most_once() && options.time_limit == Some(millis(30_000)));
    assert_eq!(options.unique_scope(), UniqueScope::For(millis(600_000)));
    assert_eq!(options.unique_policy(), UniquePolicy::Replace);
    let limits = &config.tasks["c"].options;
    let rate = Rate { count: 20, per: millis(60_000) };
    assert_eq!((limits.concurrency, limits.rate), (Some(2), Some(rate)));
    assert_eq!(limits.lost_after, Some(millis(30_000)));
    assert!(config.tasks["d"].options.is_exclusive());
}

#[test]
fn what_contradicts_itself_is_refused_where_it_stands() {
    refused(&[
        (
            r#"[tasks.a]
command = ["a"]
backoff_list = ["1s"]
backoff_max = "1m"
soft_limit = "1m"
time_limit = "1m""#,
            r#"
error: `backoff_list` and pauses that double exclude each other
 --> cluster.toml:3:16
  |
3 | backoff_list = ["1s"]
  |                ^^^^^^
  = help: keep it, or `backoff_first` and `backoff_max`

error: `soft_limit` is not shorter than `time_limit`
 --> cluster.toml:5:14
  |
5 | soft_limit = "1m"
  |              ^^^^
  = help: a run is told some time before it is stopped

2 problems in cluster.toml"#,
        ),
        (
            r#"[tasks.a]
command = ["a"]
attempts = 2
at_most_once = true
backoff_list = []"#,
            r#"
error: what is never started twice cannot be tried again
 --> cluster.toml:4:16
  |
4 | at_most_once = true
  |                ^^^^
  = help: keep it, or attempts and the pauses before them

error: `backoff_list` has 0 pauses
 --> cluster.toml:5:16
  |
5 | backoff_list = []
  |                ^^
  = help: use 1 to 32

2 problems in cluster.toml"#,
        ),
        (
            r#"[tasks.a]
command = ["a"]
at_most_once = true
backoff_max = "1m"
crashes = 2
soft_limit = "1h"
deadline = "1h""#,
            r#"
error: what is never started twice cannot be tried again
 --> cluster.toml:3:16
  |
3 | at_most_once = true
  |                ^^^^
  = help: keep it, or attempts and the pauses before them

error: what is never started twice takes one node with it at most
 --> cluster.toml:3:16
  |
3 | at_most_once = true
  |                ^^^^
  = help: keep it, or `crashes`

error: `soft_limit` is not shorter than `deadline`
 --> cluster.toml:6:14
  |
6 | soft_limit = "1h"
  |              ^^^^
  = help: no run takes so long before its time is over

3 problems in cluster.toml"#,
        ),
        (
            r#"[tasks.a]
webhook = "http://[::1]:80/a"
soft_limit = "1s"
crashes = 17
unique_until = "noon"
if_exists = "ignore""#,
            r#"
error: `soft_limit` means nothing for a webhook
 --> cluster.toml:3:1
  |
3 | soft_limit = "1s"
  | ^^^^^^^^^^
  = help: only commands have it, remove it

error: `crashes` cannot be 17
 --> cluster.toml:4:11
  |
4 | crashes = 17
  |           ^^
  = help: use 1 to 16

error: `unique_until` cannot be "noon"
 --> cluster.toml:5:16
  |
5 | unique_until = "noon"
  |                ^^^^^^
  = help: use "started", "finished" or a length of time

error: `if_exists` cannot be "ignore"
 --> cluster.toml:6:13
  |
6 | if_exists = "ignore"
  |             ^^^^^^^^
  = help: use "existing" or "replace" or "refuse"

4 problems in cluster.toml"#,
        ),
    ]);
}
