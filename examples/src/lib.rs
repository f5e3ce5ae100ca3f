//! The examples stand beside this directory, one file or directory each: `hello.rs` is the shortest program
//! that runs a task, `embed.rs` a service with a whole node inside, `fanout/` a web service that leaves to a
//! task what a request should not wait for, `thumbnails/` work that keeps all cores busy and says how far it
//! is, `cron_fleet/` one crontab for many hosts, and `webhook/` a receiver of tasks that is written in Python.
