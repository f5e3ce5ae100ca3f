//! What a handler says of its run while it goes on.

use super::Context;
use crate::work::journals::Voice;

impl Context {
    /// Says that `done` of `total` is done, in whatever the handler counts; without a total (`None`), that
    /// so much is done. Whoever [watches](crate::Handle::watch) the task is told at once, a few times a
    /// second at most: then only the latest is. `umbel task show` tells it of a task that runs. It is not
    /// kept when the run has ended.
    ///
    /// ```
    /// use umbel::{Context, TaskError};
    ///
    /// #[umbel::task(name = "example/convert", blocking)]
    /// fn convert(ctx: Context, pages: Vec<String>) -> Result<(), TaskError> {
    ///     for (done, page) in pages.iter().enumerate() {
    ///         ctx.progress(done as u64, pages.len() as u64);
    ///         ctx.progress_message(page);
    ///         // ...
    ///         if page.is_empty() {
    ///             ctx.log_error("an empty page");
    ///         }
    ///     }
    ///     ctx.log(format!("{} pages are converted", pages.len()));
    ///     Ok(())
    /// }
    /// ```
    pub fn progress(&self, done: u64, total: impl Into<Option<u64>>) {
        self.voice().progress(done, total.into());
    }

    /// Says what it is at, beside [how far](Self::progress) it is; an empty text takes that back. More than
    /// 256 bytes are cut.
    pub fn progress_message(&self, message: impl AsRef<str>) {
        self.voice().message(message.as_ref());
    }

    /// Says a line, or several. Whoever [watches](crate::Handle::watch) the task is told at once. The node
    /// keeps the last 1,024 lines of a run, at most 128 KiB, for as long as it goes on; older ones are only
    /// counted. A line of more than 4 KiB is cut. It does not go to the log of the node: use `tracing`
    /// for that.
    pub fn log(&self, line: impl AsRef<str>) {
        self.voice().say(self.host.clock.wall(), false, line.as_ref());
    }

    /// As [`log`](Self::log), of what is wrong.
    pub fn log_error(&self, line: impl AsRef<str>) {
        self.voice().say(self.host.clock.wall(), true, line.as_ref());
    }

    fn voice(&self) -> &Voice {
        self.voice.get_or_init(|| self.host.journals.of(self.id, self.token))
    }
}
