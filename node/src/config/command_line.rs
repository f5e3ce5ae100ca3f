//! Command lines with places for arguments: `["sha256sum", "{path}"]`.
//!
//! `{key}` stands for one top-level key of a task's JSON arguments; `{{` and `}}` are literal
//! braces. A command line is a list from the file to the operating system and never passes a shell,
//! so that whatever an argument holds (spaces, quotes, `;`, newlines) it stays one piece of one
//! element: it adds no element and runs nothing. Two things are left to whoever writes the file:
//!
//! - A value that starts with `-` is passed as it is. Where the program would take it for an
//!   option, put `--` before it or attach it: `"--file={path}"`.
//! - An element that the program itself takes for code (`sh -c`, `python -c`, `ssh host`) is as
//!   dangerous with a placeholder as a shell string would be. The program itself (the first
//!   element) can hold no placeholder at all: arguments do not choose what runs.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use crate::work::{Argument, Arguments};

/// A program and its arguments, with places for the arguments of the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    elements: Vec<Pattern>,
}

impl CommandLine {
    /// Reads the elements of a command line, the program first.
    ///
    /// # Errors
    /// There is no program, arguments would choose it, or an element is no [`Pattern`].
    pub fn parse(elements: &[String]) -> Result<Self, InvalidCommandLine> {
        let elements = elements
            .iter()
            .enumerate()
            .map(|(element, text)| {
                Pattern::parse(text)
                    .map_err(|source| InvalidCommandLine::Pattern { element, source })
            })
            .collect::<Result<Vec<_>, _>>()?;
        match elements.first() {
            None => Err(InvalidCommandLine::Empty),
            Some(program) if program.parts.is_empty() => Err(InvalidCommandLine::NoProgram),
            Some(program) if program.keys().next().is_some() => {
                Err(InvalidCommandLine::ProgramFromArguments)
            }
            Some(_) => Ok(Self { elements }),
        }
    }

    /// The command line for a task with these arguments: exactly as many elements as were written.
    ///
    /// # Errors
    /// An argument is missing or cannot be passed; see [`ExpandError`].
    pub fn expand(&self, args: &Arguments) -> Result<Vec<String>, ExpandError> {
        self.elements.iter().map(|element| element.expand(args)).collect()
    }

    /// Its elements as they are written in the file.
    pub(super) fn written(&self) -> impl Iterator<Item = String> {
        self.elements.iter().map(Pattern::to_string)
    }

    /// The keys of the arguments that it needs, in the order of the elements.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.elements.iter().flat_map(Pattern::keys)
    }
}

/// An element of a command line as a shell takes it for one.
pub(crate) fn quoted(element: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+{}".contains(c);
    // Some shells take these apart; `{key}` they leave.
    let is_expanded = element.contains('{') && (element.contains(',') || element.contains(".."));
    if !element.is_empty() && element.chars().all(is_plain) && !is_expanded {
        return element.into();
    }
    format!("'{}'", element.replace('\'', r"'\''")).into()
}

/// A text with places for the arguments of a task.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Key(String),
    Text(String),
}

impl Pattern {
    /// Reads a text with `{key}`, `{{` and `}}` in it.
    ///
    /// # Errors
    /// Its braces are not balanced, or it cannot be an argument of a program.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if let Some(at) = text.find('\0') {
            return Err(InvalidPattern::Nul { at });
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(found) = text[at..].find(['{', '}']) {
            literal.push_str(&text[at..at + found]);
            at += found;
            let rest = &text[at..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                literal.push_str(&rest[..1]);
                at += 2;
                continue;
            }
            if rest.starts_with('}') {
                return Err(InvalidPattern::Unopened { at });
            }
            let end = rest[1..].find(['{', '}']).map(|length| 1 + length);
            let Some(end) = end.filter(|end| rest[*end..].starts_with('}')) else {
                return Err(InvalidPattern::Unclosed { at });
            };
            let key = &rest[1..end];
            let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            if key.is_empty() || !key.chars().all(legal) {
                return Err(InvalidPattern::Key { at, key: key.to_owned() });
            }
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Key(key.to_owned()));
            at += end + 1;
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// The text for a task with these arguments. Strings are put in as they are, numbers and
    /// booleans as JSON writes them, lists and objects as compact JSON.
    ///
    /// # Errors
    /// An argument is missing or cannot be passed; see [`ExpandError`].
    pub fn expand(&self, args: &Arguments) -> Result<String, ExpandError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Key(key) => push_argument(&mut text, key, args)?,
                Part::Text(literal) => text.push_str(literal),
            }
        }
        if text.len() > ELEMENT_BYTES_MAX {
            return Err(ExpandError::TooLong { bytes: text.len() });
        }
        Ok(text)
    }

    /// The keys of the arguments that it needs.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Key(key) => Some(key.as_str()),
            Part::Text(_) => None,
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Key(key) => write!(f, "{{{key}}}")?,
                Part::Text(text) => {
                    f.write_str(&text.replace('{', "{{").replace('}', "}}"))?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

fn push_argument(text: &mut String, key: &str, args: &Arguments) -> Result<(), ExpandError> {
    let key_owned = || key.to_owned();
    if !args.are_named() {
        return Err(ExpandError::NotAnObject { key: key_owned() });
    }
    match args.get(key) {
        None => return Err(ExpandError::Missing { key: key_owned() }),
        // Programs know no null: neither an empty string nor the word would be what was meant.
        Some(Argument::Null) => return Err(ExpandError::Null { key: key_owned() }),
        Some(Argument::String(value)) if value.contains('\0') => {
            return Err(ExpandError::Nul { key: key_owned() });
        }
        Some(Argument::String(value)) => text.push_str(&value),
        // JSON escapes control characters, so there is no NUL in it.
        Some(Argument::Other(value)) => text.push_str(&value),
    }
    Ok(())
}

/// Why the arguments of a task do not fit its command line. The task fails; another attempt with
/// the same arguments fails in the same way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// The arguments hold no such key.
    #[error("argument `{key}` is missing")]
    Missing {
        /// The key.
        key: String,
    },
    /// The arguments are no JSON object, so they have no keys.
    #[error("argument `{key}` is missing: the arguments are not a JSON object")]
    NotAnObject {
        /// The first key that was looked for.
        key: String,
    },
    /// A string with a NUL in it: no program can be given that.
    #[error("argument `{key}` holds a NUL character, which no program can be given")]
    Nul {
        /// The key.
        key: String,
    },
    /// The value is null, which has no text.
    #[error("argument `{key}` is null")]
    Null {
        /// The key.
        key: String,
    },
    /// One element would be longer than the operating system takes.
    #[error(
        "an element of the command line would take {bytes} bytes, the system takes \
         {ELEMENT_BYTES_MAX}; commands also find all arguments on their standard input"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Why a list of texts is not a command line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommandLine {
    /// The list is empty.
    #[error("a command needs a program")]
    Empty,
    /// The first element is empty.
    #[error("a command needs a program, its first element is empty")]
    NoProgram,
    /// An element cannot be read.
    #[error("element {element} of the command cannot be read")]
    Pattern {
        /// Its position, from 0.
        element: usize,
        /// What is wrong with it.
        source: InvalidPattern,
    },
    /// The first element has a placeholder.
    #[error("the program of a command cannot come from the arguments")]
    ProgramFromArguments,
}

/// Why a text with braces cannot be read. Positions are bytes of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// Between braces stands what cannot be a key.
    #[error("`{{{key}}}` is not the key of an argument")]
    Key {
        /// Where its `{` is.
        at: usize,
        /// What stands between the braces.
        key: String,
    },
    /// A NUL ends every argument of a program.
    #[error("a NUL character cannot be passed to a program")]
    Nul {
        /// Where it is.
        at: usize,
    },
    /// A `{` without its `}`.
    #[error("this `{{` is not closed")]
    Unclosed {
        /// Where it is.
        at: usize,
    },
    /// A `}` without its `{`.
    #[error("this `}}` closes nothing")]
    Unopened {
        /// Where it is.
        at: usize,
    },
}

impl InvalidPattern {
    /// The bytes of the text that are wrong.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::Key { at, key } => *at..at + key.len() + 2,
            Self::Nul { at } | Self::Unclosed { at } | Self::Unopened { at } => *at..at + 1,
        }
    }
}

/// Longest single argument that Linux passes to a program (`MAX_ARG_STRLEN`), without its final
/// NUL.
const ELEMENT_BYTES_MAX: usize = 128 * 1024 - 1;

#[cfg(test)]
mod tests;
