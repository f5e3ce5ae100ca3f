//! What is said of a task reaches whoever runs it as it was submitted, whoever owned it meanwhile.

use umbel_protocol::executor::Start;

use crate::world::World;

/// The label that carries the mark of a task.
pub const LABEL: &str = "mark";

/// A run of the task `mark` starts.
///
/// # Errors
/// If what is said of it is not what was said of it.
pub fn on_start(world: &World, mark: u64, start: &Start) -> Result<(), String> {
    let Some(log) = world.ledger.tasks.get(&mark) else {
        // It is of a job, which nobody has submitted.
        return Ok(());
    };
    let told = start.metadata.as_ref().and_then(|said| said.labels.get(LABEL));
    let said = log.label.map(|label| label.to_string());
    if told == said.as_deref() {
        return Ok(());
    }
    Err(format!("#{mark} starts with the label {told:?}, and was submitted with {said:?}"))
}
