//! What a node has for all of its runs: its name, its clock, the values that they share and the
//! middleware around them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::journals::Journals;
use super::middleware::{Layer, Middleware};
use super::registry::Registry;
use super::state::{Needs, NotGiven, States};
use crate::client::Client;
use crate::clock::Clock;

/// What a node has for all of its runs. Nothing of it changes once the first has begun, but for what is withheld.
#[derive(Clone, Default)]
pub(crate) struct Host {
    pub(super) node: String,
    pub(super) clock: Clock,
    pub(super) states: States,
    /// The outermost first.
    pub(super) middleware: Vec<Arc<dyn Layer>>,
    /// Makes a client of the node, when the first run wants one.
    connect: Option<Arc<dyn Fn() -> Client + Send + Sync>>,
    client: OnceLock<Client>,
    /// What runs say.
    pub(super) journals: Arc<Journals>,
    pub(crate) withheld: Withheld,
}

/// The variables of the node that its programs are not given, as they hold secrets of others. Clones share them.
/// What is one once stays one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Withheld(Arc<Mutex<BTreeSet<String>>>);

impl Withheld {
    /// Withholds `variables` as well.
    pub(crate) fn add<'v>(&self, variables: impl IntoIterator<Item = &'v str>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(variables.into_iter().map(str::to_owned));
    }

    /// All of them.
    pub(super) fn all(&self) -> BTreeSet<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Host {
    /// Calls the node `name`.
    pub(crate) fn name(&mut self, name: &str) {
        name.clone_into(&mut self.node);
    }

    /// Has it take the time from `clock`.
    pub(crate) fn clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Gives it a value.
    pub(crate) fn state<T: Send + Sync + 'static>(&mut self, value: T) {
        self.states.add(value);
    }

    /// Puts `middleware` inside of what is there already.
    pub(crate) fn middleware(&mut self, middleware: impl Middleware) {
        self.middleware.push(Arc::new(middleware));
    }

    /// Says how its runs come to a client of it.
    pub(crate) fn connect(&mut self, connect: impl Fn() -> Client + Send + Sync + 'static) {
        self.connect = Some(Arc::new(connect));
    }

    /// A client of the node. Must be called within a tokio runtime.
    pub(super) fn client(&self) -> &Client {
        self.client.get_or_init(|| match &self.connect {
            Some(connect) => connect(),
            None => Client::of_nobody(),
        })
    }

    /// Whether all is there that the tasks of `registry` and the middleware take.
    pub(crate) fn check(&self, registry: &Registry) -> Result<(), NotGiven> {
        for layer in &self.middleware {
            let mut needs = Needs::default();
            layer.needs(&mut needs);
            if let Some(state) = self.states.lack(&needs) {
                return Err(NotGiven::Middleware { state });
            }
        }
        for definition in registry.iter() {
            if let Some(state) = self.states.lack(definition.needs()) {
                return Err(NotGiven::Task { task: definition.name().to_owned(), state });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("node", &self.node)
            .field("states", &self.states)
            .field("middleware", &self.middleware.len())
            .finish_non_exhaustive()
    }
}
