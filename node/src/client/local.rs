//! The link to a node in the same process: requests and answers through channels.

use std::sync::Arc;

use tokio::sync::mpsc;
use umbel_protocol::time::Span;
use umbel_protocol::wire::{Ask, Request};

use super::directory::{Directory, PAUSE, REFRESH};
pub use umbel_protocol::wire::Answer;

/// A request of a client in the same process. The node that takes it answers as it would over the
/// network. If `answers` is dropped before the last answer, the client asks again.
#[derive(Debug)]
pub struct LocalRequest {
    /// What is asked.
    pub request: Request,
    /// Where the answers go. There is room for all that a request may have.
    pub answers: mpsc::Sender<Answer>,
}

/// Answers to one request: a receipt and the ends of the tasks.
pub(super) const ANSWERS_MAX: usize = 2;

/// Asks the node now and then where to submit.
pub(super) async fn keep_informed(requests: mpsc::Sender<LocalRequest>, directory: Arc<Directory>) {
    loop {
        let (answers, mut answered) = mpsc::channel(ANSWERS_MAX);
        let request = Request { deadline: Span::from_millis(1_000), ask: Ask::Welcome };
        if requests.send(LocalRequest { request, answers }).await.is_err() {
            return;
        }
        if let Some(answer) = answered.recv().await {
            directory.hear(answer);
        }
        if directory.is_known() {
            directory.wanted(REFRESH).await;
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }
}
