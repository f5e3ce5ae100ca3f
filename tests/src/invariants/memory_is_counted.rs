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
        let partitions = || process.scheduler.copies().filter_map(|copy| copy.partition());
        for partition in partitions() {
            let (memory, weight) = (partition.memory(), partition.fill().weight());
            if (memory < weight) != (partition.cold() > 0) {
                let cold = partition.cold();
                return Err(format!("{memory} of {weight} bytes with {cold} records put away"));
            }
        }
        let weight: usize = partitions().map(|partition| partition.memory()).sum();
        let counted = process.scheduler.memory();
        if counted != weight {
            return Err(format!("host {host} counts {counted} bytes where {weight} are"));
        }
    }
    Ok(())
}
