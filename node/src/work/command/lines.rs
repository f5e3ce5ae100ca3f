//! The lines that a program prints, as it prints them: what it says of itself.
//!
//! A line `::umbel progress DONE/TOTAL MESSAGE`, or without a total or a message, says how far it is; all
//! others are lines for whoever watches.

use umbel_protocol::limits::LINE_BYTES_MAX;

use crate::work::context::Context;

/// What a line begins with that says how far a program is.
const PROGRESS: &str = "::umbel progress ";

/// Makes lines of what comes in pieces.
pub(super) struct Lines<'a> {
    /// Who says them; nobody, if they are not to be shown.
    context: Option<&'a Context>,
    is_error: bool,
    /// The beginning of the line that has not ended.
    begun: Vec<u8>,
}

impl<'a> Lines<'a> {
    pub(super) const fn new(context: Option<&'a Context>, is_error: bool) -> Self {
        Self { context, is_error, begun: Vec::new() }
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        let Some(context) = self.context else { return };
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part {
                [text @ .., b'\n'] => (text, true),
                text => (text, false),
            };
            // The rest of a line that is too long is left out.
            let room = LINE_BYTES_MAX.saturating_sub(self.begun.len());
            let text = &text[..text.len().min(room)];
            if !ends {
                self.begun.extend_from_slice(text);
            } else if self.begun.is_empty() {
                say(context, self.is_error, text);
            } else {
                self.begun.extend_from_slice(text);
                say(context, self.is_error, &self.begun);
                self.begun.clear();
            }
        }
    }

    /// There is no more.
    pub(super) fn end(self) {
        if let Some(context) = self.context
            && !self.begun.is_empty()
        {
            say(context, self.is_error, &self.begun);
        }
    }
}

fn say(context: &Context, is_error: bool, line: &[u8]) {
    let line = String::from_utf8_lossy(line);
    match line.strip_prefix(PROGRESS).and_then(progress) {
        Some((done, total, message)) => {
            context.progress(done, total);
            context.progress_message(message);
        }
        None if is_error => context.log_error(line),
        None => context.log(line),
    }
}

/// How far a program says that it is, if that makes sense.
fn progress(text: &str) -> Option<(u64, Option<u64>, &str)> {
    let text = text.trim();
    let (count, message) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let (done, total) = match count.split_once('/') {
        Some((done, total)) => (done, Some(total.parse().ok()?)),
        None => (count, None),
    };
    Some((done.parse().ok()?, total, message.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_program_is() {
        for (text, expected) in [
            ("3/10", Some((3, Some(10), ""))),
            (" 3/10  two words \r", Some((3, Some(10), "two words"))),
            ("7", Some((7, None, ""))),
            ("7 files", Some((7, None, "files"))),
            ("", None),
            ("half", None),
            ("-1/2", None),
            ("3/ten", None),
            ("99999999999999999999/1", None),
        ] {
            assert_eq!(progress(text), expected, "{text:?}");
        }
    }
}
