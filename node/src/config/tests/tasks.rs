//! What ends the second stage for tasks: neither command nor webhook, or one that cannot run. Each
//! case is a whole file and the whole report on it.

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
