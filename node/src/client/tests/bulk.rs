//! Many tasks at once.

use std::collections::BTreeSet;

use umbel_protocol::limits::{BATCH_BYTES_MAX, BATCH_TASKS_MAX};
use umbel_protocol::partition::Refusal;
use umbel_protocol::wire::RequestError;

use super::local::pair;
use super::*;

#[tokio::test]
async fn many_tasks_are_cut_into_legal_batches_of_one_partition() {
    let (client, mut node) = pair(PATIENCE);
    let calls: Vec<_> = (0..20_000).map(|n| Call::<u64>::named("add", &n)).collect();
    let asking = tokio::spawn(async move { client.submit_batch(calls).await });
    let mut seen = vec![None; 20_000];
    let mut partitions = BTreeSet::new();
    let mut missing = seen.len();
    while missing > 0 {
        let batch = node.accept().await;
        batch.check().unwrap();
        assert_eq!(batch.templates.len(), 1);
        for row in &batch.rows {
            assert_eq!(row.id.partition(), batch.rows[0].id.partition());
            let n: usize = serde_json::from_slice(&row.args).unwrap();
            assert_eq!(seen[n].replace(row.id), None);
        }
        partitions.insert(batch.rows[0].id.partition().0);
        missing -= batch.rows.len();
    }
    assert_eq!(partitions, OWNED.into());
    let ids: Vec<_> = asking.await.unwrap().into_iter().map(|h| h.unwrap().id()).collect();
    assert_eq!(ids, seen.into_iter().map(Option::unwrap).collect::<Vec<_>>());
}

#[tokio::test]
async fn bytes_are_bounded_too_and_what_never_fits_is_refused_alone() {
    let (client, mut node) = pair(PATIENCE);
    let mut calls: Vec<_> =
        (0..9).map(|_| Call::<u64>::named("add", &"x".repeat(1_000_000))).collect();
    calls.insert(4, Call::named("add", &"x".repeat(1_100_000)));
    calls.insert(0, Call::named("add", &std::collections::BTreeMap::from([((1, 2), 3)])));
    let asking = tokio::spawn(async move { client.submit_batch(calls).await });
    let mut rows = 0;
    while rows < 9 {
        let batch = node.accept().await;
        batch.check().unwrap();
        assert!(batch.rows.iter().map(|row| row.args.len()).sum::<usize>() <= BATCH_BYTES_MAX);
        assert!(batch.rows.len() <= BATCH_TASKS_MAX);
        rows += batch.rows.len();
    }
    let answers = asking.await.unwrap();
    let bad: Vec<_> =
        answers.iter().enumerate().filter(|(_, a)| a.is_err()).map(|(at, _)| at).collect();
    assert_eq!(bad, [0, 5]);
    assert!(matches!(answers[0], Err(ClientError::Call(_))));
    assert!(matches!(answers[5], Err(ClientError::Request(RequestError::Invalid(_)))));
}

#[tokio::test]
async fn each_task_has_its_own_answer() {
    let (client, mut node) = pair(PATIENCE);
    let calls: Vec<_> =
        ["add", "ad", "add", "add"].map(|name| Call::<u64>::named(name, &name)).into();
    let asking = tokio::spawn(async move { client.submit_batch(calls).await });
    let (batch, _, answers) = node.submission().await;
    assert_eq!((batch.templates.len(), batch.rows.len()), (2, 4));
    let unknown = RequestError::UnknownTask { name: "ad".into(), known: vec!["add".into()] };
    answers.send(Answer::Failed(unknown)).await.unwrap();
    let (rest, _, answers) = node.submission().await;
    let ids = |rows: &[usize]| rows.iter().map(|at| batch.rows[*at].id).collect::<Vec<_>>();
    assert_eq!(rest.rows.iter().map(|row| row.id).collect::<Vec<_>>(), ids(&[0, 2, 3]));
    rest.check().unwrap();
    let refused = vec![(1, Refusal::TooOld)];
    answers.send(Answer::Submitted { refused, known: 0 }).await.unwrap();
    let answers = asking.await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap().id(), batch.rows[0].id);
    assert!(answers[1].as_ref().unwrap_err().to_string().contains("did you mean add?"));
    assert!(matches!(answers[2], Err(ClientError::Refused { refusal: Refusal::TooOld, .. })));
    assert_eq!(answers[3].as_ref().unwrap().id(), batch.rows[3].id);
}
