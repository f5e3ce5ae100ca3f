//! What the README tells people to type, and to write into `cluster.toml`, is understood.

#![cfg(feature = "cli")]

use std::process::Command;

use umbel::config::Config;

const README: &str = include_str!("../../README.md");

/// The blocks of the README in this language.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = README.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line == format!("```{language}") {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(block.join("\n"));
        }
    }
    assert!(!blocks.is_empty(), "the README has no {language}");
    blocks
}

/// What people type after `umbel`: in blocks for the shell and between backticks.
fn commands() -> Vec<String> {
    let shell = blocks("sh");
    let lines = shell.iter().flat_map(|block| block.lines());
    let spans = README.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let typed = lines.chain(spans);
    let starts = ["umbel ", "cargo run --release -- "];
    let commands = typed.filter_map(|line| starts.iter().find_map(|s| line.strip_prefix(s)));
    commands.map(str::to_owned).collect()
}

#[test]
fn commands_exist_and_have_the_flags_that_are_shown() {
    let commands = commands();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
        let names: Vec<_> = command.split(' ').take_while(is_name).collect();
        let names = &names[..names.len().min(2)];
        let umbel = env!("CARGO_BIN_EXE_umbel");
        let help = Command::new(umbel).args(names).arg("--help").output().expect("it starts");
        let text = String::from_utf8_lossy(&help.stdout).into_owned();
        assert!(help.status.success(), "umbel {command}: {help:?}");
        assert!(text.contains(&format!("Usage: umbel {}", names[0])), "umbel {command}: {text}");
        let flags = command.split(' ').filter(|word| word.starts_with('-'));
        for flag in flags {
            assert!(text.contains(flag), "umbel {command}: no {flag} in\n{text}");
        }
    }
}

#[test]
fn configurations_can_be_read() {
    for block in blocks("toml") {
        let config = Config::parse("README.md", &block);
        assert!(config.is_ok(), "{block}\n{}", config.expect_err("not read"));
    }
}
