//! What counts as a handler: functions of the arguments, with or without a [`Context`] before them.
//!
//! Decoding arguments and encoding results happens here and nowhere else.

use std::error::Error;
use std::fmt;
use std::future::Future;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use umbel_protocol::task::{Failure, FailureKind};

use super::context::Context;
use super::error::failure;

/// What a handler that was started comes to: its result as JSON, or why there is none.
pub(super) type Work = BoxFuture<'static, Result<Bytes, Failure>>;

/// An async function that can be a task: `async fn(T) -> Result<R, E>` or
/// `async fn(Context, T) -> Result<R, E>`, where `T` comes out of JSON, `R` goes into it, and `E` is
/// any error. `Shape` only tells the two apart.
pub trait AsyncHandler<Shape>: Send + Sync + 'static {
    /// Decodes `args` and makes the future; does not poll it.
    ///
    /// # Errors
    /// [`FailureKind::BadArguments`] when `args` do not fit.
    fn start(&self, context: &Context, args: &[u8]) -> Result<Work, Failure>;
}

impl<F, T, Fut, R, E> AsyncHandler<fn(T)> for F
where
    F: Fn(T) -> Fut + Send + Sync + 'static,
    T: DeserializeOwned,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    R: Serialize + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    fn start(&self, _context: &Context, args: &[u8]) -> Result<Work, Failure> {
        Ok(Box::pin(self(decode(args)?).map(encode)))
    }
}

impl<F, T, Fut, R, E> AsyncHandler<fn(Context, T)> for F
where
    F: Fn(Context, T) -> Fut + Send + Sync + 'static,
    T: DeserializeOwned,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    R: Serialize + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    fn start(&self, context: &Context, args: &[u8]) -> Result<Work, Failure> {
        Ok(Box::pin(self(context.clone(), decode(args)?).map(encode)))
    }
}

/// A function that can be a task and may block its thread: `fn(T) -> Result<R, E>` or
/// `fn(Context, T) -> Result<R, E>`, with the same types as an [`AsyncHandler`].
pub trait BlockingHandler<Shape>: Send + Sync + 'static {
    /// Decodes `args`, runs to the end and encodes the result.
    ///
    /// # Errors
    /// Whatever the function failed with, or [`FailureKind::BadArguments`].
    fn run(&self, context: &Context, args: &[u8]) -> Result<Bytes, Failure>;
}

impl<F, T, R, E> BlockingHandler<fn(T)> for F
where
    F: Fn(T) -> Result<R, E> + Send + Sync + 'static,
    T: DeserializeOwned,
    R: Serialize + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    fn run(&self, _context: &Context, args: &[u8]) -> Result<Bytes, Failure> {
        encode(self(decode(args)?))
    }
}

impl<F, T, R, E> BlockingHandler<fn(Context, T)> for F
where
    F: Fn(Context, T) -> Result<R, E> + Send + Sync + 'static,
    T: DeserializeOwned,
    R: Serialize + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    fn run(&self, context: &Context, args: &[u8]) -> Result<Bytes, Failure> {
        encode(self(context.clone(), decode(args)?))
    }
}

/// The arguments of a task that takes none: `null`, `{}` or `[]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoArgs;

impl Serialize for NoArgs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for NoArgs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NothingVisitor)
    }
}

struct NothingVisitor;

impl<'de> Visitor<'de> for NothingVisitor {
    type Value = NoArgs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no arguments")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<NoArgs, E> {
        Ok(NoArgs)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<NoArgs, A::Error> {
        match seq.next_element::<IgnoredAny>()? {
            None => Ok(NoArgs),
            Some(_) => Err(serde::de::Error::invalid_length(1, &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NoArgs, A::Error> {
        match map.next_key::<String>()? {
            None => Ok(NoArgs),
            Some(key) => Err(serde::de::Error::custom(format_args!("unknown argument {key:?}"))),
        }
    }
}

fn decode<T: DeserializeOwned>(args: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(args).map_err(|error| {
        Failure::new(FailureKind::BadArguments, format!("the arguments do not fit: {error}"))
    })
}

fn encode<R: Serialize, E>(result: Result<R, E>) -> Result<Bytes, Failure>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let result = result.map_err(failure)?;
    let json = serde_json::to_vec(&result).map_err(|error| {
        // Another attempt would return a value of the same type.
        Failure::new(FailureKind::Permanent, format!("the result does not fit JSON: {error}"))
    })?;
    // Most tasks return nothing: their result needs no memory of its own.
    Ok(if json == b"null" { Bytes::from_static(b"null") } else { Bytes::from(json) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_arguments_are_null_or_an_empty_collection() {
        for text in ["null", "{}", "[]", " { } "] {
            assert_eq!(decode::<NoArgs>(text.as_bytes()), Ok(NoArgs), "{text}");
        }
        for text in ["1", "[1]", r#"{"a":1}"#, "", "{"] {
            let failure = decode::<NoArgs>(text.as_bytes()).unwrap_err();
            assert_eq!(failure.kind, FailureKind::BadArguments, "{text}");
        }
        assert_eq!(serde_json::to_string(&NoArgs).unwrap(), "null");
    }

    #[test]
    fn a_result_that_is_no_json_is_permanent() {
        let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
        let failure = encode::<_, String>(Ok(keys)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Permanent);
    }
}
