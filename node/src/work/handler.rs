//! What counts as a handler: functions of the arguments, and of what they take of the [`Context`]
//! before them.
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
use umbel_protocol::task::{Failure, FailureKind, Outcome};

use super::context::Context;
use super::error;
use super::from_context::FromContext;
use super::state::Needs;

/// What a handler that was started comes to.
pub(super) type Work = BoxFuture<'static, Outcome>;

/// An async function that can be a task: `async fn(T) -> Result<R, E>`, where `T` comes out of JSON,
/// `R` goes into it, and `E` is any error. Before that one argument it may take up to six others that
/// do not travel but come [from the context](FromContext): `async fn(Context, State<Db>, T)`.
/// `Shape` only tells functions of different length apart.
#[diagnostic::on_unimplemented(
    message = "this cannot be the handler of an async task",
    note = "it has to be an async function, or closure, that returns a `Result` and takes up to six \
            of `Context`, `State<_>` or whatever else implements `FromContext`, and then one argument \
            that comes from JSON"
)]
pub trait AsyncHandler<Shape>: Send + Sync + 'static {
    /// Decodes `args` and makes the future; does not poll it.
    ///
    /// # Errors
    /// [`FailureKind::BadArguments`] when `args` do not fit, or what [`FromContext`] failed with.
    fn start(&self, context: &Context, args: &[u8]) -> Result<Work, Outcome>;

    /// Says what it takes of the node.
    fn needs(&self, needs: &mut Needs) {
        let _ = needs;
    }
}

/// A function that can be a task and may block its thread: `fn(T) -> Result<R, E>`, with the same
/// types as an [`AsyncHandler`], and the same before `T`.
#[diagnostic::on_unimplemented(
    message = "this cannot be the handler of a blocking task",
    note = "it has to be a function, or closure, that returns a `Result` and takes up to six of \
            `Context`, `State<_>` or whatever else implements `FromContext`, and then one argument \
            that comes from JSON"
)]
pub trait BlockingHandler<Shape>: Send + Sync + 'static {
    /// Decodes `args`, runs to the end and encodes the result, or tells why there is none.
    fn run(&self, context: &Context, args: &[u8]) -> Outcome;

    /// Says what it takes of the node.
    fn needs(&self, needs: &mut Needs) {
        let _ = needs;
    }
}

/// Functions that take all of `$taken` before the argument that travels.
macro_rules! handlers {
    ($($taken:ident),*) => {
        #[allow(unused_variables, reason = "some take nothing of the context")]
        impl<F, $($taken,)* T, Fut, R, E> AsyncHandler<fn($($taken,)* T)> for F
        where
            F: Fn($($taken,)* T) -> Fut + Send + Sync + 'static,
            $($taken: FromContext,)*
            T: DeserializeOwned,
            Fut: Future<Output = Result<R, E>> + Send + 'static,
            R: Serialize + 'static,
            E: Into<Box<dyn Error + Send + Sync>> + 'static,
        {
            fn start(&self, context: &Context, args: &[u8]) -> Result<Work, Outcome> {
                let args = decode(context, args)?;
                Ok(Box::pin(self($(take::<$taken>(context)?,)* args).map(outcome)))
            }

            fn needs(&self, needs: &mut Needs) {
                $($taken::needs(needs);)*
            }
        }

        #[allow(unused_variables, reason = "some take nothing of the context")]
        impl<F, $($taken,)* T, R, E> BlockingHandler<fn($($taken,)* T)> for F
        where
            F: Fn($($taken,)* T) -> Result<R, E> + Send + Sync + 'static,
            $($taken: FromContext,)*
            T: DeserializeOwned,
            R: Serialize + 'static,
            E: Into<Box<dyn Error + Send + Sync>> + 'static,
        {
            fn run(&self, context: &Context, args: &[u8]) -> Outcome {
                let run = || {
                    let args = decode(context, args)?;
                    Ok(outcome(self($(take::<$taken>(context)?,)* args)))
                };
                run().unwrap_or_else(|why| why)
            }

            fn needs(&self, needs: &mut Needs) {
                $($taken::needs(needs);)*
            }
        }
    };
}

// The macro `#[task]` refuses more than there are here.
handlers!();
handlers!(A);
handlers!(A, B);
handlers!(A, B, C);
handlers!(A, B, C, D);
handlers!(A, B, C, D, G);
handlers!(A, B, C, D, G, H);

fn take<T: FromContext>(context: &Context) -> Result<T, Outcome> {
    T::from_context(context).map_err(error::outcome)
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

fn decode<T: DeserializeOwned>(context: &Context, args: &[u8]) -> Result<T, Outcome> {
    read(context.redacts(), args)
}

fn read<T: DeserializeOwned>(redacts: bool, args: &[u8]) -> Result<T, Outcome> {
    serde_json::from_slice(args).map_err(|error| {
        // What is wrong with a value is told with the value.
        let message = if redacts {
            let (line, column) = (error.line(), error.column());
            format!(
                "the arguments do not fit, at line {line} column {column}; what they are is not shown"
            )
        } else {
            format!("the arguments do not fit: {error}")
        };
        Outcome::Failed(Failure::new(FailureKind::BadArguments, message))
    })
}

/// How a run ended whose handler returned `result`.
fn outcome<R: Serialize, E>(result: Result<R, E>) -> Outcome
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let result = match result {
        Ok(result) => result,
        Err(error) => return error::outcome(error),
    };
    match serde_json::to_vec(&result) {
        // Most tasks return nothing: their result needs no memory of its own.
        Ok(json) if json == b"null" => Outcome::Succeeded(Bytes::from_static(b"null")),
        Ok(json) => Outcome::of_result(json.into()),
        Err(error) => {
            // Another attempt would return a value of the same type.
            let message = format!("the result does not fit JSON: {error}");
            Outcome::Failed(Failure::new(FailureKind::Permanent, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_arguments_are_null_or_an_empty_collection() {
        for text in ["null", "{}", "[]", " { } "] {
            assert_eq!(read::<NoArgs>(false, text.as_bytes()), Ok(NoArgs), "{text}");
        }
        for text in ["1", "[1]", r#"{"a":1}"#, "", "{"] {
            let told = read::<NoArgs>(false, text.as_bytes()).unwrap_err();
            assert!(
                matches!(&told, Outcome::Failed(why) if why.kind == FailureKind::BadArguments),
                "{text}: {told:?}"
            );
        }
        assert_eq!(serde_json::to_string(&NoArgs).unwrap(), "null");
    }

    #[test]
    fn what_is_never_shown_does_not_show_in_errors_either() {
        let told = |redacts| format!("{:?}", read::<u64>(redacts, br#" "hunter2""#).unwrap_err());
        assert!(told(false).contains("hunter2"), "{}", told(false));
        assert!(!told(true).contains("hunter2"), "{}", told(true));
        assert!(told(true).contains("at line 1 column 10"), "{}", told(true));
    }

    #[test]
    fn a_result_that_is_no_json_is_permanent() {
        let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
        let told = outcome::<_, String>(Ok(keys));
        assert!(matches!(told, Outcome::Failed(why) if why.kind == FailureKind::Permanent));
    }
}
