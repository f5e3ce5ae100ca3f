//! What a client knows of what it has submitted.

use std::collections::{BTreeMap, BTreeSet};

use super::client::Client;

/// Tasks by what was said of them.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// They were acknowledged: none of them may be lost.
    pub acknowledged: BTreeSet<String>,
    /// Nobody knows whether they were taken in, or they were not; with the lines that asked for them.
    pub doubtful: BTreeMap<String, String>,
    /// Submissions under an id that had been submitted before, which were acknowledged.
    pub recovered: usize,
    /// Tasks that were refused before they had an id.
    pub refused: usize,
}

impl Account {
    /// Submits `lines`, and again those that are in doubt.
    pub fn submit(&mut self, client: &Client, lines: Vec<String>) {
        let again: Vec<_> = self.doubtful.iter().map(|(id, line)| with_id(line, id)).collect();
        let known = again.len();
        let sent = [again, lines].concat();
        let ran = client.submit(&sent);
        // A row for each line, in their order, as far as it came.
        for (place, (row, line)) in ran.json().iter().zip(&sent).enumerate() {
            let Some(id) = row["id"].as_str().map(str::to_owned) else {
                self.refused += 1;
                continue;
            };
            if row["error"].is_null() {
                self.doubtful.remove(&id);
                self.recovered += usize::from(place < known);
                self.acknowledged.insert(id);
            } else if place >= known {
                self.doubtful.insert(id, line.clone());
            }
        }
    }

    /// What another client knows, too.
    pub fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.doubtful.extend(other.doubtful);
        self.recovered += other.recovered;
        self.refused += other.refused;
    }

    /// Whether a task was ever submitted.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.acknowledged.contains(id) || self.doubtful.contains_key(id)
    }
}

/// The same task under an id that it was given.
fn with_id(line: &str, id: &str) -> String {
    let rest = line.trim_start().strip_prefix('{').expect("a line is an object");
    format!("{{\"id\":\"{id}\",{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_submitted_again_under_its_id() {
        assert_eq!(with_id(r#"{"task":"a"}"#, "7"), r#"{"id":"7","task":"a"}"#);
    }
}
