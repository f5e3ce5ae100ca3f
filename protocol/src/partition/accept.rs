//! Taking tasks in, once each.

use std::sync::Arc;

use bytes::Bytes;

use super::apply::Tokens;
use super::lease::{grant, is_due};
use super::{Change, Grant, Partition, Refusal};
use crate::id::Lessee;
use crate::limits::{ID_AHEAD_MAX, PARTITION_BYTES_MAX, PARTITION_TASKS_MAX};
use crate::task::{Batch, Phase, Record, Row, Template};

impl Partition {
    pub(super) fn accept(
        &mut self,
        ordinal: usize,
        batch: &Batch,
        grants: &[Grant],
        tokens: &mut Tokens,
        changes: &mut Vec<Change>,
    ) {
        let templates: Vec<Arc<Template>> =
            batch.templates.iter().map(|template| self.intern(template)).collect();
        let mut slots =
            grants.iter().flat_map(|grant| std::iter::repeat_n(grant.lessee, grant.rows as usize));
        let mut refused = Vec::new();
        let mut known = 0;
        for (position, row) in (0_u32..).zip(&batch.rows) {
            let Some(template) = templates.get(usize::from(row.template)) else {
                continue;
            };
            match self.look_up(row, template) {
                Found::New => self.take_in(row, template, &mut slots, tokens, changes),
                Found::Same => known += 1,
                Found::Refused(refusal) => refused.push((position, refusal)),
            }
        }
        let unused = slots.collect();
        changes.push(Change::Accepted { ordinal, refused, known, unused });
    }

    fn look_up(&self, row: &Row, template: &Template) -> Found {
        if row.id.partition() != self.id {
            return Found::Refused(Refusal::WrongPartition);
        }
        if let Some(record) = self.records.get(&row.id) {
            let same = *record.template == *template && record.args == row.args;
            return if same { Found::Same } else { Found::Refused(Refusal::Conflict) };
        }
        if self.stubs.contains_key(&row.id) {
            return Found::Same;
        }
        if row.id.made_at() <= self.dedup_floor {
            return Found::Refused(Refusal::TooOld);
        }
        if row.id.made_at() > self.now + ID_AHEAD_MAX {
            return Found::Refused(Refusal::TooEarly);
        }
        if self.open >= PARTITION_TASKS_MAX || self.bytes >= PARTITION_BYTES_MAX {
            return Found::Refused(Refusal::Overloaded);
        }
        Found::New
    }

    fn take_in(
        &mut self,
        row: &Row,
        template: &Arc<Template>,
        slots: &mut impl Iterator<Item = Lessee>,
        tokens: &mut Tokens,
        changes: &mut Vec<Change>,
    ) {
        let delay = template.options.delay;
        let phase = if delay.is_zero() {
            Phase::Ready
        } else {
            Phase::Scheduled { not_before: self.now + delay }
        };
        let order = self.next_order();
        // A copy of its own: a slice would keep the whole entry alive as long as the record.
        let args = Bytes::copy_from_slice(&row.args);
        let mut record = Record::new(Arc::clone(template), args, self.now, order, phase);
        match *record.phase() {
            Phase::Scheduled { not_before } => {
                changes.push(Change::Scheduled { task: row.id, not_before });
            }
            // Its time to start has passed already: it is not given out, it will be given up.
            _ if !is_due(&record, self.now) => changes.push(Change::Ready { task: row.id }),
            _ => match slots.next() {
                Some(lessee) => {
                    grant(row.id, &mut record, self.now, lessee, tokens.take(), changes)
                }
                None => changes.push(Change::Ready { task: row.id }),
            },
        }
        self.open += 1;
        self.bytes += record.weight();
        self.records.insert(row.id, record);
    }
}

enum Found {
    New,
    Same,
    Refused(Refusal),
}
