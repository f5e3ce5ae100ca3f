//! When an actor is woken, and when it makes way for others.
//!
//! actix handles the messages of an actor until its mailbox is empty, and only then looks at timers
//! and at the other actors of the thread. One that is flooded would never come to its deadlines, and
//! its neighbours to nothing at all; so an actor pauses for a moment after some messages.

use actix::fut::wrap_future;
use actix::{Actor, AsyncContext, Context, SpawnHandle};
use umbel_protocol::time::{Span, Tick};

use crate::clock::Clock;

/// Messages that an actor handles before others have their turn. Each is a batch: so many may take
/// some tens of milliseconds, which no deadline minds, and a pause costs next to nothing.
const MESSAGES_MAX: u32 = 32;
/// How soon what a neighbour had no room for is offered again.
const RETRY: Span = Span::from_millis(2);

/// An actor around a machine with deadlines, which has something for a neighbour now and then.
pub(super) trait Driven: Actor<Context = Context<Self>> {
    fn alarm(&mut self) -> &mut Alarm;

    /// When the machine wants to be told that its deadline has come.
    fn deadline(&self) -> Tick;

    /// Tells it.
    fn due(&mut self, ctx: &mut Context<Self>);

    /// Gives the neighbour what there is for it, in order; answers whether it took all.
    fn pass_on(&mut self) -> bool;

    /// To be called when the machine has made its steps.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        let passed_on = self.pass_on();
        let mut at = self.deadline();
        if !passed_on {
            at = at.min(self.alarm().clock.tick() + RETRY);
        }
        self.alarm().set(at, ctx);
    }

    /// To be called with each message.
    fn make_way(&mut self, ctx: &mut Context<Self>) {
        let alarm = self.alarm();
        alarm.handled += 1;
        if alarm.handled >= MESSAGES_MAX {
            alarm.handled = 0;
            ctx.wait(wrap_future::<_, Self>(tokio::task::yield_now()));
        }
    }
}

/// The one timer of an actor.
#[derive(Debug)]
pub(super) struct Alarm {
    clock: Clock,
    rings: Option<(Tick, SpawnHandle)>,
    /// Messages since others had their turn.
    handled: u32,
}

impl Alarm {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, rings: None, handled: 0 }
    }

    /// Rings at `at`, or before: whoever is woken too early waits on.
    fn set<A: Driven>(&mut self, at: Tick, ctx: &mut Context<A>) {
        if self.rings.is_some_and(|(rings, _)| rings <= at) {
            return;
        }
        if let Some((_, ring)) = self.rings.take() {
            ctx.cancel_future(ring);
        }
        let ring = ctx.run_later(self.clock.until(at), |actor, ctx| {
            let alarm = actor.alarm();
            alarm.rings = None;
            let now = alarm.clock.tick();
            if actor.deadline() <= now {
                actor.due(ctx);
            } else {
                actor.settle(ctx);
            }
        });
        self.rings = Some((at, ring));
    }
}
