//! Taking tasks in, once each.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::apply::Tokens;
use super::hand::Hand;
use super::records::Spot;
use super::tally::Tally;
use super::uniques::Uniques;
use super::{Change, Grant, Partition, Refusal};
use crate::id::Lessee;
use crate::limits::{BATCH_TASKS_MAX, DELAY_MAX, ID_AHEAD_MAX};
use crate::task::{
    Batch, Lease, Particulars, Phase, Record, Row, State, Template, UniquePolicy, UniqueScope,
};

impl Partition {
    pub(super) fn accept(
        &mut self,
        ordinal: usize,
        batch: &Batch,
        grants: &[Grant],
        tokens: &mut Tokens,
        changes: &mut Vec<Change>,
    ) {
        // Each is stored when the first of its tasks is taken in: a refused one leaves nothing.
        let mut templates: Vec<Shared<'_>> =
            batch.templates.iter().map(|said| Shared { said, stored: None, users: 0 }).collect();
        // However many a bad entry grants: more than a batch has rows are not counted up.
        let mut slots = (grants.iter())
            .flat_map(|grant| std::iter::repeat_n(grant.lessee, grant.rows as usize))
            .take(batch.rows.len().max(BATCH_TASKS_MAX));
        let mut refused = Vec::new();
        let mut known = 0;
        // There is room for all of a batch or for none of it, once all members decide so.
        let is_full = (self.version >= WHOLE_SINCE).then(|| self.tally.is_full(&self.limits));
        for (position, row) in (0_u32..).zip(&batch.rows) {
            let Some(template) = templates.get_mut(usize::from(row.template)) else {
                continue;
            };
            match self.take_in(row, template, is_full, &mut slots, tokens, changes) {
                Ok(Taken::Anew) => {}
                Ok(Taken::Before) => known += 1,
                Err(refusal) => refused.push((position, refusal)),
            }
        }
        for Shared { stored, users, .. } in templates {
            if let Some(count) = stored.and_then(|stored| self.templates.get_mut(&stored)) {
                *count += users;
            }
        }
        let unused = slots.collect();
        changes.push(Change::Accepted { ordinal, refused, known, unused });
    }

    fn take_in(
        &mut self,
        row: &Row,
        template: &mut Shared<'_>,
        is_full: Option<bool>,
        slots: &mut impl Iterator<Item = Lessee>,
        tokens: &mut Tokens,
        changes: &mut Vec<Change>,
    ) -> Result<Taken, Refusal> {
        let id = row.id;
        if id.partition() != self.id {
            return Err(Refusal::WrongPartition);
        }
        let spot = match self.records.spot(id) {
            Spot::Free(spot) => spot,
            Spot::Taken(known) => {
                let same = known.args == row.args
                    && Particulars::say_the_same(&known.particulars, &row.particulars)
                    && known.template.says_the_same(template.said);
                return if same { Ok(Taken::Before) } else { Err(Refusal::Conflict) };
            }
        };
        if self.stubs.ended(id).is_some() {
            return Ok(Taken::Before);
        }
        if let Some(refusal) = self.stubs.turned_away(id) {
            return Err(refusal);
        }
        if id.made_at() <= self.dedup_floor {
            return Err(Refusal::TooOld);
        }
        if id.made_at() > self.now.max(self.shown) + ID_AHEAD_MAX {
            return Err(Refusal::TooEarly);
        }
        let not_before = row.particulars.as_ref().and_then(|particulars| particulars.not_before);
        if not_before.is_some_and(|at| at.since(self.now.max(self.shown)) > DELAY_MAX) {
            return Err(Refusal::TooFar);
        }
        if is_full.unwrap_or_else(|| self.tally.is_full(&self.limits)) {
            return Err(Refusal::Overloaded);
        }
        let has_key = row.particulars.as_ref().is_some_and(|said| said.unique_key.is_some());
        let spot = if has_key {
            self.claim_key(row, template.said, changes).inspect_err(|refusal| {
                self.turn_away(id, *refusal);
            })?;
            match self.records.spot(id) {
                Spot::Free(spot) => spot,
                Spot::Taken(_) => unreachable!("nothing is taken in meanwhile"),
            }
        } else {
            spot
        };
        let template = template.stored(&mut self.templates, &mut self.tally);
        self.order_next += 1;
        // A copy of its own: a slice would keep what it was cut from alive as long as the record.
        let args = Bytes::copy_from_slice(&row.args);
        let record =
            Record::new(Arc::clone(template), args, self.now, self.order_next, Phase::Ready)
                .with_particulars(row.particulars.clone())
                .in_time(self.shown);
        if let Phase::Scheduled { not_before } = *record.phase() {
            changes.push(Change::Scheduled { task: id, not_before });
            self.tally.add(id, &record);
            self.uniques.takes(id, &record);
            self.records.insert(id, record, self.now);
        } else {
            let record = spot.insert(record);
            // What comes too late to start waits for its owner to give it up.
            let ends_by = record.ends_by(self.now, self.shown);
            let may_start = !record.is_overdue(ends_by) && self.limited.has_room(record, self.now);
            match may_start.then(|| slots.next()).flatten() {
                Some(lessee) => {
                    let token = tokens.take();
                    let lease = Lease { lessee, token, since: self.now, cancelling: false };
                    let Self { now, limits, version, ref mut tally, ref mut uniques, .. } = *self;
                    let task = id;
                    Hand { task, record, now, limits, version, tally, uniques, changes }
                        .grant(lease);
                    self.limited.begins(record, now);
                }
                None => changes.push(Change::Ready { task: id }),
            }
            self.tally.add(id, record);
            self.uniques.takes(id, record);
        }
        Ok(Taken::Anew)
    }

    /// Sees to it that the unique key of `row` is free.
    ///
    /// # Errors
    /// When another task holds it, and keeps it.
    fn claim_key(
        &mut self,
        row: &Row,
        template: &Template,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        let Some(key) = Uniques::key(&template.name, row.particulars.as_deref()) else {
            return Ok(());
        };
        let holder = self.uniques.holder(&key, self.now);
        let state = holder.and_then(|task| self.records.state(task));
        match (holder, template.options.unique_policy()) {
            (Some(task), UniquePolicy::Existing) => return Err(Refusal::Exists { task }),
            (Some(task), UniquePolicy::Refuse) => return Err(Refusal::NotUnique { task }),
            // One that runs cannot be taken back, and one that has ended within the time of its key neither.
            (Some(task), UniquePolicy::Replace)
                if !matches!(state, Some(State::Scheduled | State::Ready)) =>
            {
                return Err(Refusal::NotUnique { task });
            }
            (Some(_), UniquePolicy::Replace) | (None, _) => {}
        }
        let is_kept = matches!(template.options.unique_scope(), UniqueScope::For(_));
        if is_kept && self.uniques.has_no_room_for(&key) {
            return Err(Refusal::TooManyKeys);
        }
        if let Some(task) = holder
            && matches!(state, Some(State::Scheduled | State::Ready))
        {
            self.take(task, changes, |hand| hand.replace(row.id));
            // However long that one was to keep it, or the new one would be taken for it for the rest of that time.
            self.uniques.yields(&key);
        }
        Ok(())
    }
}

/// The version in whose entries a batch is taken in though it is more than there is room for.
const WHOLE_SINCE: u16 = 3;

enum Taken {
    Anew,
    Before,
}

/// A template of a batch, and the copy of it that records share.
struct Shared<'a> {
    said: &'a Template,
    stored: Option<Arc<Template>>,
    /// How many rows of the batch have come to use it.
    users: usize,
}

impl Shared<'_> {
    /// The copy for one more record.
    fn stored(
        &mut self,
        known: &mut BTreeMap<Arc<Template>, usize>,
        tally: &mut Tally,
    ) -> &Arc<Template> {
        self.users += 1;
        self.stored.get_or_insert_with(|| match known.get_key_value(self.said) {
            Some((known, _)) => Arc::clone(known),
            None => {
                let shared = Arc::new(self.said.clone());
                tally.bytes += shared.weight_kept();
                known.insert(Arc::clone(&shared), 0);
                shared
            }
        })
    }
}
