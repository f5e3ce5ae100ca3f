//! How many tasks are steered: page by page, from the newest on back.

use umbel_protocol::partition::SteerRefusal;
use umbel_protocol::time::Wall;
use umbel_protocol::wire::RequestError;

use super::local::pair;
use super::*;
use crate::client::{Filter, Listing, States, Steered, Steering};

fn task(number: u64) -> TaskId {
    TaskId::new(Wall::from_millis(number), PartitionId(3), 0)
}

/// What the node lists: these tasks, which are in that state, and where it goes on.
fn listed(numbers: &[u64], state: State, cut_before: Option<u64>) -> Answer {
    let view = |number: &u64| {
        let Answer::View(found) = view(task(*number), "3") else { unreachable!("it is one") };
        View { state, ..*found }
    };
    let tasks = numbers.iter().map(view).collect();
    let cut_before = cut_before.map(task);
    Answer::Tasks { tasks, partitions_missing: 0, cut_before, told: Vec::new() }
}

impl Scripted {
    /// Answers the next request, which must be for a page of what lies before that task.
    async fn page(&mut self, states: States, before: Option<u64>, answer: Answer) {
        let (request, answers) = self.next().await;
        let Ask::List(filter) = request.ask else { panic!("{request:?}") };
        assert_eq!((filter.states, filter.before), (states, before.map(task)));
        answers.send(answer).await.unwrap();
    }

    /// Answers so many requests about one task each; what was asked for.
    async fn each(&mut self, count: usize, answer: impl Fn(TaskId) -> Answer) -> Vec<Ask> {
        let mut asked = Vec::new();
        for _ in 0..count {
            let (request, answers) = self.next().await;
            let task = match request.ask {
                Ask::Cancel { task } | Ask::Withdraw { task } | Ask::Delete { task } => task,
                other => panic!("{other:?}"),
            };
            answers.send(answer(task)).await.unwrap();
            asked.push(request.ask);
        }
        asked
    }
}

/// That task runs, and was asked to stop.
fn stopping(id: TaskId) -> Answer {
    let Answer::View(found) = view(id, "3") else { unreachable!("it is one") };
    Answer::View(Box::new(View { state: State::Leased, ..*found }))
}

fn all() -> Filter {
    Filter { limit: u32::MAX, ..Filter::default() }
}

#[tokio::test]
async fn a_selection_is_gone_through_once_from_the_newest_back() {
    let (client, mut node) = pair(PATIENCE);
    let steering =
        tokio::spawn(async move { client.steer_all(Steering::Cancel, all()).await.unwrap() });
    node.page(States::OPEN, None, listed(&[9, 7], State::Ready, None)).await;
    // One of them has begun meanwhile: it is asked to stop, and not met again.
    let asked = node.each(2, stopping).await;
    assert!(asked.contains(&Ask::Cancel { task: task(9) }), "{asked:?}");
    // What there was no time to look at is looked at next.
    node.page(States::OPEN, Some(7), listed(&[6], State::Leased, Some(5))).await;
    node.page(States::OPEN, Some(5), listed(&[4], State::Scheduled, None)).await;
    node.each(2, stopping).await;
    node.page(States::OPEN, Some(4), listed(&[], State::Ready, None)).await;
    let Steered { done, refused_count, cut_short: None, .. } = patiently(steering).await.unwrap()
    else {
        panic!("it came to the end")
    };
    assert_eq!((done, refused_count), (4, 0));
}

#[tokio::test]
async fn what_is_to_be_stopped_as_long_as_it_waits_is_not_stopped_once_it_runs() {
    let (client, mut node) = pair(PATIENCE);
    let purging = tokio::spawn(async move { client.purge_queue("mail").await.unwrap() });
    let (request, answers) = node.next().await;
    let Ask::List(filter) = request.ask else { panic!("{request:?}") };
    let of_queue =
        Filter { queue: Some("mail".into()), states: States::WAITING, ..Filter::default() };
    assert_eq!(Filter { limit: of_queue.limit, ..filter }, of_queue);
    // The queues of what a node lists are looked at.
    let of_mail = |answer| match answer {
        Answer::Tasks { mut tasks, partitions_missing, cut_before, told } => {
            tasks.iter_mut().for_each(|view| "mail".clone_into(&mut view.queue));
            Answer::Tasks { tasks, partitions_missing, cut_before, told }
        }
        other => other,
    };
    answers.send(of_mail(listed(&[9, 8, 7, 6], State::Ready, None))).await.unwrap();
    let outcome = |id: TaskId| match id {
        _ if id == task(9) => Answer::Failed(SteerRefusal::NotWaiting { task: id }.into()),
        _ if id == task(8) => Answer::Failed(SteerRefusal::NotFound { task: id }.into()),
        _ if id == task(7) => Answer::Failed(RequestError::NotUpgraded),
        _ => Answer::Done,
    };
    let asked = node.each(4, outcome).await;
    assert!(asked.iter().all(|ask| matches!(ask, Ask::Withdraw { .. })), "{asked:?}");
    node.page(States::WAITING, Some(6), listed(&[], State::Ready, None)).await;
    let steered = patiently(purging).await.unwrap();
    // What has begun, or is gone, is not meant any more.
    assert_eq!((steered.done, steered.refused_count), (1, 1));
    assert_eq!(steered.refused[0].0, task(7));
}

#[tokio::test]
async fn what_was_done_is_told_if_it_goes_no_further() {
    let (client, mut node) = pair(PATIENCE);
    let steering =
        tokio::spawn(async move { client.steer_all(Steering::Delete, all()).await.unwrap() });
    let ended = States::ALL.without(States::OPEN);
    node.page(ended, None, listed(&[9], State::Dead, None)).await;
    node.each(1, |_| Answer::Done).await;
    node.page(ended, Some(9), Answer::Failed(RequestError::NotUpgraded)).await;
    let steered = patiently(steering).await.unwrap();
    let Some(ClientError::Request(RequestError::NotUpgraded)) = steered.cut_short else {
        panic!("{steered:?}")
    };
    assert_eq!(steered.done, 1);
}

#[tokio::test]
async fn a_node_that_goes_on_where_it_began_is_not_followed_for_ever() {
    let (client, mut node) = pair(PATIENCE);
    let listing = tokio::spawn(async move { client.list(all()).await.unwrap() });
    node.page(States::ALL, None, listed(&[9], State::Dead, Some(8))).await;
    node.page(States::ALL, Some(8), listed(&[], State::Dead, Some(8))).await;
    let Listing { tasks, cut_before, .. } = patiently(listing).await.unwrap();
    assert_eq!((tasks.len(), cut_before), (1, None));
}

#[tokio::test]
async fn no_more_are_steered_than_was_said() {
    let (client, mut node) = pair(PATIENCE);
    let two = Filter { limit: 2, states: State::Dead.into(), ..Filter::default() };
    let steering =
        tokio::spawn(async move { client.steer_all(Steering::Delete, two).await.unwrap() });
    node.page(State::Dead.into(), None, listed(&[9, 8, 7], State::Dead, None)).await;
    node.each(2, |_| Answer::Done).await;
    assert_eq!(patiently(steering).await.unwrap().done, 2);
}

#[tokio::test]
async fn states_in_which_nothing_can_be_done_are_refused() {
    let (client, _node) = pair(PATIENCE);
    for (steering, state) in [
        (Steering::Cancel, State::Dead),
        (Steering::Retry, State::Succeeded),
        (Steering::Delete, State::Leased),
    ] {
        let states = States::of(&[State::Expired, State::Ready, state]).without(match steering {
            Steering::Cancel => State::Expired.into(),
            Steering::Retry | Steering::Delete => State::Ready.into(),
        });
        let refused = client.steer_all(steering, Filter { states, ..all() }).await;
        let Err(ClientError::WrongState { state: told, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(told, state);
    }
}
