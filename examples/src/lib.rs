//! The examples stand beside this directory, one file each: `hello.rs` is the shortest program that
//! runs a task, `embed.rs` a service with a whole node inside.
