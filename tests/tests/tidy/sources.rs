//! Rules for every source file.

use super::{File, excused, files, none};

/// Beyond this nobody finds anything any more. Split by what is done, not by layer.
const LINES_MAX: usize = 800;

/// Names that say nothing: whatever is in such a module belongs to somebody.
const EMPTY_NAMES: [&str; 8] =
    ["common", "helper", "helpers", "misc", "models", "types", "util", "utils"];

/// `do_send` knows no limit and drops silently; these may use it all the same.
const MAY_DO_SEND: [(&str, &str); 2] = [
    ("node/src/actors/bell.rs", "one message in the life of an actor"),
    ("node/src/actors/supervisor.rs", "the retirement: one message in the life of an actor"),
];

/// A test that sleeps guesses how long something takes. What is waited for has a name.
const TESTS_MAY_SLEEP: [(&str, &str); 0] = [];

fn sources() -> Vec<File> {
    files("", ".rs")
}

/// Where the code ends and its tests begin, in lines.
fn code_lines(file: &File) -> usize {
    if file.path.contains("/tests/") || file.path.ends_with("tests.rs") {
        return 0;
    }
    let lines: Vec<_> = file.text.lines().collect();
    let tests = lines.windows(2).position(|two| two == ["#[cfg(test)]", "mod tests {"]);
    tests.unwrap_or(lines.len())
}

/// Where `needle` stands as a word of code, in files and lines that are `wanted`.
fn occurrences(needle: &str, wanted: impl Fn(&File, usize) -> bool) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for file in sources().iter().filter(|file| !file.path.starts_with("tests/tests/tidy/")) {
        for (line, code) in file.code() {
            let is_word = |at: usize| {
                let before = &code[..at];
                !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
                    && !before.ends_with("fn ")
            };
            if code.match_indices(needle).any(|(at, _)| is_word(at)) && wanted(file, line) {
                found.push((file.path.clone(), line));
            }
        }
    }
    found
}

#[test]
fn every_file_says_what_it_is() {
    let silent = sources().into_iter().filter(|file| !file.text.starts_with("//! "));
    none(silent.map(|file| file.path).collect(), "files without a `//!` in their first line");
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let long = sources().into_iter().filter(|file| code_lines(file) > LINES_MAX);
    none(
        long.map(|file| format!("{}: {} lines", file.path, code_lines(&file))).collect(),
        "files of more than 800 lines without their tests",
    );
}

#[test]
fn no_module_has_an_empty_name() {
    let is_empty = |file: &File| {
        let path = file.path.trim_end_matches(".rs");
        path.split('/').any(|part| EMPTY_NAMES.contains(&part))
    };
    let empty = sources().into_iter().filter(is_empty);
    none(empty.map(|file| file.path).collect(), "modules whose name says nothing");
}

#[test]
fn mailboxes_keep_their_limits() {
    let sent = occurrences("do_send(", |_, _| true);
    none(excused(sent, &MAY_DO_SEND), "messages sent past the mailbox's limit");
}

#[test]
fn no_test_sleeps() {
    let asleep = occurrences("sleep(", |file, line| line > code_lines(file));
    none(excused(asleep, &TESTS_MAY_SLEEP), "tests that sleep");
}

#[test]
fn nothing_is_left_out() {
    let mut left = Vec::new();
    for needle in ["todo!(", "unimplemented!(", "#[ignore"] {
        left.extend(occurrences(needle, |_, _| true));
    }
    none(excused(left, &[]), "things left out");
}
