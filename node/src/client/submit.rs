//! Submitting as one sentence: a task, what is said of it, and the client, which submits it when it is
//! awaited.
//!
//! A handler submits with its [`Context`](crate::Context) in place of a client: see
//! [`Context::client`](crate::Context::client).
//!
//! What can be said is what can be said of any [`Call`]: a [`Submit`] and a [`Run`] are calls that know
//! their client.

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::{AsClient, Client, ClientError, Handle, TaskFailed};
use crate::work::Call;

/// A task that is submitted by the client it was made with, once it is awaited: then it is on the disks
/// of a majority, and its [`Handle`] is there. Every `#[umbel::task]` makes one:
///
/// ```standalone_crate
/// use std::time::Duration;
/// use umbel::TaskError;
///
/// #[umbel::task(queue = "images", time_limit = "30s")]
/// async fn resize(image: String, width: u32) -> Result<u64, TaskError> {
///     // ...
/// #   Ok(0)
/// }
///
/// # use umbel::testing::Inline;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let tasks = Inline::builder().build()?;
/// # let client = tasks.client();
/// let resized = resize::submit(&client, "cat.jpg".to_owned(), 640)
///     .delay(Duration::from_secs(60))
///     .attempts(5)
///     .await?;
/// println!("task {} is taken in", resized.id());
/// assert_eq!(resized.result().await?, 0);
/// # Ok(()) }
/// ```
pub type Submit<'a, R> = Call<R, Submitting<'a>>;

/// A task that is submitted by the client it was made with, once it is awaited, and then waited for: what
/// comes is what it returned, in one round trip. Every `#[umbel::task]` makes one:
///
/// ```standalone_crate
/// #[umbel::task(blocking)]
/// fn digits(of: f64, count: usize) -> Result<String, String> {
///     Ok(format!("{of:.count$}"))
/// }
///
/// # use umbel::testing::Inline;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let tasks = Inline::builder().build()?;
/// # let client = tasks.client();
/// let digits: String = digits::run(&client, std::f64::consts::PI, 9).priority(9).await?;
/// assert_eq!(digits, "3.141592654");
/// # Ok(()) }
/// ```
///
/// Dropped before it has ended it is only no longer waited for: the task goes on.
pub type Run<'a, R> = Call<R, Running<'a>>;

/// The client of a [`Submit`].
#[derive(Debug)]
pub struct Submitting<'a>(&'a Client);

/// The client of a [`Run`].
#[derive(Debug)]
pub struct Running<'a>(&'a Client);

impl<'a, R> Submit<'a, R> {
    /// `call`, to be submitted by `client`: a [`Client`], or the [`Context`](crate::Context) of a run, whose
    /// child it is then.
    pub fn new(client: &'a (impl AsClient + ?Sized), call: Call<R>) -> Self {
        call.by(Submitting(client.as_client())).0
    }
}

impl<'a, R> Run<'a, R> {
    /// `call`, to be submitted by `client` and waited for: a [`Client`], or the
    /// [`Context`](crate::Context) of a run, whose child it is then.
    pub fn new(client: &'a (impl AsClient + ?Sized), call: Call<R>) -> Self {
        call.by(Running(client.as_client())).0
    }
}

impl<'a, R: 'a> IntoFuture for Submit<'a, R> {
    type Output = Result<Handle<R>, ClientError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let (call, Submitting(client)) = self.by(());
        Box::pin(client.submit(call))
    }
}

impl<'a, R: DeserializeOwned + 'a> IntoFuture for Run<'a, R> {
    type Output = Result<R, TaskFailed>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let (call, Running(client)) = self.by(());
        Box::pin(client.run(call))
    }
}
