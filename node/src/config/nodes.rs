//! What holds for nodes with certain labels only, in one file for all of them.

use std::collections::BTreeMap;

use umbel_protocol::job::Labels;

use super::Config;

/// What is said of nodes with certain labels, in place of what is said of all. The labels of a node are those that it
/// was started with, whatever the file says of labels meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// The labels, all of which such a node has.
    pub select: Labels,
    /// The only queues that it serves.
    pub queues: Option<Vec<String>>,
    /// Slots by kind of work: `async`, `blocking`, `command` and `webhook`.
    pub slots: BTreeMap<String, u32>,
    /// Slots by resource.
    pub resources: BTreeMap<String, u32>,
    /// Slots by queue.
    pub queue_slots: BTreeMap<String, u32>,
}

impl Config {
    /// The same as it holds for a node with these labels: of several [`Nodes`] that are about it what the last one
    /// says counts, in the order of their names.
    #[must_use]
    pub fn on(&self, labels: &Labels) -> Self {
        let mut here = self.clone();
        for nodes in self.nodes.iter().filter(|nodes| labels.match_all(&nodes.select)) {
            if nodes.queues.is_some() {
                here.node.queues.clone_from(&nodes.queues);
            }
            let kinds = &mut here.slots;
            for (kind, slots) in [
                ("async", &mut kinds.asynchronous),
                ("blocking", &mut kinds.blocking),
                ("command", &mut kinds.command),
                ("webhook", &mut kinds.webhook),
            ] {
                *slots = nodes.slots.get(kind).copied().unwrap_or(*slots);
            }
            let resources = nodes.resources.iter().map(|(name, slots)| (name.clone(), *slots));
            kinds.resources.extend(resources);
            for (queue, slots) in &nodes.queue_slots {
                here.queues.entry(queue.clone()).or_default().slots = Some(*slots);
            }
        }
        here
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[slots]
command = 4
resources = { gpu = 0, license = 3 }
[nodes.big]
select = { size = "big" }
slots = { command = 32 }
[nodes.gpu]
select = { role = "gpu" }
queues = ["train"]
slots = { command = 2 }
resources = { gpu = 8 }
queue_slots = { train = 1 }
[queues.train]
[tasks.train]
command = ["train"]
queue = "train"
resource = "gpu"
"#;

    #[test]
    fn a_node_has_what_is_said_of_its_labels() {
        let config = Config::parse("cluster.toml", FILE).expect("it is valid");
        let on = |labels: &str| config.on(&labels.parse().expect("labels"));
        let (plain, both) = (on("role=web"), on("role=gpu,size=big"));
        assert_eq!(
            (plain.slots.command, plain.node.queues, plain.queues["train"].slots),
            (4, None, None)
        );
        assert_eq!(on("size=big").slots.command, 32);
        assert_eq!(both.slots.command, 2, "that of the last");
        assert_eq!(both.slots.resources, [("gpu".to_owned(), 8), ("license".to_owned(), 3)].into());
        assert_eq!(both.node.queues, Some(vec!["train".to_owned()]));
        assert_eq!(both.queues["train"].slots, Some(1));
        assert_eq!(config.tasks["train"].resource.as_deref(), Some("gpu"));
    }

    #[test]
    fn what_is_said_of_nodes_must_make_sense() {
        let refused = |text: &str| {
            Config::parse("cluster.toml", text).expect_err("it makes no sense").to_string()
        };
        let said = refused("[nodes.a]\nslots = { comand = 2 }\nresources = { gpu = -1 }\n");
        assert!(said.contains("does not say which nodes it is about"), "{said}");
        assert!(said.contains("there is no kind of work `comand`"), "{said}");
        assert!(said.contains("`gpu` cannot be -1"), "{said}");
        let said = refused("[tasks.a]\ncommand = [\"a\"]\nresource = \"gpu\"\n");
        assert!(said.contains("resources = { gpu = 1 }"), "{said}");
        let queues = |count: u32| -> String {
            (0..count).map(|n| format!("[queues.q{n}]\nslots = 1\n")).collect()
        };
        assert!(Config::parse("cluster.toml", &queues(200)).is_ok());
        let one_more = "[nodes.a]\nselect = { role = \"a\" }\nqueue_slots = { other = 1 }\n";
        let said = refused(&(one_more.to_owned() + &queues(200)));
        assert!(said.contains("more than 200 queues and resources with slots"), "{said}");
        let said = refused(&queues(201));
        assert!(said.contains("more than 200 queues and resources with slots"), "{said}");
    }
}
