//! Text for debugging that does not tell what is in a task: its arguments, and the keys that may be made of
//! them. Which of them are never to be shown only its template says, and that is often elsewhere.

use std::fmt;

use bytes::Bytes;

/// Something of a task that is not for everybody's eyes.
pub(crate) trait Discreet {
    /// How many bytes it has, if it is there.
    fn length(&self) -> Option<usize>;
}

impl Discreet for Bytes {
    fn length(&self) -> Option<usize> {
        Some(self.len())
    }
}

impl Discreet for Option<Box<str>> {
    fn length(&self) -> Option<usize> {
        self.as_deref().map(str::len)
    }
}

/// What is written in its place.
pub(crate) struct Unshown<'a, T>(pub(crate) &'a T);

impl<T: Discreet> fmt::Debug for Unshown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.length() {
            Some(bytes) => write!(f, "[{bytes} bytes]"),
            None => f.write_str("None"),
        }
    }
}

/// Writes a struct for debugging as a derive would, but for the fields in the second braces.
macro_rules! discreet {
    ($name:ident { $($shown:ident),* $(,)? } hides { $($hidden:ident),* $(,)? }) => {
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                let Self { $($shown,)* $($hidden,)* } = self;
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($shown), $shown))*
                    $(.field(stringify!($hidden), &$crate::task::Unshown($hidden)))*
                    .finish()
            }
        }
    };
}

pub(crate) use discreet;

#[cfg(test)]
mod tests {
    use crate::id::{PartitionId, TaskId};
    use crate::job::{Job, Schedule};
    use crate::task::{Batch, Particulars, Row, Template};
    use crate::time::{Span, Wall};
    use crate::wire::{Ask, Request};

    #[test]
    fn nothing_that_is_written_for_debugging_tells_arguments_or_keys() {
        let secret = "hunter2";
        let id = TaskId::new(Wall::from_millis(1), PartitionId(3), 7);
        let key = || Some(secret.into());
        let particulars = Particulars {
            unique_key: key(),
            fairness_key: key(),
            limit_key: key(),
            ..Particulars::NONE
        };
        let row = Row { particulars: particulars.boxed(), ..Row::new(id, 0, secret.into()) };
        let batch = Batch { templates: vec![Template::new("login")], rows: vec![row] };
        let request =
            Request { deadline: Span::ZERO, ask: Ask::Submit { batch: batch.into(), wait: false } };
        let told = format!("{request:?}");
        assert!(!told.contains(secret), "{told}");
        assert!(
            told.contains("args: [7 bytes]") && told.contains("unique_key: [7 bytes]"),
            "{told}"
        );
        assert!(format!("{:?}", Particulars::NONE).contains("unique_key: None"));

        let every = Schedule::Every(Span::from_millis(1_000));
        let job = Job { args: secret.into(), ..Job::new(every, Template::new("login")) };
        let told = format!("{job:?}");
        assert!(!told.contains(secret) && told.contains("args: [7 bytes]"), "{told}");
    }
}
