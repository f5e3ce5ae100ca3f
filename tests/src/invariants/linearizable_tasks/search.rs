//! Finding an order of all requests that explains all answers.

use std::collections::BTreeSet;

use super::{History, Life, Told};

/// A request of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it was made.
    pub call: u64,
    /// When it was answered, if it was.
    pub back: Option<u64>,
    /// What was told.
    pub told: Told,
}

/// More requests than clients make of one task: each is a bit of a set.
const REQUESTS_MAX: usize = 128;

/// Looks for an order.
///
/// # Errors
/// There is none, or there are too many requests to tell.
pub fn find_order(history: &History) -> Result<(), String> {
    let mut requests = history.answered.clone();
    // All lost submissions are alike, and so are all lost wishes to stop: the first stands for all, as
    // it may be carried out whenever a later one may.
    let lost = |call: Option<u64>, told| call.map(|call| Request { call, back: None, told });
    requests.extend(lost(history.submit_lost, Told::LostSubmit));
    requests.extend(lost(history.cancel_lost, Told::LostCancel));
    if requests.len() > REQUESTS_MAX {
        return Err(format!("{} requests for one task", requests.len()));
    }
    requests.sort_by_key(|request| request.call);
    let mut tried = BTreeSet::new();
    let mut open = vec![(0_u128, Life::Absent)];
    while let Some((done, life)) = open.pop() {
        let left = || requests.iter().enumerate().filter(|(place, _)| done & (1 << place) == 0);
        // Whatever comes next began before any of the others was answered.
        let Some(first_back) = left().filter_map(|(_, request)| request.back).min() else {
            return Ok(());
        };
        let next: Vec<_> = left()
            .filter(|(_, request)| request.call <= first_back)
            .filter_map(|(place, request)| {
                // One that is answered has happened by then; it can have ended as late as that.
                let may_end = request.back.is_none_or(|back| back >= history.may_end);
                let life = life.after(request.told, may_end)?;
                Some((request.back.is_some(), (done | (1 << place), life)))
            })
            .collect();
        // One that changes nothing may as well be next: whatever order has it later is one without it,
        // too. Else the many that looked while a node stood still would be tried in all orders.
        let idle = next.iter().position(|(is_answered, (_, then))| *is_answered && *then == life);
        let next = idle.map_or(&next[..], |place| &next[place..=place]);
        for (_, state) in next {
            if tried.insert(*state) {
                open.push(*state);
            }
        }
    }
    Err(format!("no order of these requests gives these answers: {requests:?}, {history:?}"))
}
