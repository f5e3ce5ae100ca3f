//! What ends the second stage: values that make no sense or do not go together. Each case is a
//! whole file and the whole report on it.

use super::refused;

#[test]
fn numbers_have_their_ranges() {
    refused(&[
        (
            "[cluster]
replicas = 0
partitions = 1025",
            "
error: `replicas` cannot be 0
 --> cluster.toml:2:12
  |
2 | replicas = 0
  |            ^
  = help: use 1 to 7

error: `partitions` cannot be 1025
 --> cluster.toml:3:14
  |
3 | partitions = 1025
  |              ^^^^
  = help: use 1 to 1024

2 problems in cluster.toml",
        ),
        (
            "[cluster]
replicas = 8
partitions = -1",
            "
error: `replicas` cannot be 8
 --> cluster.toml:2:12
  |
2 | replicas = 8
  |            ^
  = help: use 1 to 7

error: `partitions` cannot be -1
 --> cluster.toml:3:14
  |
3 | partitions = -1
  |              ^^
  = help: use 1 to 1024

2 problems in cluster.toml",
        ),
        (
            "[slots]
async = 0
blocking = 0
command = 65537
webhook = -1",
            "
error: `async` cannot be 0
 --> cluster.toml:2:9
  |
2 | async = 0
  |         ^
  = help: use 1 to 65536

error: `blocking` cannot be 0
 --> cluster.toml:3:12
  |
3 | blocking = 0
  |            ^
  = help: use 1 to 65536

error: `command` cannot be 65537
 --> cluster.toml:4:11
  |
4 | command = 65537
  |           ^^^^^
  = help: use 1 to 65536

error: `webhook` cannot be -1
 --> cluster.toml:5:11
  |
5 | webhook = -1
  |           ^^
  = help: use 1 to 65536

4 problems in cluster.toml",
        ),
        (
            "[queues.a]
slots = 0
priority = 10",
            "
error: `slots` cannot be 0
 --> cluster.toml:2:9
  |
2 | slots = 0
  |         ^
  = help: use 1 to 65536

error: `priority` cannot be 10
 --> cluster.toml:3:12
  |
3 | priority = 10
  |            ^^
  = help: use 0 to 9

2 problems in cluster.toml",
        ),
        (
            r#"[tasks.a]
command = ["a"]
attempts = 1001
priority = -1"#,
            "
error: `attempts` cannot be 1001
 --> cluster.toml:3:12
  |
3 | attempts = 1001
  |            ^^^^
  = help: use 1 to 1000

error: `priority` cannot be -1
 --> cluster.toml:4:12
  |
4 | priority = -1
  |            ^^
  = help: use 0 to 9

2 problems in cluster.toml",
        ),
    ]);
}

#[test]
fn names_are_those_of_submissions() {
    refused(&[
        (
            r#"[cluster]
name = "my cluster""#,
            r#"
error: "my cluster" cannot be the name of a cluster
 --> cluster.toml:2:8
  |
2 | name = "my cluster"
  |        ^^^^^^^^^^^^
  = help: use 1 to 128 of A-Z a-z 0-9 _ - . : /"#,
        ),
        (
            r#"[queues."a b"]
[tasks."ä"]
command = ["a"]"#,
            r#"
error: "a b" cannot be the name of a queue
 --> cluster.toml:1:9
  |
1 | [queues."a b"]
  |         ^^^^^
  = help: use 1 to 128 of A-Z a-z 0-9 _ - . : /

error: "ä" cannot be the name of a task
 --> cluster.toml:2:8
  |
2 | [tasks."ä"]
  |        ^^^
  = help: use 1 to 128 of A-Z a-z 0-9 _ - . : /

2 problems in cluster.toml"#,
        ),
        (
            r#"[queues.""]"#,
            r#"
error: "" cannot be the name of a queue
 --> cluster.toml:1:9
  |
1 | [queues.""]
  |         ^^
  = help: use 1 to 128 of A-Z a-z 0-9 _ - . : /"#,
        ),
    ]);
}

#[test]
fn addresses_say_where_a_node_is() {
    refused(&[
        (
            r#"[cluster]
seeds = ["a:7400", "b:7400", "A:7400"]"#,
            r#"
error: seed a:7400 is given twice
 --> cluster.toml:2:30
  |
2 | seeds = ["a:7400", "b:7400", "A:7400"]
  |                              ^^^^^^^^
  = help: remove it, it already stands in line 2"#,
        ),
        (
            r#"[cluster]
seeds = [
  "a",
  "::1:7400",
  "b:0",
  "0.0.0.0:7400",
  "a b:7400",
]"#,
            r#"
error: the port is missing: write host:7400
 --> cluster.toml:3:3
  |
3 |   "a",
  |   ^^^
  = help: write a seed as host:port, such as "a.example.net:7400" or "[::1]:7400"

error: an IPv6 address needs brackets: [::1]:7400
 --> cluster.toml:4:3
  |
4 |   "::1:7400",
  |   ^^^^^^^^^^
  = help: write a seed as host:port, such as "a.example.net:7400" or "[::1]:7400"

error: "0" is not a port: use 1 to 65535
 --> cluster.toml:5:3
  |
5 |   "b:0",
  |   ^^^^^
  = help: write a seed as host:port, such as "a.example.net:7400" or "[::1]:7400"

error: a wildcard address is where a node listens, not where others find it
 --> cluster.toml:6:3
  |
6 |   "0.0.0.0:7400",
  |   ^^^^^^^^^^^^^^
  = help: write a seed as host:port, such as "a.example.net:7400" or "[::1]:7400"

error: "a b" is neither a host name nor an IP address
 --> cluster.toml:7:3
  |
7 |   "a b:7400",
  |   ^^^^^^^^^^
  = help: write a seed as host:port, such as "a.example.net:7400" or "[::1]:7400"

5 problems in cluster.toml"#,
        ),
        (
            r#"[node]
listen = "localhost:7400""#,
            r#"
error: "localhost:7400" is not an IP address and a port
 --> cluster.toml:2:10
  |
2 | listen = "localhost:7400"
  |          ^^^^^^^^^^^^^^^^
  = help: write "127.0.0.1:7400" for this host only, "0.0.0.0:7400" or "[::]:7400" for all"#,
        ),
        (
            r#"[node]
listen = "0.0.0.0:7400""#,
            r#"
error: other hosts can reach 0.0.0.0:7400, but there are no certificates that they could share
 --> cluster.toml:2:10
  |
2 | listen = "0.0.0.0:7400"
  |          ^^^^^^^^^^^^^^
  = help: make certificates with `umbel ca init` and `umbel ca issue`; copy ca.pem, NAME.pem and NAME.key, never ca.key, to each host and set their directory as dir in [tls]"#,
        ),
        (
            r#"[node]
listen = "[2001:db8::1]:7400"
[tls]
dir = """#,
            r#"
error: `dir` is not a path
 --> cluster.toml:4:7
  |
4 | dir = ""
  |       ^^
  = help: leave it out, or name a path"#,
        ),
        (
            r#"[cluster]
seeds = ["a:7400"]
[node]
advertise = "db1.example.net:7400""#,
            r#"
error: every node of the cluster would say that it is reached here
 --> cluster.toml:4:13
  |
4 | advertise = "db1.example.net:7400"
  |             ^^^^^^^^^^^^^^^^^^^^^^
  = help: put {name} where the name of the node belongs: "{name}.example.net:7400""#,
        ),
        (
            r#"[node]
advertise = "{host}:7400"
data = """#,
            r#"
error: "{host}" is neither a host name nor an IP address
 --> cluster.toml:2:13
  |
2 | advertise = "{host}:7400"
  |             ^^^^^^^^^^^^^
  = help: write host:port, with {name} for the name of the node

error: `data` is not a path
 --> cluster.toml:3:8
  |
3 | data = ""
  |        ^^
  = help: leave it out, or name a path

2 problems in cluster.toml"#,
        ),
    ]);
}

#[test]
fn what_is_said_of_queues_and_tasks_must_make_sense() {
    refused(&[
        (
            "[queues.mail]
rank = 10",
            "
error: `rank` cannot be 10
 --> cluster.toml:2:8
  |
2 | rank = 10
  |        ^^
  = help: use 0 to 9",
        ),
        (
            "[queues.mail]
weight = 0
concurrency = 0
rate = \"fast\"",
            "
error: `weight` cannot be 0
 --> cluster.toml:2:10
  |
2 | weight = 0
  |          ^
  = help: use 1 to 1000

error: `concurrency` cannot be 0
 --> cluster.toml:3:15
  |
3 | concurrency = 0
  |               ^
  = help: use 1 to 1000000

error: `fast` is no rate
 --> cluster.toml:4:8
  |
4 | rate = \"fast\"
  |        ^^^^^^
  = help: say how many in how long, at most 10000 a second: \"100/s\", \"20/min\"

3 problems in cluster.toml",
        ),
        (
            "[rules.\"mail *\"]
queue = \"mail\"",
            "
error: task name \"mail *\" is not usable: use 1 to 128 of A-Z a-z 0-9 _ - . : /, and for tasks `*` in place of any text, which queues do not have
 --> cluster.toml:1:8
  |
1 | [rules.\"mail *\"]
  |        ^^^^^^^^
  = help: write the name of a task, or its beginning and a `*`: [rules.\"mail.*\"]",
        ),
        (
            "[rules.mail]",
            "
error: this rule says nothing
 --> cluster.toml:1:8
  |
1 | [rules.mail]
  |        ^^^^
  = help: say what is to hold, or remove it",
        ),
        (
            "[node]
queues = [\"no queue\"]",
            "
error: \"no queue\" cannot be the name of a queue
 --> cluster.toml:2:11
  |
2 | queues = [\"no queue\"]
  |           ^^^^^^^^^^
  = help: use 1 to 128 of A-Z a-z 0-9 _ - . : /",
        ),
    ]);
}
