//! What a client asks about jobs, and what it makes of the answers.

use umbel_protocol::job::{Job, JobLine, JobName, Schedule, Source};
use umbel_protocol::limits::JOBS_LISTED_MAX;
use umbel_protocol::meta::FileVerdict;
use umbel_protocol::partition::{JobChange, JobRefusal, Precondition};
use umbel_protocol::task::Template;
use umbel_protocol::time::Span;
use umbel_protocol::wire::RequestError;

use super::local::pair;
use super::*;

fn job() -> Job {
    Job::new(Schedule::Every(Span::from_millis(60_000)), Template::new("add"))
}

fn name() -> JobName {
    "poll".parse().unwrap()
}

fn line(number: usize) -> JobLine {
    JobLine {
        name: format!("job-{number:05}").parse().unwrap(),
        job: job(),
        source: Source::Live,
        enabled: true,
        declared: umbel_protocol::job::Declared::ALL,
        next: None,
        counts: umbel_protocol::job::JobCounts::default(),
        last: None,
    }
}

#[tokio::test]
async fn a_job_is_defined_and_removed() {
    let (client, mut node) = pair(PATIENCE);
    let asking = tokio::spawn(async move {
        client.define_job(&name(), job(), Precondition::Absent).await.unwrap();
        client.enable_job(&name(), false).await.unwrap();
        client.remove_job(&name()).await.unwrap();
        client.offer_jobs_file(7, true).await.unwrap()
    });
    let define = JobChange::Define {
        job: job().into(),
        source: Source::Live,
        precondition: Precondition::Absent,
    };
    for change in
        [define, JobChange::Enable { enabled: false }, JobChange::Remove { source: Source::Live }]
    {
        let (request, answers) = node.next().await;
        assert_eq!(request.ask, Ask::ChangeJob { job: name(), change });
        answers.send(Answer::Done).await.unwrap();
    }
    let (request, answers) = node.next().await;
    assert_eq!(request.ask, Ask::OfferFile { hash: 7, deliberate: true });
    let verdict = FileVerdict { number: 3, is_current: true };
    answers.send(Answer::File(verdict)).await.unwrap();
    assert_eq!(asking.await.unwrap(), verdict);
}

#[tokio::test]
async fn a_run_whose_answer_was_lost_is_asked_for_with_the_same_time() {
    let (client, mut node) = pair(PATIENCE);
    let asking = tokio::spawn(async move { client.run_job(&name()).await.unwrap() });
    let (first, answers) = node.next().await;
    drop(answers);
    let (second, answers) = node.next().await;
    assert_eq!(first.ask, second.ask);
    answers.send(Answer::Done).await.unwrap();
    let at = asking.await.unwrap();
    assert_eq!(second.ask, Ask::RunJob { job: name(), at });
}

#[tokio::test]
async fn a_job_that_is_changed_as_it_is_to_run_is_asked_for_again_and_not_for_ever() {
    let changed = || Answer::Failed(JobRefusal::Changed { job: name() }.into());
    for (refusals, is_run) in [(4, true), (5, false)] {
        let (client, mut node) = pair(PATIENCE);
        let asking = tokio::spawn(async move { client.run_job(&name()).await });
        let mut asked = Vec::new();
        for _ in 0..refusals {
            let (request, answers) = node.next().await;
            asked.push(request.ask);
            answers.send(changed()).await.unwrap();
        }
        if is_run {
            let (_, answers) = node.next().await;
            answers.send(Answer::Done).await.unwrap();
        }
        let end = asking.await.unwrap().map(|_| ()).map_err(|error| error.to_string());
        let refused = RequestError::Job(JobRefusal::Changed { job: name() }).to_string();
        assert_eq!(end, if is_run { Ok(()) } else { Err(refused) });
        assert!(asked.iter().all(|ask| *ask == asked[0]), "it is one run");
    }
}

#[tokio::test]
async fn what_an_earlier_try_has_removed_was_removed() {
    let (client, mut node) = pair(PATIENCE);
    let gone = || Answer::Failed(JobRefusal::NotFound { job: name() }.into());
    let removing = client.clone();
    let asking = tokio::spawn(async move { removing.remove_job(&name()).await });
    drop(node.next().await);
    let (_, answers) = node.next().await;
    answers.send(gone()).await.unwrap();
    assert!(asking.await.unwrap().is_ok());

    // But nobody has removed what was not there at the first try.
    let removing = client.clone();
    let asking = tokio::spawn(async move { removing.remove_job(&name()).await });
    let (_, answers) = node.next().await;
    answers.send(gone()).await.unwrap();
    let error = asking.await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Request(RequestError::Job(_))), "{error}");

    // And what is to be changed must be there.
    let asking = tokio::spawn(async move { client.enable_job(&name(), true).await });
    drop(node.next().await);
    let (_, answers) = node.next().await;
    answers.send(gone()).await.unwrap();
    assert!(asking.await.unwrap().is_err());
}

#[tokio::test]
async fn lists_are_asked_for_page_by_page() {
    let (client, mut node) = pair(PATIENCE);
    let asking = tokio::spawn(async move { client.jobs("job-").await.unwrap() });
    let pages = [(0, JOBS_LISTED_MAX, 0), (JOBS_LISTED_MAX, JOBS_LISTED_MAX + 3, 2)];
    for (from, to, partitions_missing) in pages {
        let (request, answers) = node.next().await;
        let after = from.checked_sub(1).map(|last| line(last).name);
        let limit = u32::try_from(JOBS_LISTED_MAX).unwrap();
        assert_eq!(request.ask, Ask::ListJobs { prefix: "job-".to_owned(), after, limit });
        let jobs = (from..to).map(line).collect();
        let has_more = from == 0;
        answers
            .send(Answer::Jobs { jobs, has_more, partitions_missing, told: Vec::new() })
            .await
            .unwrap();
    }
    let listing = asking.await.unwrap();
    assert_eq!(listing.jobs.len(), JOBS_LISTED_MAX + 3);
    assert_eq!(listing.partitions_missing, 2);
}

#[tokio::test]
async fn a_node_that_tells_the_same_again_and_again_is_not_asked_for_ever() {
    let (client, mut node) = pair(PATIENCE);
    let asking = tokio::spawn(async move { client.jobs("").await.unwrap() });
    for _ in 0..2 {
        let (_, answers) = node.next().await;
        let jobs = (0..JOBS_LISTED_MAX).map(line).collect();
        let listed = Answer::Jobs { jobs, has_more: true, partitions_missing: 0, told: Vec::new() };
        answers.send(listed).await.unwrap();
    }
    assert_eq!(patiently(asking).await.unwrap().jobs.len(), JOBS_LISTED_MAX);
}
