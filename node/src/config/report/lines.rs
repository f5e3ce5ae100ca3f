//! In which line of a text something stands, told without reading all that is before it.

/// A text, and how many lines there are before each of its blocks.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    text: &'t str,
    before: Vec<usize>,
}

/// Small enough that to count the lines of one is nothing.
const BLOCK_BYTES: usize = 4096;

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let mut lines = 0;
        let before = text.as_bytes().chunks(BLOCK_BYTES).map(|block| {
            let before = lines;
            lines += newlines(block);
            before
        });
        Self { text, before: before.collect() }
    }

    pub(super) const fn text(&self) -> &'t str {
        self.text
    }

    /// The line of the byte `at`, from 1.
    pub(super) fn line_of(&self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        let at = at.min(bytes.len());
        // The end of the text may be the beginning of a block that is not there.
        let block = (at / BLOCK_BYTES).min(self.before.len().saturating_sub(1));
        let before = self.before.get(block).copied().unwrap_or(0);
        let rest = bytes.get(block * BLOCK_BYTES..at).unwrap_or_default();
        before + newlines(rest) + 1
    }
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_BYTES, Lines};

    #[test]
    fn lines_are_those_that_counting_from_the_start_tells() {
        for text in [String::new(), "a\nbc\n\n".repeat(2_000), "\n".repeat(2 * BLOCK_BYTES)] {
            let lines = Lines::of(&text);
            for at in (0..text.len()).step_by(97).chain([BLOCK_BYTES - 1, BLOCK_BYTES, text.len()])
            {
                let at = at.min(text.len());
                assert_eq!(lines.line_of(at), text[..at].matches('\n').count() + 1, "{at}");
            }
        }
    }
}
