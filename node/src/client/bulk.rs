//! Submitting many tasks with few requests: cut by partition and by what a request may hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;
use umbel_protocol::id::{PartitionId, TaskId};
use umbel_protocol::limits::{ARGS_BYTES_MAX, BATCH_BYTES_MAX, BATCH_TASKS_MAX};
use umbel_protocol::partition::Refusal;
use umbel_protocol::task::{Batch, InvalidBatch, Row, Template};
use umbel_protocol::wire::RequestError;

use super::directory::Directory;
use super::{Client, ClientError};
use crate::work::Submission;

/// Many submissions, cut into requests.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    pub(super) batches: Vec<Cut>,
    /// Submissions that no node would take, by position.
    pub(super) refused: Vec<(usize, ClientError)>,
}

/// One request's share, and where its rows stood.
#[derive(Debug, Default)]
pub(super) struct Cut {
    batch: Batch,
    positions: Vec<usize>,
    bytes: usize,
}

/// Gives ids to those of `submissions` that have none; a few partitions share them.
pub(super) async fn number(
    directory: &Directory,
    submissions: &mut [Submission],
    deadline: Instant,
) -> Result<(), ClientError> {
    let share = submissions.len().div_ceil(SHARES).clamp(SHARE_MIN, BATCH_TASKS_MAX);
    let mut turn: Option<(PartitionId, usize)> = None;
    for submission in submissions.iter_mut().filter(|submission| submission.id.is_none()) {
        if let Some(id) = directory.new_id_for_key(submission, deadline).await? {
            submission.id = Some(id);
            continue;
        }
        let (partition, left) = match turn {
            Some((partition, left)) if left > 0 => (partition, left),
            Some(_) | None => (directory.next_partition(deadline).await?, share),
        };
        turn = Some((partition, left - 1));
        submission.id = Some(TaskId::new(directory.now(), partition, rand::random()));
    }
    Ok(())
}

/// Cuts `submissions` into batches of one partition each. Those without an id are given one.
pub(super) async fn cut(
    directory: &Directory,
    mut submissions: Vec<Submission>,
    deadline: Instant,
) -> Result<Cuts, ClientError> {
    number(directory, &mut submissions, deadline).await?;
    let mut cuts = Cuts::default();
    let mut open: BTreeMap<PartitionId, Cut> = BTreeMap::new();
    let mut checked: Option<Template> = None;
    for (position, submission) in submissions.into_iter().enumerate() {
        let Submission { template, args, particulars, id } = submission;
        let bytes = args.len();
        let id = id.expect("all have one by now");
        let legal = check(&mut checked, &template)
            .and(if bytes > ARGS_BYTES_MAX {
                Err(InvalidBatch::ArgsTooLarge { row: id, bytes })
            } else {
                Ok(())
            })
            .and_then(|()| particulars.as_ref().map_or(Ok(()), |said| said.check(&template)));
        if let Err(invalid) = legal {
            cuts.refused.push((position, ClientError::Request(invalid.into())));
            continue;
        }
        let cut = open.entry(id.partition()).or_default();
        let mut row = Row { particulars, ..Row::new(id, 0, args) };
        // The template may be known to the batch, but counting it always is simpler and no more.
        let weight = row.weight() + template.weight();
        if cut.positions.len() >= BATCH_TASKS_MAX || cut.bytes + weight > BATCH_BYTES_MAX {
            cuts.batches.push(std::mem::take(cut));
        }
        cut.bytes += row.weight();
        row.template = cut.template(template);
        cut.batch.rows.push(row);
        cut.positions.push(position);
    }
    cuts.batches.extend(open.into_values());
    Ok(cuts)
}

/// Submits one cut. One bad name must not keep the others out: they are submitted without it.
pub(super) async fn submit(client: &Client, cut: Cut) -> Vec<(usize, Result<TaskId, ClientError>)> {
    let Cut { batch, positions, .. } = cut;
    let mut answers = Vec::with_capacity(positions.len());
    let (mut batch, mut positions) = (Arc::new(batch), positions);
    while !positions.is_empty() {
        let whole = Arc::clone(&batch);
        match client.submit_whole(whole, false).await {
            Ok(submitted) => {
                let mut refused = submitted.refused.into_iter().peekable();
                for ((place, position), row) in (0_u32..).zip(&positions).zip(&batch.rows) {
                    let refusal = refused.next_if(|(at, _)| *at == place);
                    answers.push((
                        *position,
                        match refusal {
                            // That one is what its caller gets.
                            Some((_, Refusal::Exists { task })) => Ok(task),
                            Some((_, refusal)) => {
                                Err(ClientError::Refused { task: row.id, refusal })
                            }
                            None => Ok(row.id),
                        },
                    ));
                }
                break;
            }
            Err(error) => {
                let is_meant = |template: &Template| match &error {
                    ClientError::Request(RequestError::UnknownTask { name, .. }) => {
                        template.name == *name
                    }
                    ClientError::Request(RequestError::UnknownQueue { name, .. }) => {
                        template.queue == *name
                    }
                    _ => true,
                };
                let mut rest = Cut::default();
                for (position, row) in positions.iter().zip(&batch.rows) {
                    match batch.template(row) {
                        Some(template) if !is_meant(template) => {
                            let template = rest.template(template.clone());
                            rest.batch.rows.push(Row { template, ..row.clone() });
                            rest.positions.push(*position);
                        }
                        Some(_) | None => answers.push((*position, Err(error.clone()))),
                    }
                }
                let none_meant = rest.positions.len() == positions.len();
                (batch, positions) = (Arc::new(rest.batch), rest.positions);
                if none_meant {
                    answers.extend(positions.drain(..).map(|at| (at, Err(error.clone()))));
                }
            }
        }
    }
    answers
}

impl Cut {
    /// The position of `template`, which is added if the batch does not have it.
    fn template(&mut self, template: Template) -> u16 {
        let templates = &mut self.batch.templates;
        // Most batches have one or two; in those with many, neighbours are alike.
        let place = match templates.iter().rposition(|known| *known == template) {
            Some(place) => place,
            None => {
                self.bytes += template.weight();
                templates.push(template);
                templates.len() - 1
            }
        };
        u16::try_from(place).expect("a batch has fewer rows than that, and no more templates")
    }
}

fn check(checked: &mut Option<Template>, template: &Template) -> Result<(), InvalidBatch> {
    if checked.as_ref() != Some(template) {
        Batch { templates: vec![template.clone()], rows: Vec::new() }.check()?;
        *checked = Some(template.clone());
    }
    Ok(())
}

/// Partitions that share a large submission.
const SHARES: usize = 8;
/// Fewer tasks than this are not worth another partition.
const SHARE_MIN: usize = 64;
