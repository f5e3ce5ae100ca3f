//! Values of jobs that are out of their range. Each case is a whole file and the whole report on it.

use super::super::refused;

#[test]
fn zones_and_times_are_those_of_the_database() {
    refused(&[
        (
            r#"[jobs.a]
task = "umbel.noop"
cron = "@daily"
timezone = "Europe/Berln""#,
            r#"
error: there is no time zone "Europe/Berln"
 --> cluster.toml:4:12
  |
4 | timezone = "Europe/Berln"
  |            ^^^^^^^^^^^^^^
  = help: did you mean "Europe/Berlin" or "Europe/Dublin" or "Europe/Jersey"?"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
cron = "@daily"
timezone = "Mars/Olympus_Mons"
start = "2030-01-01""#,
            r#"
error: there is no time zone "Mars/Olympus_Mons"
 --> cluster.toml:4:12
  |
4 | timezone = "Mars/Olympus_Mons"
  |            ^^^^^^^^^^^^^^^^^^^
  = help: zones are called after a region and a city, as in Europe/Berlin, or UTC"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
cron = "@daily"
timezone = "GMT+2""#,
            r#"
error: there is no time zone "GMT+2"
 --> cluster.toml:4:12
  |
4 | timezone = "GMT+2"
  |            ^^^^^^^
  = help: an offset from UTC is no zone, for clocks are put forward and back; write a region and a city, as in Europe/Berlin, or UTC"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
at = "tomorrow""#,
            r#"
error: "tomorrow" is not a time
 --> cluster.toml:3:6
  |
3 | at = "tomorrow"
  |      ^^^^^^^^^^
  = help: write "2027-01-01T00:00:00Z", with another offset in place of Z, or without one for a time in `timezone`"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
at = "2100-01-01T00:00:00[Europe/Berlin]""#,
            r#"
error: "2100-01-01T00:00:00[Europe/Berlin]" is not a time
 --> cluster.toml:3:6
  |
3 | at = "2100-01-01T00:00:00[Europe/Berlin]"
  |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  = help: write "2027-01-01T00:00:00Z", with another offset in place of Z, or without one for a time in `timezone`"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
at = 07:32:00"#,
            r#"
error: `at` must be a date and a time, not a time of the day
 --> cluster.toml:3:6
  |
3 | at = 07:32:00
  |      ^^^^^^^^
  = help: for example: at = "2027-01-01T00:00:00Z""#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
at = 1969-12-31T23:59:59Z"#,
            "
error: `at` lies before 1970
 --> cluster.toml:3:6
  |
3 | at = 1969-12-31T23:59:59Z
  |      ^^^^^^^^^^^^^^^^^^^^
  = help: write a time that is still to come",
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
at = "2027-03-28T02:30:00"
timezone = "Europe/Berlin""#,
            r#"
error: the clocks of Europe/Berlin skip 2027-03-28T02:30:00
 --> cluster.toml:3:6
  |
3 | at = "2027-03-28T02:30:00"
  |      ^^^^^^^^^^^^^^^^^^^^^
  = help: did you mean "2027-03-28T03:30:00+02:00"?"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
cron = "@daily"
start = 2100-01-01
end = 2099-01-01"#,
            "
error: `end` must be later than start
 --> cluster.toml:5:1
  |
5 | end = 2099-01-01
  | ^^^",
        ),
    ]);
}

#[test]
fn values_have_their_ranges() {
    refused(&[
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "500ms"
jitter = "1y"
expires = "0s"
report_within = "400d"
misfire_grace = "-1s""#,
            r#"
error: `every` cannot be 500ms
 --> cluster.toml:3:9
  |
3 | every = "500ms"
  |         ^^^^^^^
  = help: use 1s to 366d

error: "1y" is not a length of time
 --> cluster.toml:4:10
  |
4 | jitter = "1y"
  |          ^^^^
  = help: write whole numbers with units, the largest first: 500ms, 30s, 1m30s, 2h, 7d

error: `expires` cannot be 0s
 --> cluster.toml:5:11
  |
5 | expires = "0s"
  |           ^^^^
  = help: use 1ms to 366d

error: `report_within` cannot be 400d
 --> cluster.toml:6:17
  |
6 | report_within = "400d"
  |                 ^^^^^^
  = help: use 1ms to 366d

error: "-1s" is not a length of time
 --> cluster.toml:7:17
  |
7 | misfire_grace = "-1s"
  |                 ^^^^^
  = help: write whole numbers with units, the largest first: 500ms, 30s, 1m30s, 2h, 7d

5 problems in cluster.toml"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
on = "all"
misfire = "skipp"
overlap = "no""#,
            r#"
error: `on` cannot be "all"
 --> cluster.toml:4:6
  |
4 | on = "all"
  |      ^^^^^
  = help: use "one" or "each"

error: `misfire` cannot be "skipp"
 --> cluster.toml:5:11
  |
5 | misfire = "skipp"
  |           ^^^^^^^
  = help: did you mean "skip"?

error: `overlap` cannot be "no"
 --> cluster.toml:6:11
  |
6 | overlap = "no"
  |           ^^^^
  = help: use "allow" or "forbid" or "replace"

3 problems in cluster.toml"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
misfire = "all"
misfire_max = 101
max_runs = 0"#,
            "
error: `misfire_max` cannot be 101
 --> cluster.toml:5:15
  |
5 | misfire_max = 101
  |               ^^^
  = help: use 1 to 100

error: `max_runs` cannot be 0
 --> cluster.toml:6:12
  |
6 | max_runs = 0
  |            ^
  = help: use at least 1

2 problems in cluster.toml",
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
misfire_max = 5"#,
            r#"
error: `misfire_max` means nothing unless all late ticks are fired
 --> cluster.toml:4:1
  |
4 | misfire_max = 5
  | ^^^^^^^^^^^
  = help: write misfire = "all", or remove it"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
misfire = "once"
misfire_max = 5"#,
            r#"
error: `misfire_max` means nothing unless all late ticks are fired
 --> cluster.toml:5:1
  |
5 | misfire_max = 5
  | ^^^^^^^^^^^
  = help: write misfire = "all", or remove it"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
attempts = 0
priority = 10
queue = "slow"
time_limit = "0s"
backoff_first = "2m"
backoff_max = "1m""#,
            r#"
error: `attempts` cannot be 0
 --> cluster.toml:4:12
  |
4 | attempts = 0
  |            ^
  = help: use 1 to 1000

error: `priority` cannot be 10
 --> cluster.toml:5:12
  |
5 | priority = 10
  |            ^^
  = help: use 0 to 9

error: there is no queue `slow`
 --> cluster.toml:6:9
  |
6 | queue = "slow"
  |         ^^^^^^
  = help: list it: [queues.slow]

error: `time_limit` cannot be 0s
 --> cluster.toml:7:14
  |
7 | time_limit = "0s"
  |              ^^^^
  = help: use 1ms to 366d

error: `backoff_first` is 2m, longer than `backoff_max`, which is 1m
 --> cluster.toml:9:15
  |
9 | backoff_max = "1m"
  |               ^^^^
  = help: pauses double from the first to the longest

5 problems in cluster.toml"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
select = { "a b" = "c", role = "" }"#,
            r#"
error: "a b" cannot be the key of a label
 --> cluster.toml:4:12
  |
4 | select = { "a b" = "c", role = "" }
  |            ^^^^^
  = help: use 1 to 64 of A-Z a-z 0-9 _ - . : /

error: "" cannot be the value of a label
 --> cluster.toml:4:32
  |
4 | select = { "a b" = "c", role = "" }
  |                                ^^
  = help: use 1 to 64 of A-Z a-z 0-9 _ - . : /

2 problems in cluster.toml"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
args = { list = [1, nan] }"#,
            "
error: `args` must be what JSON can hold
 --> cluster.toml:4:21
  |
4 | args = { list = [1, nan] }
  |                     ^^^
  = help: its numbers have 64 bits, and are neither inf nor nan",
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
enabled = "no""#,
            r#"
error: `enabled` must be true or false, not a string
 --> cluster.toml:4:11
  |
4 | enabled = "no"
  |           ^^^^
  = help: for example: enabled = false"#,
        ),
        (
            r#"[jobs."a b"]
every = "1m"
task = "umbel.noop""#,
            r#"
error: "a b" cannot be the name of a job
 --> cluster.toml:1:7
  |
1 | [jobs."a b"]
  |       ^^^^^
  = help: use 1 to 128 of A-Z a-z 0-9 _ - . : /"#,
        ),
    ]);
}
