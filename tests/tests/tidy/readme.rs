//! What the README tells people to type is what is tried. That each command of `umbel` in it is one
//! is tried by the package that has the program.

use super::read;

#[test]
fn its_two_commands_are_those_that_are_tried() {
    let (readme, ci) = (read("README.md"), read(".ci/run"));
    let lines = |start: &str| readme.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!(lines("cargo test "), 1, "one line says how to test");
    assert!(readme.lines().any(|line| line == "cargo test --workspace"));
    assert!(ci.contains("readme_command 'cargo test .*'"));
    assert_eq!(lines("cargo run --release -- demo"), 1, "one line says how to see it work");
    assert!(ci.contains("readme_command 'cargo run --release -- demo.*'"));
}

#[test]
fn its_taste_is_an_example_that_is_compiled() {
    let readme = read("README.md");
    let hello = read("examples/hello.rs");
    // Without the line that says what the file is.
    let body = hello.split_once("\n\n").expect("a header, then the code").1;
    assert!(
        readme.contains(body.trim_end()),
        "the README's taste is examples/hello.rs, word by word"
    );
    assert!(hello.lines().count() < 40, "a taste has under 40 lines");
}

#[test]
fn its_licences_are_there() {
    let readme = read("README.md");
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(readme.contains(&format!("]({licence})")), "{licence} is linked");
        assert!(read(licence).contains("the umbel developers"));
    }
}
