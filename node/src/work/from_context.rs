//! What a handler takes before its arguments: not what travelled, but what the node has for the run.

use super::context::Context;
use super::error::TaskError;
use super::state::{Needs, State};

/// What a handler can take before its arguments: the [`Context`] of the run, a [`State`] of the node,
/// and types of your own that are made of these.
///
/// ```
/// use umbel::{Context, FromContext, Needs, State, TaskError};
/// # struct Pool;
/// # impl Pool { fn of(&self, tenant: &str) -> Option<Account> { Some(Account(tenant.to_owned())) } }
///
/// struct Account(String);
///
/// impl FromContext for Account {
///     fn from_context(context: &Context) -> Result<Self, TaskError> {
///         let pool = State::<Pool>::from_context(context)?;
///         pool.of(context.queue()).ok_or_else(|| TaskError::permanent("no such tenant"))
///     }
///
///     fn needs(needs: &mut Needs) {
///         State::<Pool>::needs(needs);
///     }
/// }
///
/// #[umbel::task(name = "example/bill")]
/// async fn bill(ctx: Context, #[from_context] account: Account, cents: u64) -> Result<(), TaskError> {
///     println!("{} pays {cents} for {}", account.0, ctx.id());
///     Ok(())
/// }
///
/// let call = bill::call(100); // only what travels
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken before the arguments of a task",
    label = "this is neither a `Context`, nor a `State`, nor does it implement `FromContext`",
    note = "`#[umbel::task]` takes a parameter whose type is called `Context` or `State` for one that \
            does not travel: a type of yours of that name has to be imported under another one"
)]
pub trait FromContext: Sized {
    /// Takes it. This is called where the handler begins: before the future of an async one is made,
    /// and on the thread of a blocking one. It should not wait.
    ///
    /// # Errors
    /// The run has failed with the error; the handler is not called.
    fn from_context(context: &Context) -> Result<Self, TaskError>;

    /// Says what it takes of the node, so that a node without it does not start. Nothing unless
    /// written: then [`from_context`](Self::from_context) fails run by run.
    fn needs(needs: &mut Needs) {
        let _ = needs;
    }
}

impl FromContext for Context {
    fn from_context(context: &Context) -> Result<Self, TaskError> {
        Ok(context.clone())
    }
}

impl<T: Send + Sync + 'static> FromContext for State<T> {
    fn from_context(context: &Context) -> Result<Self, TaskError> {
        context.state().ok_or_else(|| {
            // Nobody gives a node anything while it runs.
            let state = std::any::type_name::<T>();
            TaskError::permanent(format!("this node was not given State<{state}>"))
        })
    }

    fn needs(needs: &mut Needs) {
        needs.state::<T>();
    }
}

#[cfg(test)]
mod tests {
    use umbel_protocol::task::{Failure, FailureKind};

    use super::super::definition::Definition;
    use super::super::registry::Registry;
    use super::super::run::tests::{Bench, failure, succeeded};
    use super::super::state::NotGiven;
    use super::*;

    struct Limit(u64);

    /// What is left of the limit: it is less with each attempt.
    struct Left(u64);

    impl FromContext for Left {
        fn from_context(context: &Context) -> Result<Self, TaskError> {
            let limit = State::<Limit>::from_context(context)?;
            let left = limit.0.checked_sub(context.attempt().into());
            left.map(Self).ok_or_else(|| TaskError::permanent("nothing is left"))
        }

        fn needs(needs: &mut Needs) {
            State::<Limit>::needs(needs);
        }
    }

    async fn charge(left: Left, ctx: Context, n: u64) -> Result<String, TaskError> {
        Ok(format!("{n} of {} by {}", left.0, ctx.name()))
    }

    #[tokio::test]
    async fn handlers_take_it_before_their_arguments() {
        let bench = Bench::new().state(Limit(9));
        let outcome = bench.run(Definition::from_async("charge", charge), "3").await;
        assert_eq!(outcome, succeeded("\"3 of 7 by charge\""));
        let blocking =
            Definition::from_blocking("b", |ctx: Context, limit: State<Limit>, n: u64| {
                Ok::<_, String>(limit.0 + u64::from(ctx.attempt()) + n)
            });
        assert_eq!(bench.run(blocking, "1").await, succeeded("12"));
        type Two = State<u8>;
        let six = Definition::from_async(
            "six",
            |a: Two, b: Two, c: Two, d: Two, e: Two, f: Context, n: u64| async move {
                Ok::<_, String>(n + u64::from(*a + *b + *c + *d + *e) + u64::from(f.attempt()))
            },
        );
        assert_eq!(Bench::new().state(2_u8).run(six, "30").await, succeeded("42"));
    }

    #[tokio::test]
    async fn a_run_without_it_has_failed() {
        let charge = || Definition::from_async("charge", charge);
        let outcome = Bench::new().state(Limit(1)).run(charge(), "3").await;
        assert_eq!(failure(outcome), Failure::new(FailureKind::Permanent, "nothing is left"));
        let lost = failure(Bench::new().run(charge(), "3").await);
        assert_eq!(lost.kind, FailureKind::Permanent);
        assert!(lost.message.ends_with("::Limit>"), "{}", lost.message);
        // Whatever is wrong with the arguments stays wrong: that is told first.
        let outcome = Bench::new().run(charge(), "\"x\"").await;
        assert_eq!(failure(outcome).kind, FailureKind::BadArguments);
    }

    #[test]
    fn what_is_lacking_is_known_before_any_run() {
        let mut registry = Registry::new();
        let plain = |ctx: Context, (): ()| async move { Ok::<_, String>(ctx.attempt()) };
        registry.register("plain", plain).unwrap();
        registry.register("charge", charge).unwrap();
        let Err(NotGiven::Task { task, state }) = Bench::new().runner.check(&registry) else {
            panic!("it lacks the limit");
        };
        assert_eq!(task, "charge");
        assert!(state.ends_with("::Limit"), "{state}");
        let error = NotGiven::Task { task: "send_mail".to_owned(), state: "Db" };
        assert_eq!(
            error.to_string(),
            "task \"send_mail\" takes State<Db>, which this node was not given: \
             call `.state(...)` on its builder"
        );
        assert_eq!(Bench::new().state(Limit(1)).runner.check(&registry), Ok(()));
    }
}
