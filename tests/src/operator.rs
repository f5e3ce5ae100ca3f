//! Whoever runs the cluster: asks for members to be drained, to serve again, or to be forgotten, and
//! asks again until that is so.

use std::collections::BTreeMap;

use umbel_protocol::scheduler::{Caller, Event};
use umbel_protocol::time::Span;
use umbel_protocol::wire::{Answer, Ask, Request};

use crate::host::Local;
use crate::plan::SECOND;
use crate::world::{What, World};

/// The session of the operator; clients count theirs from zero.
pub const OPERATOR: u64 = u64::MAX;
/// How long an operator waits for an answer before another node is asked.
const PATIENCE: u64 = 5 * SECOND;

/// What the operator wants, by number.
#[derive(Debug, Default)]
pub struct Operator {
    open: BTreeMap<u64, Ask>,
    asked: u64,
    /// What was carried out or refused, in order.
    pub answers: Vec<(Ask, Answer)>,
}

impl Operator {
    /// What it has ever wanted.
    #[must_use]
    pub fn asked(&self) -> usize {
        usize::try_from(self.asked).expect("few wishes")
    }

    /// What is not answered yet, if anything.
    #[must_use]
    pub fn open(&self) -> Option<String> {
        self.open.values().next().map(|ask| format!("the operator waits for {ask:?}"))
    }
}

impl World {
    /// The operator wants something.
    pub fn operate(&mut self, ask: Ask) {
        self.trace(|| format!("the operator wants {ask:?}"));
        self.operator.asked += 1;
        let number = self.operator.asked;
        self.operator.open.insert(number, ask);
        self.operate_again(number);
    }

    /// The operator asks any node, if it was not answered yet.
    pub fn operate_again(&mut self, number: u64) {
        let Some(ask) = self.operator.open.get(&number).cloned() else {
            return;
        };
        let at = usize::try_from(self.random() % self.hosts.len() as u64).expect("few hosts");
        let caller = Caller { session: OPERATOR, request: number };
        let request = Request { deadline: Span::from_micros(PATIENCE), ask };
        self.local(at, Local::Scheduler(Event::Asked { caller, request }));
        self.push(self.now + PATIENCE, What::Operate(number));
    }

    /// The operator is answered. A failure that may pass is no answer.
    pub fn operated(&mut self, number: u64, answer: Answer) {
        use umbel_protocol::wire::RequestError::Parting;
        if !matches!(answer, Answer::Done | Answer::Failed(Parting(_))) {
            return;
        }
        if let Some(ask) = self.operator.open.remove(&number) {
            self.trace(|| format!("the operator is told {answer:?} of {ask:?}"));
            self.saw(match &answer {
                Answer::Done => "operator is obeyed",
                _ => "operator is refused",
            });
            self.operator.answers.push((ask, answer));
        }
    }
}
