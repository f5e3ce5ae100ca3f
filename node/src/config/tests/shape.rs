//! What ends the first stage: text that is no TOML, unknown keys, wrong types. Each case is a whole
//! file and the whole report on it.

use super::refused;

#[test]
fn syntax_errors_are_reported_alone() {
    refused(&[
        (
            r#"[cluster
replicas = "x""#,
            "
error: unclosed table, expected `]`
 --> cluster.toml:1:9
  |
1 | [cluster
  |         ^",
        ),
        (
            r#"[cluster]
name = "umbel
replicas = 9"#,
            r#"
error: invalid basic string, expected `"`
 --> cluster.toml:2:14
  |
2 | name = "umbel
  |              ^"#,
        ),
        (
            "[cluster]
replicas = 3
replicas = 5",
            "
error: `replicas` is said twice here
 --> cluster.toml:3:1
  |
3 | replicas = 5
  | ^^^^^^^^
  = help: it stands on line 2 already; keep one of them",
        ),
        (
            "[jobs.a]
[jobs.b]
task = \"x\"
[jobs.\"a\"] # again
task = \"y\"",
            "
error: [jobs.\"a\"] stands here twice
 --> cluster.toml:4:7
  |
4 | [jobs.\"a\"] # again
  |       ^^^
  = help: it stands on line 1 already; keep one of them",
        ),
        (
            "[cluster]
replicas = 3
[jobs]
a = { every = \"1m\", task = \"x\", task = \"y\" }",
            "
error: `task` is said twice here
 --> cluster.toml:4:33
  |
4 | a = { every = \"1m\", task = \"x\", task = \"y\" }
  |                                 ^^^^
  = help: keep one of them",
        ),
        (
            r#"[tasks.a]
command = ["a","#,
            r#"
error: unclosed array, expected `]`
 --> cluster.toml:2:16
  |
2 | command = ["a",
  |                ^"#,
        ),
        (
            "[node]
listen =",
            "
error: string values must be quoted, expected literal string
 --> cluster.toml:2:9
  |
2 | listen =
  |         ^",
        ),
    ]);
}

#[test]
fn unknown_keys_and_sections_are_refused() {
    refused(&[
        (
            "[cluster]
replica = 3",
            "
error: unknown key `replica` in [cluster]
 --> cluster.toml:2:1
  |
2 | replica = 3
  | ^^^^^^^
  = help: did you mean `replicas`?",
        ),
        (
            r#"[cluster]
listen = "127.0.0.1:7400""#,
            r#"
error: unknown key `listen` in [cluster]
 --> cluster.toml:2:1
  |
2 | listen = "127.0.0.1:7400"
  | ^^^^^^
  = help: `listen` belongs to [node]"#,
        ),
        (
            "[node]
colour = 1",
            "
error: unknown key `colour` in [node]
 --> cluster.toml:2:1
  |
2 | colour = 1
  | ^^^^^^
  = help: known here: listen, advertise, data, disk_log, disk_reserve, memory, stop_patience, labels, queues",
        ),
        (
            "[clutser]
replicas = 3",
            "
error: unknown section [clutser]
 --> cluster.toml:1:2
  |
1 | [clutser]
  |  ^^^^^^^
  = help: did you mean [cluster]?",
        ),
        (
            r#"[timers.a]
cron = "@daily""#,
            "
error: unknown section [timers]
 --> cluster.toml:1:2
  |
1 | [timers.a]
  |  ^^^^^^
  = help: sections are cluster, node, tls, slots, nodes, queues, rules, tasks, jobs",
        ),
        (
            "replicas = 3",
            "
error: `replicas` stands outside of all sections
 --> cluster.toml:1:1
  |
1 | replicas = 3
  | ^^^^^^^^
  = help: `replicas` belongs to [cluster]",
        ),
        (
            "color = 3",
            "
error: `color` stands outside of all sections
 --> cluster.toml:1:1
  |
1 | color = 3
  | ^^^^^
  = help: sections are cluster, node, tls, slots, nodes, queues, rules, tasks, jobs",
        ),
        (
            r#"[tasks."a.b"]
command = ["a"]
timelimit = "5s""#,
            r#"
error: unknown key `timelimit` in [tasks."a.b"]
 --> cluster.toml:3:1
  |
3 | timelimit = "5s"
  | ^^^^^^^^^
  = help: did you mean `time_limit`?"#,
        ),
        (
            r#"[tasks.img.resize]
command = ["a"]"#,
            r#"
error: unknown key `resize` in [tasks.img]
 --> cluster.toml:1:12
  |
1 | [tasks.img.resize]
  |            ^^^^^^
  = help: if img.resize is one name, put it in quotes: [tasks."img.resize"]"#,
        ),
        (
            r#"cluster = { nmae = "a" }"#,
            r#"
error: unknown key `nmae` in [cluster]
 --> cluster.toml:1:13
  |
1 | cluster = { nmae = "a" }
  |             ^^^^
  = help: did you mean `name`?"#,
        ),
    ]);
}

#[test]
fn wrong_types_are_refused() {
    refused(&[
        (
            r#"[cluster]
name = 5
seeds = "a:1"
replicas = "3"
partitions = 2.5"#,
            r#"
error: `name` must be a string, not an integer
 --> cluster.toml:2:8
  |
2 | name = 5
  |        ^
  = help: for example: name = "umbel"

error: `seeds` must be a list of strings, not a string
 --> cluster.toml:3:9
  |
3 | seeds = "a:1"
  |         ^^^^^
  = help: for example: seeds = ["a.example.net:7400", "b.example.net:7400"]

error: `replicas` must be an integer, not a string
 --> cluster.toml:4:12
  |
4 | replicas = "3"
  |            ^^^
  = help: for example: replicas = 3

error: `partitions` must be an integer, not a number with a fraction
 --> cluster.toml:5:14
  |
5 | partitions = 2.5
  |              ^^^
  = help: for example: partitions = 256

4 problems in cluster.toml"#,
        ),
        (
            r#"[cluster]
seeds = ["a:1", 7401]"#,
            r#"
error: `seeds` must be a list of nothing but strings, not an integer
 --> cluster.toml:2:17
  |
2 | seeds = ["a:1", 7401]
  |                 ^^^^
  = help: for example: seeds = ["a.example.net:7400", "b.example.net:7400"]"#,
        ),
        (
            "[cluster]
replicas = 99999999999999999999",
            "
error: `replicas` must be an integer of 64 bits, not a larger one
 --> cluster.toml:2:12
  |
2 | replicas = 99999999999999999999
  |            ^^^^^^^^^^^^^^^^^^^^
  = help: for example: replicas = 3",
        ),
        (
            "[node]
data = 1979-05-27
[slots]
async = true",
            r#"
error: `data` must be a string, not a date
 --> cluster.toml:2:8
  |
2 | data = 1979-05-27
  |        ^^^^^^^^^^
  = help: for example: data = "/var/lib/umbel"

error: `async` must be an integer, not a boolean
 --> cluster.toml:4:9
  |
4 | async = true
  |         ^^^^
  = help: for example: async = 4096

2 problems in cluster.toml"#,
        ),
        (
            r#"cluster = "umbel""#,
            r#"
error: `cluster` must be a table, not a string
 --> cluster.toml:1:11
  |
1 | cluster = "umbel"
  |           ^^^^^^^
  = help: write [cluster] and below it its keys"#,
        ),
        (
            r#"tasks = ["a"]"#,
            r#"
error: `tasks` must hold one table for each name
 --> cluster.toml:1:9
  |
1 | tasks = ["a"]
  |         ^^^^^
  = help: write [tasks.NAME] and below it its keys"#,
        ),
        (
            r#"[[tasks]]
name = "a""#,
            "
error: `tasks` must hold one table for each name
 --> cluster.toml:1:1
  |
1 | [[tasks]]
  | ^^^^^^^^^
  = help: write [tasks.NAME] and below it its keys",
        ),
        (
            "[tasks]
allow_any = true",
            "
error: `tasks.allow_any` must be a table, not a boolean
 --> cluster.toml:2:13
  |
2 | allow_any = true
  |             ^^^^
  = help: write [tasks.allow_any] and below it its keys",
        ),
        (
            r#"[tasks.a]
command = [["a"]]
shell = "yes"
env = { A = 1 }
capture_bytes = 1.5"#,
            r#"
error: `command` must be a list of nothing but strings, not a list
 --> cluster.toml:2:12
  |
2 | command = [["a"]]
  |            ^^^^^
  = help: for example: command = ["sha256sum", "{path}"]

error: `shell` must be true or false, not a string
 --> cluster.toml:3:9
  |
3 | shell = "yes"
  |         ^^^^^
  = help: for example: shell = true

error: `env` must be a table of nothing but strings, not an integer
 --> cluster.toml:4:13
  |
4 | env = { A = 1 }
  |             ^
  = help: for example: env = { LANG = "C" }

error: `capture_bytes` must be an integer or a string with a unit, not a number with a fraction
 --> cluster.toml:5:17
  |
5 | capture_bytes = 1.5
  |                 ^^^
  = help: for example: capture_bytes = "64 KiB"

4 problems in cluster.toml"#,
        ),
        (
            "[tasks.a]
command = 5",
            r#"
error: `command` must be a list of strings, not an integer
 --> cluster.toml:2:11
  |
2 | command = 5
  |           ^
  = help: for example: command = ["sha256sum", "{path}"]"#,
        ),
        (
            r#"[tasks.a]
webhook = "https://a"
headers = ["x"]"#,
            r#"
error: `headers` must be a table of strings, not a list
 --> cluster.toml:3:11
  |
3 | headers = ["x"]
  |           ^^^^^
  = help: for example: headers = { x-team = "billing" }"#,
        ),
    ]);
}

#[test]
fn every_problem_of_a_file_is_reported() {
    refused(&[(
        r#"[cluster]
replica = 3
partitions = 0

[tasks.copy]
comand = ["cp"]
attempts = "3"

[slots]
async = 0"#,
        r#"
error: unknown key `replica` in [cluster]
 --> cluster.toml:2:1
  |
2 | replica = 3
  | ^^^^^^^
  = help: did you mean `replicas`?

error: `partitions` cannot be 0
 --> cluster.toml:3:14
  |
3 | partitions = 0
  |              ^
  = help: use 1 to 1024

error: unknown key `comand` in [tasks.copy]
 --> cluster.toml:6:1
  |
6 | comand = ["cp"]
  | ^^^^^^
  = help: did you mean `command`?

error: `attempts` must be an integer, not a string
 --> cluster.toml:7:12
  |
7 | attempts = "3"
  |            ^^^
  = help: for example: attempts = 3

error: `async` cannot be 0
  --> cluster.toml:10:9
   |
10 | async = 0
   |         ^
   = help: use 1 to 65536

5 problems in cluster.toml"#,
    )]);
}
