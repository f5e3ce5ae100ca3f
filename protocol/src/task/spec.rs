//! What is asked for: the part of a task that never changes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{InvalidBatch, Particulars, Template, discreet};
use crate::id::TaskId;
use crate::limits::{ARGS_BYTES_MAX, BATCH_BYTES_MAX, BATCH_TASKS_MAX};
use crate::wire::grown;

/// Tasks submitted together. What many of them have in common is written once, as a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// What rows refer to by position.
    pub templates: Vec<Template>,
    /// The tasks.
    pub rows: Vec<Row>,
}

/// One task of a batch.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Its id, made before the first try: the idempotency key.
    pub id: TaskId,
    /// Position of its template in the batch.
    pub template: u16,
    /// Its arguments, JSON.
    pub args: Bytes,
    /// What is said of it alone.
    pub particulars: Option<Box<Particulars>>,
}

grown!(Row { id, template, args } since 3 { particulars = None });
discreet!(Row { id, template, particulars } hides { args });

impl Batch {
    /// One task.
    #[must_use]
    pub fn one(id: TaskId, template: Template, args: Bytes) -> Self {
        Self { templates: vec![template], rows: vec![Row::new(id, 0, args)] }
    }

    /// Refuses what no partition would take.
    ///
    /// # Errors
    /// The first limit that the batch breaks.
    pub fn check(&self) -> Result<(), InvalidBatch> {
        if self.rows.len() > BATCH_TASKS_MAX || self.templates.len() > BATCH_TASKS_MAX {
            return Err(InvalidBatch::TooManyTasks { tasks: self.rows.len() });
        }
        for template in &self.templates {
            template.check()?;
        }
        for row in &self.rows {
            let Some(template) = self.template(row) else {
                return Err(InvalidBatch::NoTemplate { row: row.id });
            };
            if row.id.is_derived() {
                return Err(InvalidBatch::Derived { row: row.id });
            }
            if row.args.len() > ARGS_BYTES_MAX {
                return Err(InvalidBatch::ArgsTooLarge { row: row.id, bytes: row.args.len() });
            }
            row.particulars.as_deref().unwrap_or(&Particulars::NONE).check(template)?;
        }
        let bytes = self.weight();
        if bytes > BATCH_BYTES_MAX {
            return Err(InvalidBatch::TooManyBytes { bytes });
        }
        Ok(())
    }

    /// Refuses tasks whose keys live elsewhere, in a cluster with so many partitions.
    ///
    /// # Errors
    /// The first one.
    pub fn check_places(&self, partitions: u16) -> Result<(), InvalidBatch> {
        for row in &self.rows {
            let (Some(particulars), Some(template)) = (&row.particulars, self.template(row)) else {
                continue;
            };
            let partition = particulars.partition(&template.name, partitions);
            if let Some(partition) = partition.filter(|place| *place != row.id.partition()) {
                return Err(InvalidBatch::Misplaced { row: row.id, partition });
            }
        }
        Ok(())
    }

    /// No fewer bytes than it takes on the wire and in the log.
    #[must_use]
    pub fn weight(&self) -> usize {
        let templates: usize = self.templates.iter().map(Template::weight).sum();
        templates + self.rows.iter().map(Row::weight).sum::<usize>()
    }

    /// The template of `row`.
    #[must_use]
    pub fn template(&self, row: &Row) -> Option<&Template> {
        self.templates.get(usize::from(row.template))
    }

    /// The version of the protocol that knows all that it asks for.
    #[must_use]
    pub fn needs_version(&self) -> u16 {
        let rows = self.rows.iter().any(|row| row.particulars.is_some());
        if rows || self.templates.iter().any(|template| template.options.is_since_3()) {
            3
        } else {
            2
        }
    }
}

impl Row {
    /// Beyond its arguments: an id, a position, a length, and whether there are particulars, with every
    /// integer at its longest.
    const FIXED: usize = 17 + 3 + 5 + 1;

    /// A task of which nothing is said that is not said of others.
    #[must_use]
    pub const fn new(id: TaskId, template: u16, args: Bytes) -> Self {
        Self { id, template, args, particulars: None }
    }

    /// No fewer bytes than it takes on the wire and in the log.
    #[must_use]
    pub fn weight(&self) -> usize {
        let particulars = self.particulars.as_ref().map_or(0, |particulars| particulars.weight());
        Self::FIXED + self.args.len() + particulars
    }
}
