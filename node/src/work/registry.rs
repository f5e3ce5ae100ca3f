//! The task names that this program can run.
//!
//! Invariant: every definition in a [`Registry`] has a legal name and legal options, and no name
//! has two.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::IgnoredAny;
use umbel_protocol::task::{Batch, InvalidBatch};

use super::declare::{Declared, Task};
use super::definition::{Definition, Kind};
use super::handler::{AsyncHandler, BlockingHandler};

/// The task names that this program can run. A node makes one itself of what its
/// [builder](crate::NodeBuilder) is told; alone it serves to ask what there is:
///
/// ```
/// use umbel::Registry;
///
/// let mut registry = Registry::new();
/// registry.register("double", |n: u64| async move { Ok::<_, String>(n * 2) })?;
/// let names: Vec<_> = registry.iter().map(|definition| definition.name()).collect();
/// assert_eq!(names, ["double", Registry::NOOP]);
/// # Ok::<_, umbel::work::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Registry {
    definitions: BTreeMap<String, Arc<Definition>>,
}

impl Registry {
    /// A task that does nothing and returns `null`, known everywhere: for probes and benchmarks.
    pub const NOOP: &'static str = "umbel.noop";

    /// Names that begin with this are umbel's own.
    pub const OURS: &'static str = "umbel.";

    /// Only [`Registry::NOOP`].
    #[must_use]
    pub fn new() -> Self {
        let noop = Definition::from_async(Self::NOOP, |_: IgnoredAny| async {
            Ok::<_, std::convert::Infallible>(())
        });
        Self { definitions: BTreeMap::from([(Self::NOOP.to_owned(), Arc::new(noop))]) }
    }

    /// Everything that `#[umbel::task]` declares in this program.
    ///
    /// A library that nothing else in the program refers to may have been left out by the linker;
    /// [`Registry::task`] names such tasks explicitly.
    ///
    /// # Errors
    /// As [`Registry::add`].
    pub fn declared() -> Result<Self, RegisterError> {
        let mut registry = Self::new();
        for declared in Declared::all() {
            registry.add(declared.definition())?;
        }
        Ok(registry)
    }

    /// Adds the task that `#[umbel::task]` made of a function. Adding the same one again is nothing.
    ///
    /// # Errors
    /// As [`Registry::add`].
    pub fn task<T: Task>(&mut self) -> Result<&mut Self, RegisterError> {
        self.add(T::definition().declared_by::<T>())
    }

    /// Adds an async function, or closure, under `name`.
    ///
    /// # Errors
    /// As [`Registry::add`].
    pub fn register<Shape>(
        &mut self,
        name: impl Into<String>,
        handler: impl AsyncHandler<Shape>,
    ) -> Result<&mut Self, RegisterError> {
        self.add(Definition::from_async(name, handler))
    }

    /// Adds a function, or closure, that may block its thread under `name`.
    ///
    /// # Errors
    /// As [`Registry::add`].
    pub fn register_blocking<Shape>(
        &mut self,
        name: impl Into<String>,
        handler: impl BlockingHandler<Shape>,
    ) -> Result<&mut Self, RegisterError> {
        self.add(Definition::from_blocking(name, handler))
    }

    /// Adds a definition.
    ///
    /// # Errors
    /// [`RegisterError::Duplicate`], [`RegisterError::Invalid`], [`RegisterError::Limit`] or
    /// [`RegisterError::Reserved`]; the registry is unchanged then.
    pub fn add(&mut self, definition: Definition) -> Result<&mut Self, RegisterError> {
        let template = definition.template();
        // What submissions are checked by, so that no definition promises what they cannot keep.
        Batch { templates: vec![template.clone()], rows: Vec::new() }.check()?;
        if definition.kind() == Kind::Webhook && template.options.soft_limit.is_some() {
            return Err(RegisterError::Invalid(InvalidBatch::Conflicting {
                what: "`soft_limit` of a webhook".to_owned(),
                why: "a request cannot be told anything; leave it out".to_owned(),
            }));
        }
        definition.check_limits()?;
        if template.name.starts_with(Self::OURS) {
            return Err(RegisterError::Reserved { name: template.name.clone() });
        }
        match self.definitions.get(&template.name) {
            Some(known) if known.is_same_declaration(&definition) => {}
            Some(known) => {
                return Err(RegisterError::Duplicate {
                    name: template.name.clone(),
                    first: known.kind().as_str(),
                    second: definition.kind().as_str(),
                });
            }
            None => {
                self.definitions.insert(template.name.clone(), Arc::new(definition));
            }
        }
        Ok(self)
    }

    /// The definition of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Definition>> {
        self.definitions.get(name)
    }

    /// All definitions, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.definitions.values()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

/// A definition that cannot be used. Nothing was registered; the program or its configuration has
/// to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Two definitions have one name.
    #[error("task {name:?} is defined twice, as {first} and as {second}: rename one of them")]
    Duplicate {
        /// The name.
        name: String,
        /// Kind of the definition that is kept.
        first: &'static str,
        /// Kind of the definition that is refused.
        second: &'static str,
    },
    /// The secret of a webhook is empty: what is signed with it anybody can sign.
    #[error(
        "the secret of webhook {name:?} is empty: give it one, or none to leave requests unsigned"
    )]
    EmptySecret {
        /// The task.
        name: String,
    },
    /// A header of a webhook cannot be sent.
    #[error("header {header:?} of webhook {name:?} is not a legal HTTP header")]
    Header {
        /// The task.
        name: String,
        /// The header's name.
        header: String,
    },
    /// The name or an option breaks a limit.
    #[error(transparent)]
    Invalid(#[from] InvalidBatch),
    /// What is said of a command breaks a limit.
    #[error("{what} of command {name:?} must be {range}")]
    Limit {
        /// The task.
        name: String,
        /// The field of its [`CommandSpec`](super::CommandSpec).
        what: &'static str,
        /// What it may be.
        range: String,
    },
    /// A header of a webhook is one that umbel sets.
    #[error("header {header:?} of webhook {name:?} is set by umbel: leave it out")]
    OurHeader {
        /// The task.
        name: String,
        /// The header's name.
        header: String,
    },
    /// The name is kept for umbel's own tasks.
    #[error("task {name:?} cannot be called that: names that begin with `umbel.` are umbel's own")]
    Reserved {
        /// The name.
        name: String,
    },
    /// The URL of a webhook is not an absolute `http://` or `https://` one.
    #[error("{url:?} of webhook {name:?} is not an http:// or https:// address")]
    Url {
        /// The task.
        name: String,
        /// What was given, without a user and a password in it.
        url: String,
    },
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use umbel_protocol::limits::CAPTURE_BYTES_MAX;

    use super::super::command::{CommandSpec, Program};
    use super::super::definition::Kind;
    use super::*;

    async fn double(n: u64) -> Result<u64, String> {
        Ok(n * 2)
    }

    #[test]
    fn knows_the_noop_and_what_was_registered() {
        let mut registry = Registry::new();
        registry.register("double", double).unwrap();
        registry.register_blocking("slow", |n: u64| Ok::<_, String>(n)).unwrap();
        let names: Vec<_> = registry.iter().map(|definition| definition.name()).collect();
        assert_eq!(names, ["double", "slow", Registry::NOOP]);
        assert_eq!(registry.get("slow").unwrap().kind(), Kind::Blocking);
        assert!(registry.get("other").is_none());
    }

    #[test]
    fn refuses_a_second_definition_of_a_name() {
        let mut registry = Registry::new();
        registry.register("double", double).unwrap();
        let error = registry.register_blocking("double", |n: u64| Ok::<_, String>(n)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "task \"double\" is defined twice, as async and as blocking: rename one of them"
        );
        assert_eq!(registry.get("double").unwrap().kind(), Kind::Async);
    }

    #[test]
    fn refuses_names_and_options_that_submissions_could_not_use() {
        let mut registry = Registry::new();
        assert!(matches!(registry.register("a b", double), Err(RegisterError::Invalid(_))));
        for definition in [
            Definition::from_async("a", double).priority(10),
            Definition::from_async("a", double).attempts(0),
            Definition::from_async("a", double).queue("q r"),
        ] {
            assert!(matches!(registry.add(definition), Err(RegisterError::Invalid(_))));
        }
        assert!(registry.get("a").is_none());
        let error = registry.register("umbel.mine", double).unwrap_err();
        assert!(matches!(error, RegisterError::Reserved { .. }), "{error}");
    }

    #[test]
    fn refuses_commands_that_could_not_have_what_they_ask_for() {
        let command = |change: fn(&mut CommandSpec)| {
            let mut spec = CommandSpec::new(Program::Shell("true".to_owned()));
            change(&mut spec);
            Registry::new().add(Definition::command("a", spec)).map(|_| ())
        };
        let told = |change| command(change).unwrap_err().to_string();
        assert_eq!(
            told(|spec| spec.grace = Some(CommandSpec::GRACE_MAX + Duration::from_nanos(1))),
            "grace of command \"a\" must be at most 300s"
        );
        assert_eq!(
            told(|spec| spec.capture_bytes = CAPTURE_BYTES_MAX + 1),
            "capture_bytes of command \"a\" must be at most 262144"
        );
        command(|spec| {
            spec.grace = Some(CommandSpec::GRACE_MAX);
            spec.capture_bytes = CAPTURE_BYTES_MAX;
        })
        .unwrap();
    }
}
