//! Looks at records, which may have to be read for it.

use std::iter::Peekable;
use std::ops::Deref;

use super::cold::ColdRecords;
use super::index::Entry;
use crate::task::{Record, State, Template};

/// A record as it is: one in memory, or what was read of one that is put away.
#[derive(Clone, Debug)]
pub struct Look<'a>(Inner<'a>);

#[derive(Clone, Debug)]
enum Inner<'a> {
    Here(&'a Record),
    Read(Box<Record>),
}

impl<'a> Look<'a> {
    pub(super) const fn here(record: &'a Record) -> Self {
        Self(Inner::Here(record))
    }

    pub(super) fn read(record: Record) -> Self {
        Self(Inner::Read(Box::new(record)))
    }

    /// The record, which is in memory.
    #[cfg(test)]
    pub(crate) fn in_memory(self) -> &'a Record {
        match self.0 {
            Inner::Here(record) => record,
            Inner::Read(record) => panic!("it is put away: {record:?}"),
        }
    }

    /// The record.
    #[must_use]
    pub fn into_owned(self) -> Record {
        match self.0 {
            Inner::Here(record) => record.clone(),
            Inner::Read(record) => *record,
        }
    }
}

impl Deref for Look<'_> {
    type Target = Record;
    fn deref(&self) -> &Record {
        match &self.0 {
            Inner::Here(record) => record,
            Inner::Read(record) => record,
        }
    }
}

impl PartialEq for Look<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// A record that was found, and not looked at if it is put away.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a>(Where<'a>);

#[derive(Clone, Copy)]
enum Where<'a> {
    Here(&'a Record),
    Cold(&'a ColdRecords, Entry),
}

impl<'a> Found<'a> {
    pub(super) const fn here(record: &'a Record) -> Self {
        Self(Where::Here(record))
    }

    pub(super) const fn cold(cold: &'a ColdRecords, entry: Entry) -> Self {
        Self(Where::Cold(cold, entry))
    }

    /// Whether it has to be read for a look.
    pub(crate) const fn is_cold(self) -> bool {
        matches!(self.0, Where::Cold(..))
    }

    /// Where it is in its life.
    pub(crate) const fn state(self) -> State {
        match self.0 {
            Where::Here(record) => record.state(),
            Where::Cold(..) => State::Scheduled,
        }
    }

    /// What it has in common with others.
    pub(crate) fn template(self) -> Option<&'a Template> {
        match self.0 {
            Where::Here(record) => Some(&record.template),
            Where::Cold(cold, entry) => cold.template(&entry).map(|template| &**template),
        }
    }

    /// The record, unless it cannot be read.
    pub(crate) fn look(self) -> Option<Look<'a>> {
        match self.0 {
            Where::Here(record) => Some(Look::here(record)),
            Where::Cold(cold, entry) => cold.read_entry(&entry).map(Look::read),
        }
    }
}

/// Two lines in order become one.
pub(super) struct Merged<A: Iterator, B: Iterator> {
    one: Ends<A>,
    other: Ends<B>,
}

/// A line of which the first and the last may have been looked at.
struct Ends<I: Iterator> {
    rest: Peekable<I>,
    last: Option<I::Item>,
}

impl<I: DoubleEndedIterator> Ends<I> {
    fn new(line: I) -> Self {
        Self { rest: line.peekable(), last: None }
    }

    fn first(&mut self) -> Option<&I::Item> {
        self.rest.peek().or(self.last.as_ref())
    }

    fn take_first(&mut self) -> Option<I::Item> {
        self.rest.next().or_else(|| self.last.take())
    }

    fn last(&mut self) -> Option<&I::Item> {
        if self.last.is_none() {
            self.last = self.rest.next_back();
        }
        self.last.as_ref()
    }

    fn take_last(&mut self) -> Option<I::Item> {
        self.last.take().or_else(|| self.rest.next_back())
    }
}

impl<K: Ord, V, A, B> Merged<A, B>
where
    A: DoubleEndedIterator<Item = (K, V)>,
    B: DoubleEndedIterator<Item = (K, V)>,
{
    pub(super) fn new(one: A, other: B) -> Self {
        Self { one: Ends::new(one), other: Ends::new(other) }
    }
}

impl<K: Ord, V, A, B> Iterator for Merged<A, B>
where
    A: DoubleEndedIterator<Item = (K, V)>,
    B: DoubleEndedIterator<Item = (K, V)>,
{
    type Item = (K, V);
    fn next(&mut self) -> Option<(K, V)> {
        match (self.one.first(), self.other.first()) {
            (Some((one, _)), Some((other, _))) if one > other => self.other.take_first(),
            (Some(_), _) => self.one.take_first(),
            (None, _) => self.other.take_first(),
        }
    }
}

impl<K: Ord, V, A, B> DoubleEndedIterator for Merged<A, B>
where
    A: DoubleEndedIterator<Item = (K, V)>,
    B: DoubleEndedIterator<Item = (K, V)>,
{
    fn next_back(&mut self) -> Option<(K, V)> {
        match (self.one.last(), self.other.last()) {
            (Some((one, _)), Some((other, _))) if one < other => self.other.take_last(),
            (Some(_), _) => self.one.take_last(),
            (None, _) => self.other.take_last(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn two_lines_are_one_from_both_ends(
            all in btree_map(0..60_u8, any::<bool>(), 0..40), ends in vec(any::<bool>(), 60),
        ) {
            let part = |which| all.iter().filter(move |(_, part)| **part == which);
            let mut merged = Merged::new(part(true), part(false));
            let mut whole = all.iter();
            for front in ends {
                match front {
                    true => prop_assert_eq!(merged.next(), whole.next()),
                    false => prop_assert_eq!(merged.next_back(), whole.next_back()),
                }
            }
        }
    }
}
