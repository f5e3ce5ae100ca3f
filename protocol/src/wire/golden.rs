//! The bytes of everything that is written to a peer, a client or a log, committed one by one.
//!
//! A vector that no longer fits means that nodes of two versions would misunderstand each other, or
//! that a node could not read its own log. Then the change is wrong, or the version of the handshake
//! moves with it and the old vectors stay readable: those of the version before stand in `golden/v2.txt`,
//! which never changes. The vectors stand in `golden/vectors.txt`; a
//! failing test prints the lines that the code would write today.
//!
//! Every variant of every enum that travels has its vector: the `name` functions match without a
//! wildcard, and each name that they can give must be among the samples.

mod bounds;
mod jobs;
mod parts;
mod said;
mod samples;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::hello::Versions;
use super::{decode, decode_from, encode, encode_for};
use crate::limits::FRAME_BYTES_MAX;

/// `Type.Variant hex`, one a line.
const VECTORS: &str = include_str!("golden/vectors.txt");

/// A type of which each variant has a committed vector.
trait Golden: Serialize + DeserializeOwned + PartialEq + Debug {
    /// What its vectors are called.
    const NAME: &'static str;
    /// Its variants.
    const VARIANTS: &'static [&'static str];
    /// Which of them this is. Exhaustive: a new variant does not compile without a name.
    fn variant(&self) -> &'static str;
}

/// Names the variants of enums, so that none can be left out.
macro_rules! golden {
    ($($type:ident { $($variant:ident),+ $(,)? })+) => {
        $(impl $crate::wire::golden::Golden for $type {
            const NAME: &'static str = stringify!($type);
            const VARIANTS: &'static [&'static str] = &[$(stringify!($variant)),+];
            fn variant(&self) -> &'static str {
                match self { $(Self::$variant { .. } => stringify!($variant)),+ }
            }
        })+
    };
}
use golden;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex digits"))
        .collect()
}

/// All committed vectors, by name.
fn vectors() -> BTreeMap<&'static str, Vec<u8>> {
    read_vectors(VECTORS)
}

fn read_vectors(text: &'static str) -> BTreeMap<&'static str, Vec<u8>> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once(' ').expect("a name and its bytes"))
        .map(|(name, bytes)| (name, unhex(bytes)))
        .collect()
}

/// Compares what is written now with what is committed.
#[track_caller]
fn check_bytes(written: &BTreeMap<String, Vec<u8>>) {
    let committed = vectors();
    let mut wrong = String::new();
    for (name, bytes) in written {
        if committed.get(name.as_str()) != Some(bytes) {
            writeln!(wrong, "{name} {}", hex(bytes)).expect("a string takes all");
        }
    }
    assert!(wrong.is_empty(), "what is written has changed; it would now be\n{wrong}");
}

/// What was written in version 2, in which nodes may still speak while a cluster is upgraded.
const VECTORS_2: &str = include_str!("golden/v2.txt");

/// Whoever speaks version 2 is written to, and read, as in the days of that.
#[track_caller]
fn check_before<T: Serialize + DeserializeOwned>(name: &str, version: u16) {
    let Some(bytes) = read_vectors(VECTORS_2).remove(name) else {
        // It came later.
        return;
    };
    let value: T = decode_from(version, &bytes, FRAME_BYTES_MAX).expect(name);
    assert_eq!(hex(&encode_for(version, &value)), hex(&bytes), "{name}");
}

/// Each variant of `T` has exactly one sample, is written as committed, and is read from that.
#[track_caller]
fn check<T: Golden>(samples: &[T]) {
    check_in(Versions::OWN.max, samples);
}

/// As [`check`], for what is written in the form of `version`.
#[track_caller]
fn check_in<T: Golden>(version: u16, samples: &[T]) {
    let present: BTreeSet<_> = samples.iter().map(Golden::variant).collect();
    let missing: Vec<_> = T::VARIANTS.iter().filter(|name| !present.contains(*name)).collect();
    assert!(missing.is_empty(), "{} has no sample of {missing:?}", T::NAME);
    assert_eq!(present.len(), samples.len(), "{} has two samples of a variant", T::NAME);
    let name = |sample: &T| format!("{}.{}", T::NAME, sample.variant());
    let written = samples.iter().map(|sample| (name(sample), encode_for(version, sample)));
    check_bytes(&written.collect());
    let committed = vectors();
    for sample in samples {
        let bytes = &committed[name(sample).as_str()];
        let read = decode_from::<T>(version, bytes, FRAME_BYTES_MAX);
        assert_eq!(read.as_ref(), Ok(sample), "{}", name(sample));
        check_before::<T>(&name(sample), version.min(2));
    }
}

/// The one way to write a struct.
#[track_caller]
fn check_struct<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, sample: &T) {
    check_bytes(&BTreeMap::from([(name.to_owned(), encode(sample))]));
    assert_eq!(decode::<T>(&vectors()[name], FRAME_BYTES_MAX).as_ref(), Ok(sample), "{name}");
    check_before::<T>(name, 2);
}

#[test]
fn every_vector_is_named_once_and_in_order() {
    let names: Vec<_> = VECTORS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, _)| name)
        .collect();
    assert!(names.is_sorted_by(|one, next| one < next), "keep vectors.txt sorted");
}
