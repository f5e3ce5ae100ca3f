//! Values that the handlers of a node share, one of each type: a pool of connections, a client.
//!
//! Invariant: what a task takes is known before its first run, so that a node without it does not
//! start. See [`Host::check`](super::host::Host::check).

use std::any::{Any, TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A value that the node was given and all its runs share. Handlers take it before their arguments:
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use umbel::{State, TaskError};
///
/// #[derive(Default)]
/// struct Visits(AtomicU64);
///
/// #[umbel::task(name = "example/visit")]
/// async fn visit(visits: State<Visits>, by: u64) -> Result<u64, TaskError> {
///     Ok(visits.0.fetch_add(by, Ordering::Relaxed) + by)
/// }
///
/// // A node is given it once: a node without it would not start.
/// let node = umbel::Node::builder().state(Visits::default());
///
/// // The argument that travels is the number alone.
/// let call = visit::call(2);
///
/// // The function stays one that tests can call.
/// let here_and_now = visit(State::new(Visits::default()), 2);
/// ```
///
/// It is as cheap to clone as an [`Arc`]. What has to be behind a trait is given as such, as an
/// `Arc<dyn Mailer>`, and taken as a `State<Arc<dyn Mailer>>`.
pub struct State<T>(Arc<T>);

impl<T> State<T> {
    /// Shares `value`: for calling a handler as the function that it is.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> From<Arc<T>> for State<T> {
    fn from(value: Arc<T>) -> Self {
        Self(value)
    }
}

impl<T> From<State<T>> for Arc<T> {
    fn from(state: State<T>) -> Self {
        state.0
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&*self.0).finish()
    }
}

/// What a node was given, by type.
#[derive(Clone, Default)]
pub(super) struct States(BTreeMap<TypeId, (&'static str, Arc<dyn Any + Send + Sync>)>);

impl States {
    /// A second value of a type takes the place of the first.
    pub(super) fn add<T: Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), (type_name::<T>(), Arc::new(value)));
    }

    pub(super) fn get<T: Send + Sync + 'static>(&self) -> Option<State<T>> {
        let (_, value) = self.0.get(&TypeId::of::<T>())?;
        Arc::clone(value).downcast().ok().map(State)
    }

    /// The type of the first of `needs` that is not here.
    pub(super) fn lack(&self, needs: &Needs) -> Option<&'static str> {
        needs.0.iter().find(|(id, _)| !self.0.contains_key(id)).map(|(_, name)| *name)
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.values().map(|(name, _)| name)).finish()
    }
}

/// What a task or a middleware takes of its node. It is filled before the node starts, by
/// [`FromContext::needs`](super::FromContext::needs) and
/// [`Middleware::needs`](super::middleware::Middleware::needs).
#[derive(Clone, Default)]
pub struct Needs(Vec<(TypeId, &'static str)>);

impl Needs {
    /// It takes a [`State<T>`].
    pub fn state<T: Send + Sync + 'static>(&mut self) {
        self.0.push((TypeId::of::<T>(), type_name::<T>()));
    }
}

impl fmt::Debug for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(_, name)| name)).finish()
    }
}

/// A node was not given what it would have to hand out. Nothing was run; the program has to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGiven {
    /// To a middleware.
    #[error(
        "a middleware takes State<{state}>, which this node was not given: call `.state(...)` on its \
         builder"
    )]
    Middleware {
        /// The type of the value.
        state: &'static str,
    },
    /// To the handler of a task.
    #[error(
        "task {task:?} takes State<{state}>, which this node was not given: call `.state(...)` on \
         its builder"
    )]
    Task {
        /// The name of the task.
        task: String,
        /// The type of the value.
        state: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Opaque;

    #[test]
    fn there_is_one_value_of_each_type() {
        let mut states = States::default();
        assert!(states.get::<u32>().is_none());
        states.add(1_u32);
        states.add(2_u64);
        states.add(3_u32);
        let (small, large) = (states.get::<u32>().unwrap(), states.get::<u64>().unwrap());
        assert_eq!((*small, *large), (3, 2));
        let (one, other) = (Arc::from(small.clone()), Arc::from(small));
        assert!(Arc::<u32>::ptr_eq(&one, &other));
    }

    #[test]
    fn the_first_that_is_lacking_is_named() {
        let mut states = States::default();
        let mut needs = Needs::default();
        assert_eq!(states.lack(&needs), None);
        needs.state::<u8>();
        needs.state::<Opaque>();
        assert_eq!(states.lack(&needs), Some("u8"));
        states.add(1_u8);
        let lack = states.lack(&needs).unwrap();
        assert!(lack.ends_with("::Opaque"), "{lack}");
        states.add(Opaque);
        assert_eq!(states.lack(&needs), None);
    }
}
