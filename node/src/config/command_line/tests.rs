//! Command lines: what they become, and that no argument gets out of its place.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CommandLine, ExpandError, InvalidCommandLine, InvalidPattern, Pattern, quoted};

fn line(elements: &[&str]) -> Result<CommandLine, InvalidCommandLine> {
    CommandLine::parse(&elements.iter().map(|&element| element.to_owned()).collect::<Vec<_>>())
}

fn expand(elements: &[&str], args: &Value) -> Result<Vec<String>, ExpandError> {
    line(elements).unwrap().expand(&args.into())
}

#[test]
fn arguments_take_their_places() {
    let args = json!({
        "path": "a b; rm -rf / #\n'\"$(x)`y`", "n": -1.5, "big": 18_446_744_073_709_551_615_u64,
        "yes": true, "list": [1, "a b", null], "object": {"k": "v"}, "dash": "-rf", "empty": "",
        "brace": "{n}", "a-b_2": "é",
    });
    for (element, expected) in [
        ("{path}", "a b; rm -rf / #\n'\"$(x)`y`"),
        ("--n={n}", "--n=-1.5"),
        ("{big}", "18446744073709551615"),
        ("{yes}", "true"),
        ("{list}", r#"[1,"a b",null]"#),
        ("{object}", r#"{"k":"v"}"#),
        ("{dash}", "-rf"),
        ("{empty}", ""),
        ("{brace}{n}", "{n}-1.5"),
        ("{a-b_2}/{yes}.txt", "é/true.txt"),
        ("{{n}} {{{n}}}", "{n} {-1.5}"),
        ("", ""),
        ("}}{{", "}{"),
    ] {
        assert_eq!(
            expand(&["p", element], &args),
            Ok(vec!["p".to_owned(), expected.to_owned()]),
            "{element}"
        );
    }
}

#[test]
fn arguments_that_cannot_be_passed_are_errors() {
    let key = || "k".to_owned();
    for (args, expected) in [
        (json!({}), ExpandError::Missing { key: key() }),
        (json!({"K": 1}), ExpandError::Missing { key: key() }),
        (json!({"k": null}), ExpandError::Null { key: key() }),
        (json!({"k": "a\0b"}), ExpandError::Nul { key: key() }),
        (json!({"k": "x".repeat(131_072)}), ExpandError::TooLong { bytes: 131_072 }),
        (json!(["k"]), ExpandError::NotAnObject { key: key() }),
        (json!(null), ExpandError::NotAnObject { key: key() }),
    ] {
        assert_eq!(expand(&["p", "{k}"], &args), Err(expected));
    }
    assert!(expand(&["p", "{k}"], &json!({"k": "x".repeat(131_071)})).is_ok());
    assert_eq!(expand(&["p", "{k}"], &json!({"k": ["\0"]})).unwrap()[1], r#"["\u0000"]"#);
}

#[test]
fn a_command_without_places_takes_any_arguments() {
    for args in [json!(null), json!([1]), json!({"unused": 1})] {
        assert_eq!(expand(&["true"], &args), Ok(vec!["true".to_owned()]));
    }
}

#[test]
fn arguments_do_not_choose_the_program() {
    assert_eq!(line(&[]), Err(InvalidCommandLine::Empty));
    assert_eq!(line(&["", "a"]), Err(InvalidCommandLine::NoProgram));
    assert_eq!(line(&["{p}"]), Err(InvalidCommandLine::ProgramFromArguments));
    assert_eq!(line(&["/usr/bin/{p}"]), Err(InvalidCommandLine::ProgramFromArguments));
    assert!(line(&["{{p}}"]).is_ok());
}

#[test]
fn unbalanced_braces_are_found_where_they_are() {
    let key = |at, key: &str| InvalidPattern::Key { at, key: key.to_owned() };
    for (text, expected) in [
        ("a{", InvalidPattern::Unclosed { at: 1 }),
        ("é{a", InvalidPattern::Unclosed { at: 2 }),
        ("{a{b}", InvalidPattern::Unclosed { at: 0 }),
        ("{a{{", InvalidPattern::Unclosed { at: 0 }),
        ("a}", InvalidPattern::Unopened { at: 1 }),
        ("{a}}", InvalidPattern::Unopened { at: 3 }),
        ("{}", key(0, "")),
        ("x{a b}", key(1, "a b")),
        ("{a.b}", key(0, "a.b")),
        ("a\0{", InvalidPattern::Nul { at: 1 }),
    ] {
        assert_eq!(Pattern::parse(text), Err(expected), "{text:?}");
    }
}

proptest! {
    /// Whatever is written and whatever is passed, the number of elements is that of the file, and
    /// a value stands between its neighbours unchanged.
    #[test]
    fn an_argument_stays_in_its_element(
        value in "[^\0]*", before in "[^{}\0]*", after in "[^{}\0]*", others in 0_usize..4,
    ) {
        let mut elements = vec!["p".to_owned()];
        elements.extend((0..others).map(|_| "{other}".to_owned()));
        elements.push(format!("{before}{{k}}{after}"));
        let command = CommandLine::parse(&elements).unwrap();
        let argv = command.expand(&(&json!({"k": value, "other": "o"})).into()).unwrap();
        prop_assert_eq!(argv.len(), elements.len());
        prop_assert_eq!(&argv[others + 1], &format!("{before}{value}{after}"));
    }

    /// What has been read is shown in a way that reads the same.
    #[test]
    fn patterns_survive_being_shown(text in "([^{}\0]|\\{\\{|\\}\\}|\\{[a-z0-9_-]{1,4}\\})*") {
        let pattern = Pattern::parse(&text).unwrap();
        prop_assert_eq!(pattern.to_string(), text);
    }

    #[test]
    fn no_text_is_too_strange_to_read(text in ".*[{}].*") {
        if let Err(error) = Pattern::parse(&text) {
            prop_assert!(text.get(error.span()).is_some());
        }
    }
}

#[test]
fn elements_are_quoted_where_a_shell_would_take_them_apart() {
    for (element, expected) in [
        ("--to={name}", "--to={name}"),
        ("/var/lib/my data", "'/var/lib/my data'"),
        ("", "''"),
        ("it's $HOME; ls", r"'it'\''s $HOME; ls'"),
    ] {
        assert_eq!(quoted(element), expected);
    }
}
