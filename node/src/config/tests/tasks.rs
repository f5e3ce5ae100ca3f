//! What ends the second stage for tasks: neither command nor webhook, or one that cannot run. Each
//! case is a whole file and the whole report on it.

use umbel_protocol::task::{Options, Rate, UniquePolicy, UniqueScope};
use umbel_protocol::time::Span;

use super::{Work, parse, refused};

#[test]
fn a_task_is_one_thing() {
    refused(&[
        (
            r#"[tasks.a]
queue = "default""#,
            r#"
error: task `a` is neither a command nor a webhook
 --> cluster.toml:1:8
  |
1 | [tasks.a]
  |        ^
  = help: give it a command = ["program", "{argument}"] or a webhook = "https://...""#,
        ),
        (
            r#"[tasks.a]
webhook = "https://a"
command = ["a"]"#,
            r#"
error: task `a` is both a command and a webhook
 --> cluster.toml:3:1
  |
3 | command = ["a"]
  | ^^^^^^^
  = help: keep one of them, and give the other a [tasks.NAME] of its own"#,
        ),
        (
            r#"[tasks.a]
command = ["a"]
headers = {}
secret_env = "A"
allow_private = true"#,
            r#"
error: `headers` means nothing for a command
 --> cluster.toml:3:1
  |
3 | headers = {}
  | ^^^^^^^
  = help: only webhooks have it, remove it

error: `secret_env` means nothing for a command
 --> cluster.toml:4:1
  |
4 | secret_env = "A"
  | ^^^^^^^^^^
  = help: only webhooks have it, remove it

error: `allow_private` means nothing for a command
 --> cluster.toml:5:1
  |
5 | allow_private = true
  | ^^^^^^^^^^^^^
  = help: only webhooks have it, remove it

3 problems in cluster.toml"#,
        ),
        (
            r#"[tasks.a]
webhook = "https://a"
cwd = "/"
shell = true
memory = "64 MiB"
grace = "10s""#,
            r#"
error: `cwd` means nothing for a webhook
 --> cluster.toml:3:1
  |
3 | cwd = "/"
  | ^^^
  = help: only commands have it, remove it

error: `shell` means nothing for a webhook
 --> cluster.toml:4:1
  |
4 | shell = true
  | ^^^^^
  = help: only commands have it, remove it

error: `memory` means nothing for a webhook
 --> cluster.toml:5:1
  |
5 | memory = "64 MiB"
  | ^^^^^^
  = help: only commands have it, remove it

error: `grace` means nothing for a webhook
 --> cluster.toml:6:1
  |
6 | grace = "10s"
  | ^^^^^
  = help: only commands have it, remove it

4 problems in cluster.toml"#,
        ),
        (
            r#"[queues.reports]
[tasks.a]
command = ["a"]
queue = "report"
[tasks.b]
command = ["b"]
queue = "other""#,
            r#"
error: there is no queue `report`
 --> cluster.toml:4:9
  |
4 | queue = "report"
  |         ^^^^^^^^
  = help: did you mean `reports`? else list it: [queues.report]

error: there is no queue `other`
 --> cluster.toml:7:9
  |
7 | queue = "other"
  |         ^^^^^^^
  = help: list it: [queues.other]

2 problems in cluster.toml"#,
        ),
    ]);
}

#[test]
fn commands_are_lists_unless_they_are_for_the_shell() {
    refused(&[
        (
            r#"[tasks.a]
command = "sha256sum {path}""#,
            r#"
error: a command is a list of strings
 --> cluster.toml:2:11
  |
2 | command = "sha256sum {path}"
  |           ^^^^^^^^^^^^^^^^^^
  = help: write ["sha256sum", "{path}"], or set shell = true"#,
        ),
        (
            r#"[tasks.a]
command = "du -s * | sort""#,
            r#"
error: a command is a list of strings
 --> cluster.toml:2:11
  |
2 | command = "du -s * | sort"
  |           ^^^^^^^^^^^^^^^^
  = help: write each argument as a string of a list, or set shell = true"#,
        ),
        (
            r#"[tasks.a]
command = ["du", "-s"]
shell = true"#,
            r#"
error: a command for the shell is one string
 --> cluster.toml:2:11
  |
2 | command = ["du", "-s"]
  |           ^^^^^^^^^^^^
  = help: write it as a string, or leave out `shell`: lists need no shell"#,
        ),
        (
            r#"[tasks.a]
command = " "
shell = true"#,
            r#"
error: this is no command
 --> cluster.toml:2:11
  |
2 | command = " "
  |           ^^^
  = help: write what /bin/sh is to run"#,
        ),
        (
            "[tasks.a]
command = []",
            r#"
error: a command needs a program
 --> cluster.toml:2:11
  |
2 | command = []
  |           ^^
  = help: name the program first: ["program", "-x"]"#,
        ),
        (
            r#"[tasks.a]
command = ["", "x"]"#,
            r#"
error: a command needs a program, its first element is empty
 --> cluster.toml:2:12
  |
2 | command = ["", "x"]
  |            ^^
  = help: name the program first: ["program", "-x"]"#,
        ),
        (
            r#"[tasks.a]
command = ["{program}", "x"]"#,
            r#"
error: the program of a command cannot come from the arguments
 --> cluster.toml:2:12
  |
2 | command = ["{program}", "x"]
  |            ^^^^^^^^^^^
  = help: write the program as it is, and give each program a [tasks.NAME] of its own"#,
        ),
    ]);
}

#[test]
fn placeholders_name_arguments() {
    refused(&[
        (
            r#"[tasks.a]
command = ["echo", "{path"]"#,
            r#"
error: this `{` is not closed
 --> cluster.toml:2:21
  |
2 | command = ["echo", "{path"]
  |                     ^
  = help: write {key} for an argument, {{ for a literal brace"#,
        ),
        (
            r#"[tasks.a]
command = ["echo", "é {a.b}", "c"]"#,
            r#"
error: `{a.b}` is not the key of an argument
 --> cluster.toml:2:23
  |
2 | command = ["echo", "é {a.b}", "c"]
  |                       ^^^^^
  = help: a key has letters, digits, _ and -; for literal braces write {{ and }}"#,
        ),
        (
            r#"[tasks.a]
command = ["echo", "a}"]"#,
            r#"
error: this `}` closes nothing
 --> cluster.toml:2:22
  |
2 | command = ["echo", "a}"]
  |                      ^
  = help: write {key} for an argument, }} for a literal brace"#,
        ),
        (
            r#"[tasks.a]
command = ["echo", "\t{"]"#,
            r#"
error: this `{` is not closed
 --> cluster.toml:2:20
  |
2 | command = ["echo", "\t{"]
  |                    ^^^^^
  = help: write {key} for an argument, {{ for a literal brace"#,
        ),
        (
            r#"[tasks.a]
command = ["echo", "\u0000"]"#,
            r#"
error: a NUL character cannot be passed to a program
 --> cluster.toml:2:20
  |
2 | command = ["echo", "\u0000"]
  |                    ^^^^^^^^"#,
        ),
        (
            r#"[tasks.a]
command = ["echo"]
cwd = ""
env = { "A-B" = "x", C = "{}" }"#,
            r#"
error: `cwd` is not a path
 --> cluster.toml:3:7
  |
3 | cwd = ""
  |       ^^
  = help: leave it out, or name a path

error: "A-B" cannot be a variable
 --> cluster.toml:4:9
  |
4 | env = { "A-B" = "x", C = "{}" }
  |         ^^^^^
  = help: use A-Z a-z 0-9 and _, not starting with a digit

error: `{}` is not the key of an argument
 --> cluster.toml:4:27
  |
4 | env = { "A-B" = "x", C = "{}" }
  |                           ^^
  = help: a key has letters, digits, _ and -; for literal braces write {{ and }}

3 problems in cluster.toml"#,
        ),
    ]);
}

#[test]
fn webhooks_are_addresses_without_secrets() {
    refused(&[
        (
            r#"[tasks.a]
webhook = "example.net/hook""#,
            r#"
error: this is no URL: relative URL without a base
 --> cluster.toml:2:11
  |
2 | webhook = "example.net/hook"
  |           ^^^^^^^^^^^^^^^^^^
  = help: write https://HOST/PATH"#,
        ),
        (
            r#"[tasks.a]
webhook = "ftp://example.net""#,
            r#"
error: webhooks do not speak `ftp`
 --> cluster.toml:2:11
  |
2 | webhook = "ftp://example.net"
  |           ^^^^^^^^^^^^^^^^^^^
  = help: write https://HOST/PATH"#,
        ),
        (
            r#"[tasks.a]
webhook = "https://me:pw@example.net""#,
            r#"
error: an address is shown in logs, it cannot hold a password
 --> cluster.toml:2:11
  |
2 | webhook = "https://me:pw@example.net"
  |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  = help: sign the request: secret_env = "NAME" or secret_file = "PATH""#,
        ),
        (
            r#"[tasks.a]
webhook = "https://example.net/{id}""#,
            r#"
error: the address of a webhook has no places for arguments
 --> cluster.toml:2:11
  |
2 | webhook = "https://example.net/{id}"
  |           ^^^^^^^^^^^^^^^^^^^^^^^^^^
  = help: all arguments are in the body of the request, as JSON"#,
        ),
        (
            r#"[tasks.a]
webhook = "https://a"
secret_env = "A B""#,
            r#"
error: "A B" cannot be a variable
 --> cluster.toml:3:14
  |
3 | secret_env = "A B"
  |              ^^^^^
  = help: use A-Z a-z 0-9 and _, not starting with a digit"#,
        ),
        (
            r#"[tasks.a]
webhook = "https://a"
secret_env = "A"
secret_file = "b""#,
            r#"
error: the secret cannot be in two places
 --> cluster.toml:4:15
  |
4 | secret_file = "b"
  |               ^^^
  = help: keep one of them"#,
        ),
        (
            r#"[tasks.a]
webhook = "https://a"
headers = { "a b" = "c", X-A = "1", x-a = "2", Host = "h", X-Umbel-X = "y", b = "\n" }"#,
            r#"
error: "a b" cannot be a header
 --> cluster.toml:3:13
  |
3 | headers = { "a b" = "c", X-A = "1", x-a = "2", Host = "h", X-Umbel-X = "y", b = "\n" }
  |             ^^^^^
  = help: use letters, digits and -

error: header `x-a` is given twice
 --> cluster.toml:3:37
  |
3 | headers = { "a b" = "c", X-A = "1", x-a = "2", Host = "h", X-Umbel-X = "y", b = "\n" }
  |                                     ^^^
  = help: header names are the same in upper and lower case

error: header `host` is set by umbel
 --> cluster.toml:3:48
  |
3 | headers = { "a b" = "c", X-A = "1", x-a = "2", Host = "h", X-Umbel-X = "y", b = "\n" }
  |                                                ^^^^
  = help: remove it

error: header `x-umbel-x` is set by umbel
 --> cluster.toml:3:60
  |
3 | headers = { "a b" = "c", X-A = "1", x-a = "2", Host = "h", X-Umbel-X = "y", b = "\n" }
  |                                                            ^^^^^^^^^
  = help: remove it

error: header `b` cannot have this value
 --> cluster.toml:3:81
  |
3 | headers = { "a b" = "c", X-A = "1", x-a = "2", Host = "h", X-Umbel-X = "y", b = "\n" }
  |                                                                                 ^^^^
  = help: use printable ASCII characters

5 problems in cluster.toml"#,
        ),
    ]);
}

#[test]
fn webhooks_at_private_addresses_are_told_unless_they_are_meant() {
    let config = parse(
        r#"[tasks.metadata]
webhook = "http://169.254.169.254/latest"
[tasks.local]
webhook = "http://localhost:8080/"
allow_private = false"#,
    );
    assert_eq!(
        config.warnings.unwrap().to_string(),
        r#"warning: 169.254.169.254 is a link-local address: this webhook always fails
 --> cluster.toml:2:11
  |
2 | webhook = "http://169.254.169.254/latest"
  |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  = help: to have it reached write allow_private = true

warning: localhost is 127.0.0.1, a loopback address: this webhook always fails
 --> cluster.toml:4:11
  |
4 | webhook = "http://localhost:8080/"
  |           ^^^^^^^^^^^^^^^^^^^^^^^^
  = help: to have it reached write allow_private = true

2 warnings in cluster.toml"#
    );
    for name in ["metadata", "local"] {
        let Work::Webhook(webhook) = &config.tasks[name].work else { panic!("not a webhook") };
        assert!(!webhook.allow_private, "{name}");
    }
    let meant = "[tasks.a]\nwebhook = \"http://[::1]:80/\"\nallow_private = true";
    let config = parse(meant);
    let Work::Webhook(webhook) = &config.tasks["a"].work else { panic!("not a webhook") };
    assert!(webhook.allow_private && config.warnings.is_none());
}

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
