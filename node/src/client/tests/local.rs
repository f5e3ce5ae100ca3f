//! What a client asks, and what it makes of the answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use umbel_protocol::partition::Refusal;
use umbel_protocol::task::{Failure, FailureKind};
use umbel_protocol::wire::RequestError;

use super::*;

/// A client with so much patience, and its node.
pub(super) fn pair(patience: Duration) -> (Client, Scripted) {
    let (requests, taken) = mpsc::channel(64);
    let mut client = Client::local(requests);
    Arc::get_mut(&mut client.inner).unwrap().patience = patience;
    (client, Scripted { requests: taken, welcome: welcome(Vec::new()) })
}

#[tokio::test]
async fn a_task_is_submitted_and_waited_for() {
    let (client, mut node) = pair(PATIENCE);
    let asking = tokio::spawn(async move {
        let handle = client.submit(add().queue("sums")).await.unwrap();
        (handle.id(), handle.result().await.unwrap())
    });
    let batch = node.accept().await;
    let [row] = &batch.rows[..] else { panic!("{batch:?}") };
    assert!(OWNED.contains(&row.id.partition().0), "{}", row.id);
    assert_eq!((batch.templates[0].queue.as_str(), &row.args[..]), ("sums", &b"[1,2]"[..]));
    let (request, answers) = node.next().await;
    assert_eq!(request.ask, Ask::Wait { task: row.id });
    answers.send(view(row.id, "3")).await.unwrap();
    assert_eq!(asking.await.unwrap(), (row.id, 3));
}

#[tokio::test]
async fn running_takes_one_request() {
    let (client, mut node) = pair(PATIENCE);
    let asking = tokio::spawn(async move { client.run(add()).await });
    let (batch, wait, answers) = node.submission().await;
    assert!(wait);
    answers.send(receipt()).await.unwrap();
    answers.send(Answer::Finished(vec![ending(batch.rows[0].id, "3")])).await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap(), 3);
}

#[tokio::test]
async fn a_call_that_knows_its_client_is_submitted_when_it_is_awaited() {
    let (client, mut node) = pair(PATIENCE);
    drop(Submit::new(&client, add()));
    let asking = tokio::spawn(async move {
        let handle = Submit::new(&client, add()).queue("sums").priority(7).await.unwrap();
        let sum = Run::new(&client, add()).attempts(9).await.unwrap();
        (handle.id(), sum)
    });
    // What was dropped has sent nothing: the first to come is this one.
    let batch = node.accept().await;
    let Template { queue, options, .. } = &batch.templates[0];
    assert_eq!((queue.as_str(), options.priority), ("sums", Some(7)));
    let (second, wait, answers) = node.submission().await;
    assert!(wait && second.templates[0].options.attempts_max == Some(9), "{second:?}");
    answers.send(receipt()).await.unwrap();
    answers.send(Answer::Finished(vec![ending(second.rows[0].id, "3")])).await.unwrap();
    assert_eq!(asking.await.unwrap(), (batch.rows[0].id, 3));
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_id() {
    let (client, mut node) = pair(PATIENCE);
    let asking = tokio::spawn(async move { client.run(add()).await });
    let (first, _, answers) = node.submission().await;
    drop(answers);
    let (second, _, answers) = node.submission().await;
    assert_eq!(first, second);
    // Between receipt and end: what the next receipt says is of no interest.
    answers.send(receipt()).await.unwrap();
    drop(answers);
    let (third, _, answers) = node.submission().await;
    assert_eq!(first, third);
    answers.send(Answer::Submitted { refused: Vec::new(), known: 1 }).await.unwrap();
    answers.send(Answer::Finished(vec![ending(first.rows[0].id, "3")])).await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap(), 3);
}

#[tokio::test]
async fn trouble_is_waited_out() {
    let (client, mut node) = pair(PATIENCE);
    let asking = tokio::spawn(async move { client.submit(add()).await.map(|task| task.id()) });
    let (batch, _, answers) = node.submission().await;
    answers.send(Answer::Failed(trouble())).await.unwrap();
    assert_eq!(node.accept().await, batch);
    assert_eq!(asking.await.unwrap().unwrap(), batch.rows[0].id);
}

#[tokio::test]
async fn trouble_that_lasts_is_told() {
    let (client, mut node) = pair(Duration::from_millis(100));
    let showing = client.clone();
    let mut asking = tokio::spawn(async move { showing.show(some_task()).await });
    let error = loop {
        tokio::select! {
            (_, answers) = node.next() => drop(answers.send(Answer::Failed(trouble())).await),
            shown = &mut asking => break shown.unwrap().unwrap_err(),
        }
    };
    assert!(matches!(error, ClientError::Request(error) if error == trouble()));
}

#[tokio::test]
async fn a_refusal_says_nothing_of_the_try_before_it() {
    let mut patience = Duration::from_millis(100);
    let error = loop {
        let (client, mut node) = pair(patience);
        let submitting = client.clone();
        let mut asking = tokio::spawn(async move { submitting.submit(add()).await });
        let mut tries = 0;
        let error = loop {
            tokio::select! {
                (_, answers) = node.next() => {
                    tries += 1;
                    // The first has no answer: it may have come through.
                    if tries > 1 {
                        drop(answers.send(Answer::Failed(trouble())).await);
                    }
                }
                submitted = &mut asking => break submitted.unwrap().unwrap_err(),
            }
        };
        match error {
            // On a busy machine all its time may have gone into the first try.
            ClientError::NoAnswer { .. } if patience < PATIENCE => patience *= 2,
            error => break error,
        }
    };
    assert!(matches!(error, ClientError::Request(RequestError::Unknown)), "{error}");
}

#[tokio::test]
async fn a_request_without_a_deadline_gives_up_when_all_of_its_tries_fail() {
    let (mut client, mut node) = pair(PATIENCE);
    // As long as one try takes, nobody can tell whether anything is wrong.
    let slice = Duration::from_millis(1_200);
    let limits = Limits { slice, trouble: Duration::from_millis(1_000) };
    Arc::get_mut(&mut client.inner).unwrap().limits = limits;
    for silent in [false, true] {
        let client = client.clone();
        let mut asking = tokio::spawn(async move { client.run(add()).await });
        let mut kept = Vec::new();
        let error = patiently(async {
            loop {
                tokio::select! {
                    (request, answers) = node.next() => {
                        let late = Duration::from_micros(request.deadline.as_micros());
                        if silent {
                            kept.push(answers);
                            continue;
                        }
                        tokio::time::timeout(late, answers.closed()).await.unwrap_err();
                        answers.send(Answer::Failed(RequestError::Unknown)).await.unwrap();
                    }
                    ran = &mut asking => break ran.unwrap().unwrap_err(),
                }
            }
        })
        .await;
        let TaskFailed::Client(error) = error else { panic!("{error:?}") };
        match error {
            ClientError::NoAnswer { .. } => assert!(silent),
            ClientError::Request(RequestError::Unknown) => assert!(!silent),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_told() {
    let (client, mut node) = pair(Duration::from_millis(50));
    let asking = tokio::spawn(async move { client.show(some_task()).await });
    let (_, answers) = node.next().await;
    let error = patiently(asking).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("under the same id"), "{error}");
    drop(answers);
}

fn trouble() -> RequestError {
    RequestError::NoQuorum { partition: PartitionId(3) }
}

fn some_task() -> TaskId {
    TaskId::new(Wall::from_millis(1), PartitionId(3), 7)
}

#[tokio::test]
async fn errors_have_types() {
    let (client, mut node) = pair(PATIENCE);
    let id = client_id(&client, &mut node).await;
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.submit(add().id(id)).await }
    });
    let (.., answers) = node.submission().await;
    let refused = vec![(0, Refusal::Conflict)];
    answers.send(Answer::Submitted { refused, known: 0 }).await.unwrap();
    let error = asking.await.unwrap().unwrap_err();
    assert!(
        matches!(error, ClientError::Refused { task, refusal: Refusal::Conflict } if task == id)
    );

    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.run(add().id(id)).await }
    });
    let (.., answers) = node.submission().await;
    answers.send(receipt()).await.unwrap();
    let failure = Failure::new(FailureKind::Panicked, "too large")
        .with_detail(Bytes::from_static(br#"{"limit":7}"#));
    let ending =
        Ending { task: id, state: State::Dead, result: None, error: Some(failure.clone()) };
    answers.send(Answer::Finished(vec![ending])).await.unwrap();
    let error = asking.await.unwrap().unwrap_err();
    assert!(matches!(&error, TaskFailed::Dead { failure: told, .. } if *told == failure));
    assert_eq!(error.to_string(), format!("task {id} failed (panicked): too large"));
    assert_eq!(error.failure(), Some(&failure));
    assert_eq!(error.detail::<BTreeMap<String, u64>>().unwrap()["limit"], 7);
    assert_eq!(error.detail::<String>(), None, "it is of another type");
    assert_eq!(TaskFailed::Cancelled { task: id }.detail::<serde_json::Value>(), None);

    let large = Call::<()>::named("add", &"x".repeat(2 * 1024 * 1024));
    let error = client.submit(large).await.unwrap_err();
    assert!(matches!(error, ClientError::Request(RequestError::Invalid(_))), "{error}");
    drop(node);
    let error = client.submit(add()).await.unwrap_err();
    assert!(matches!(error, ClientError::Closed), "{error}");
}

/// An id of the client's own making.
async fn client_id(client: &Client, node: &mut Scripted) -> TaskId {
    // The node welcomes only while it is asked something.
    let asking = {
        let client = client.clone();
        tokio::spawn(async move { client.submit(add()).await })
    };
    node.accept().await;
    asking.await.unwrap().unwrap().id()
}

#[tokio::test]
async fn a_cluster_that_is_being_formed_is_told() {
    let (client, mut node) = pair(Duration::from_millis(300));
    let missing = "node-2".to_owned();
    node.welcome = Answer::Failed(RequestError::Forming { missing });
    let submitting = client.clone();
    let mut asking = tokio::spawn(async move { submitting.submit(add()).await });
    let error = tokio::select! {
        _ = node.next() => panic!("it cannot know where to submit"),
        submitted = &mut asking => submitted.unwrap().unwrap_err(),
    };
    assert!(error.to_string().contains("still being formed: node-2"), "{error}");
}
