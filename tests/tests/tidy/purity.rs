//! `protocol` decides and does nothing: what would let it do something is not even named there.

use super::{files, none};

/// Words that have no business in deciding code.
const DOING: [&str; 18] = [
    "HashMap",
    "HashSet",
    "Instant",
    "OsRng",
    "SysRng",
    "SystemTime",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixStream",
    "actix",
    "actix_rt",
    "futures_util",
    "make_rng",
    "quinn",
    "thread",
    "thread_rng",
    "tokio",
];

/// The same, as paths.
const DOING_PATHS: [&str; 5] = ["std::env", "std::fs", "std::io", "std::process", "rand::rng("];

#[test]
fn protocol_only_decides() {
    let mut doing = Vec::new();
    for file in files("protocol/src", ".rs") {
        for (line, code) in file.code() {
            let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            let word = words.find(|word| DOING.contains(word));
            let path = DOING_PATHS.into_iter().find(|path| code.contains(path));
            if let Some(what) = word.or(path) {
                doing.push(format!("{}:{line}: {what}", file.path));
            }
        }
    }
    none(doing, "clocks, I/O, threads, randomness or random order in protocol");
}
