//! The jobs of a partition as they are written into its snapshot.

use serde::{Deserialize, Serialize};

use super::{Jobs, OpenTask};
use crate::id::TaskId;
use crate::job::{JobName, JobState};

/// All that is not derived.
#[derive(Serialize, Deserialize)]
pub(in crate::partition) struct JobsImage {
    states: Vec<(JobName, JobState)>,
    open: Vec<(TaskId, OpenTask)>,
    file: u64,
}

impl Jobs {
    pub(in crate::partition) fn to_image(&self) -> JobsImage {
        let states = self.states.iter().map(|(name, state)| (name.clone(), state.clone()));
        let open = self.open.iter().map(|(task, open)| (*task, open.clone()));
        JobsImage { states: states.collect(), open: open.collect(), file: self.file }
    }

    pub(in crate::partition) fn from_image(image: JobsImage) -> Self {
        let mut jobs = Self { file: image.file, ..Self::default() };
        image.states.into_iter().for_each(|(name, state)| jobs.put(name, state));
        image.open.into_iter().for_each(|(task, open)| jobs.open(task, open));
        jobs
    }
}
