//! What a node takes its records to weigh is what they weigh, whatever has come and gone.

use crate::world::World;

/// Counts anew on every host.
///
/// # Errors
/// Who is wrong, and by how much.
pub fn check(world: &World) -> Result<(), String> {
    for (host, one) in world.hosts.iter().enumerate() {
        let Some(process) = &one.process else {
            continue;
        };
        let partitions = process.scheduler.copies().filter_map(|copy| copy.partition());
        let weight: usize = partitions.map(|partition| partition.fill().weight()).sum();
        let counted = process.scheduler.memory();
        if counted != weight {
            return Err(format!("host {host} counts {counted} bytes where {weight} are"));
        }
    }
    Ok(())
}
