//! Lengths of time and sizes that are none, as what ends the second stage: each case is a whole file and the whole
//! report on it.

use super::refused;

#[test]
fn lengths_and_sizes_have_units() {
    refused(&[
        (
            r#"[tasks.a]
command = ["a"]
time_limit = "30"
backoff_first = "1.5s"
backoff_max = "1s1m""#,
            r#"
error: "30" is not a length of time
 --> cluster.toml:3:14
  |
3 | time_limit = "30"
  |              ^^^^
  = help: write whole numbers with units, the largest first: 500ms, 30s, 1m30s, 2h, 7d

error: "1.5s" is not a length of time
 --> cluster.toml:4:17
  |
4 | backoff_first = "1.5s"
  |                 ^^^^^^
  = help: write whole numbers with units, the largest first: 500ms, 30s, 1m30s, 2h, 7d

error: "1s1m" is not a length of time
 --> cluster.toml:5:15
  |
5 | backoff_max = "1s1m"
  |               ^^^^^^
  = help: write whole numbers with units, the largest first: 500ms, 30s, 1m30s, 2h, 7d

3 problems in cluster.toml"#,
        ),
        (
            r#"[tasks.a]
command = ["a"]
time_limit = "0s"
backoff_max = "367d""#,
            r#"
error: `time_limit` cannot be 0s
 --> cluster.toml:3:14
  |
3 | time_limit = "0s"
  |              ^^^^
  = help: use 1ms to 366d

error: `backoff_max` cannot be 367d
 --> cluster.toml:4:15
  |
4 | backoff_max = "367d"
  |               ^^^^^^
  = help: use 1ms to 366d

2 problems in cluster.toml"#,
        ),
        (
            r#"[tasks.a]
command = ["a"]
time_limit = 30"#,
            r#"
error: `time_limit` must be a string, not an integer
 --> cluster.toml:3:14
  |
3 | time_limit = 30
  |              ^^
  = help: for example: time_limit = "1m30s""#,
        ),
        (
            r#"[tasks.a]
command = ["a"]
backoff_first = "1h""#,
            r#"
error: `backoff_first` is 1h, longer than `backoff_max`, which is 10m (its default)
 --> cluster.toml:3:17
  |
3 | backoff_first = "1h"
  |                 ^^^^
  = help: pauses double from the first to the longest"#,
        ),
        (
            r#"[tasks.a]
command = ["a"]
backoff_first = "1m"
backoff_max = "30s""#,
            r#"
error: `backoff_first` is 1m, longer than `backoff_max`, which is 30s
 --> cluster.toml:4:15
  |
4 | backoff_max = "30s"
  |               ^^^^^
  = help: pauses double from the first to the longest"#,
        ),
        (
            r#"[tasks.a]
command = ["a"]
capture_bytes = "64 kB""#,
            r#"
error: "64 kB" is not a size
 --> cluster.toml:3:17
  |
3 | capture_bytes = "64 kB"
  |                 ^^^^^^^
  = help: write a whole number of bytes, or one with a unit: 512 B, 64 KiB, 1 MiB, 1 GiB"#,
        ),
        (
            r#"[tasks.a]
command = ["a"]
capture_bytes = "1 MiB""#,
            r#"
error: `capture_bytes` cannot be 1048576
 --> cluster.toml:3:17
  |
3 | capture_bytes = "1 MiB"
  |                 ^^^^^^^
  = help: use 0 to 262144; programs write larger output to a file"#,
        ),
        (
            r#"[tasks.a]
command = ["a"]
memory = "half"
[tasks.b]
command = ["b"]
memory = "64 KiB"
[tasks.c]
command = ["c"]
memory = true
[jobs.d]
every = "1m"
run = ["d"]
memory = 0"#,
            r#"
error: "half" is not a size
 --> cluster.toml:3:10
  |
3 | memory = "half"
  |          ^^^^^^
  = help: write a whole number of bytes, or one with a unit: 512 B, 64 KiB, 1 MiB, 1 GiB

error: `memory` cannot be 65536
 --> cluster.toml:6:10
  |
6 | memory = "64 KiB"
  |          ^^^^^^^^
  = help: use at least 16 MiB: the program itself and its libraries count, too

error: `memory` must be an integer or a string with a unit, not a boolean
 --> cluster.toml:9:10
  |
9 | memory = true
  |          ^^^^
  = help: for example: memory = "512 MiB"

error: `memory` cannot be 0
  --> cluster.toml:13:10
   |
13 | memory = 0
   |          ^
   = help: use at least 16 MiB: the program itself and its libraries count, too

4 problems in cluster.toml"#,
        ),
        (
            r#"[tasks.a]
command = ["a"]
grace = "a while"
[tasks.b]
command = ["b"]
grace = "6m"
[tasks.c]
command = ["c"]
grace = 30
[jobs.d]
every = "1m"
run = ["d"]
grace = "5m1ms"
[tasks.e]
command = ["e"]
grace_period = "1s""#,
            r#"
error: "a while" is not a length of time
 --> cluster.toml:3:9
  |
3 | grace = "a while"
  |         ^^^^^^^^^
  = help: write whole numbers with units, the largest first: 500ms, 30s, 1m30s, 2h, 7d

error: `grace` cannot be 6m
 --> cluster.toml:6:9
  |
6 | grace = "6m"
  |         ^^^^
  = help: use 0s to 5m

error: `grace` must be a string, not an integer
 --> cluster.toml:9:9
  |
9 | grace = 30
  |         ^^
  = help: for example: grace = "30s"

error: `grace` cannot be 5m1ms
  --> cluster.toml:13:9
   |
13 | grace = "5m1ms"
   |         ^^^^^^^
   = help: use 0s to 5m

error: unknown key `grace_period` in [tasks.e]
  --> cluster.toml:16:1
   |
16 | grace_period = "1s"
   | ^^^^^^^^^^^^
   = help: did you mean `grace`?

5 problems in cluster.toml"#,
        ),
        (
            r#"[node]
memory = "1 GB""#,
            r#"
error: "1 GB" is not a size
 --> cluster.toml:2:10
  |
2 | memory = "1 GB"
  |          ^^^^^^
  = help: write a whole number of bytes, or one with a unit: 512 B, 64 KiB, 1 MiB, 1 GiB"#,
        ),
        (
            r#"[node]
memory = 1048576"#,
            r#"
error: `memory` cannot be 1048576
 --> cluster.toml:2:10
  |
2 | memory = 1048576
  |          ^^^^^^^
  = help: use at least 64 MiB: results are kept in it, too, not only what waits"#,
        ),
        (
            r#"[node]
disk_log = "16 MiB""#,
            r#"
error: `disk_log` cannot be 16777216
 --> cluster.toml:2:12
  |
2 | disk_log = "16 MiB"
  |            ^^^^^^^^
  = help: use at least 32 MiB: less would be written anew all the time"#,
        ),
        (
            r#"[node]
stop_patience = "soon""#,
            r#"
error: "soon" is not a length of time
 --> cluster.toml:2:17
  |
2 | stop_patience = "soon"
  |                 ^^^^^^
  = help: write whole numbers with units, the largest first: 500ms, 30s, 1m30s, 2h, 7d"#,
        ),
    ]);
}
