//! The beginning and the end of an output of any length.
//!
//! The beginning says what a program set out to do, the end why it failed; what lies between is
//! counted and dropped. Invariant: never more bytes are kept than the limit.

use std::collections::VecDeque;

use bytes::Bytes;

/// Up to `limit` bytes of an output: all of it, or its first and its last half that many.
pub(super) struct Excerpt {
    limit: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: usize,
}

impl Excerpt {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, head: Vec::new(), tail: VecDeque::new(), total: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(bytes.len());
        let head_max = self.limit.div_ceil(2);
        let (first, rest) = bytes.split_at(bytes.len().min(head_max - self.head.len()));
        self.head.extend_from_slice(first);
        let tail_max = self.limit - head_max;
        let rest = &rest[rest.len().saturating_sub(tail_max)..];
        let excess = (self.tail.len() + rest.len()).saturating_sub(tail_max);
        self.tail.drain(..excess);
        self.tail.extend(rest);
    }

    /// The text in at most `limit` bytes of the output, with a note of how many were left out.
    pub(super) fn text(&self, limit: usize) -> String {
        let limit = limit.min(self.limit);
        let mut kept = self.head.clone();
        kept.extend(&self.tail);
        if self.total <= limit {
            return String::from_utf8_lossy(&kept).into_owned();
        }
        let front = whole_end(&kept[..limit.div_ceil(2)]);
        let back = whole_start(&kept[kept.len() - limit / 2..]);
        let cut = self.total - front.len() - back.len();
        let (front, back) = (String::from_utf8_lossy(front), String::from_utf8_lossy(back));
        format!("{front}\n[{cut} bytes cut]\n{back}")
    }

    /// The text of the last `limit` bytes, without surrounding white space.
    pub(super) fn last(&self, limit: usize) -> String {
        let mut kept = self.head.clone();
        if self.total > self.head.len() + self.tail.len() {
            // What stands before the gap does not belong to the end.
            kept.clear();
        }
        kept.extend(&self.tail);
        let back = whole_start(&kept[kept.len().saturating_sub(limit)..]);
        String::from_utf8_lossy(back).trim().to_owned()
    }
}

/// `bytes` without the beginning of a character that was cut at their end.
fn whole_end(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        Ok(_) | Err(_) => bytes,
    }
}

/// `bytes` without the rest of a character that was cut at their start: three bytes at most.
fn whole_start(bytes: &[u8]) -> &[u8] {
    let rest = bytes.iter().take(3).take_while(|byte| **byte & 0xC0 == 0x80).count();
    &bytes[rest..]
}

/// The JSON of at most `max` bytes that `render` makes with about the most bytes of output, `limit` at
/// most. JSON can take six times the bytes of what it quotes, and a run must not fail for having
/// printed binary data.
pub(super) fn fit(max: usize, limit: usize, render: impl Fn(usize) -> serde_json::Value) -> Bytes {
    let mut limit = limit;
    loop {
        let json = render(limit).to_string();
        if json.len() <= max || limit == 0 {
            return Bytes::from(json);
        }
        limit = limit / 4 * 3;
    }
}

#[cfg(test)]
mod tests {
    use umbel_protocol::limits::RESULT_BYTES_MAX;

    use super::*;

    fn excerpt(limit: usize, chunks: &[&str]) -> Excerpt {
        let mut excerpt = Excerpt::new(limit);
        for chunk in chunks {
            excerpt.push(chunk.as_bytes());
        }
        excerpt
    }

    #[test]
    fn keeps_all_that_fits() {
        let excerpt = excerpt(10, &["abc", "defg", "hij"]);
        assert_eq!(excerpt.text(10), "abcdefghij");
        assert_eq!(excerpt.text(4), "ab\n[6 bytes cut]\nij");
        assert_eq!(excerpt.last(4), "ghij");
    }

    #[test]
    fn keeps_beginning_and_end_of_what_does_not() {
        let excerpt = excerpt(6, &["abcd", "efghijklm", "", "nop"]);
        assert_eq!(excerpt.text(6), "abc\n[10 bytes cut]\nnop");
        assert_eq!(excerpt.text(100), excerpt.text(6));
        assert_eq!(excerpt.last(100), "nop");
        assert_eq!(excerpt.text(0), "\n[16 bytes cut]\n");
    }

    #[test]
    fn cuts_between_characters() {
        let excerpt = excerpt(6, &["aäö", "bbbb", "üü"]);
        assert_eq!(excerpt.text(6), "aä\n[8 bytes cut]\nü");
    }

    #[test]
    fn shrinks_until_the_result_fits() {
        let excerpt = excerpt(RESULT_BYTES_MAX, &[&"\u{1}".repeat(RESULT_BYTES_MAX)]);
        for max in [RESULT_BYTES_MAX, RESULT_BYTES_MAX / 10] {
            let json = fit(max, RESULT_BYTES_MAX, |limit| excerpt.text(limit).into());
            assert!(json.len() <= max && json.len() > max / 2, "{}", json.len());
        }
    }
}
