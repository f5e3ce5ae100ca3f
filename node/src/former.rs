//! Finding a cluster, or forming it: drives the formation machine by greeting seeds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::mpsc;
use tracing::{info, warn};
use umbel_protocol::formation::{Answer, Effect, Event, Formation};
use umbel_protocol::id::{ClusterId, NodeId};
use umbel_protocol::scheduler::{self, Found};
use umbel_protocol::wire::hello::Refusal;

use crate::actors::{Handles, Happened};
use crate::clock::Clock;
use crate::config::HostPort;
use crate::transport::DialError;

/// After so long without a cluster people are told what is missing, and then again.
const COMPLAIN_EVERY: Duration = Duration::from_secs(5);

/// What a node without data does to get a cluster.
pub(crate) struct Former {
    pub(crate) me: NodeId,
    pub(crate) seeds: Vec<HostPort>,
    pub(crate) may_found: bool,
    /// What a cluster formed here would be; `founders` is filled in.
    pub(crate) found: Found,
    pub(crate) clock: Clock,
    pub(crate) handles: Handles,
}

impl Former {
    /// Runs until this node belongs to a cluster.
    pub(crate) async fn run(self) {
        let now = self.clock.tick();
        let mut machine = Formation::new(self.me, self.seeds.len(), self.may_found, now);
        let mut cluster = self.handles.cluster.subscribe();
        let (answers, mut answered) = mpsc::channel(64);
        let seeds: Arc<[HostPort]> = self.seeds.clone().into();
        let mut silent: Vec<Option<String>> = vec![None; seeds.len()];
        let mut complain = tokio::time::interval(COMPLAIN_EVERY);
        complain.tick().await;
        let mut effects = Vec::new();
        loop {
            let wait = self.clock.until(machine.next_deadline());
            let event = tokio::select! {
                joined = cluster.wait_for(Option::is_some) => {
                    if joined.is_ok() {
                        machine.step(self.clock.tick(), Event::Joined, &mut effects);
                    }
                    return;
                }
                Some((seed, answer)) = answered.recv() => self.heard(seed, answer, &mut silent),
                () = tokio::time::sleep(wait) => Event::Due,
                _ = complain.tick() => {
                    self.complain(&machine, &silent);
                    continue;
                }
            };
            machine.step(self.clock.tick(), event, &mut effects);
            for effect in effects.drain(..) {
                match effect {
                    Effect::Ask { seed } => self.greet(seed, &seeds, &answers),
                    Effect::Found { founders } => {
                        info!(founders, "forming a cluster");
                        let found = Found { founders, ..self.found.clone() };
                        let event = scheduler::Event::Found(found);
                        self.handles.scheduler.deliver(Happened(vec![event])).await;
                    }
                    // Every node that answers is asked to let this one in.
                    Effect::Join { .. } => {}
                }
            }
        }
    }

    fn greet(
        &self,
        seed: usize,
        seeds: &Arc<[HostPort]>,
        answers: &mpsc::Sender<(usize, Result<Answer, String>)>,
    ) {
        let (seeds, answers, handles) = (Arc::clone(seeds), answers.clone(), self.handles.clone());
        let me = self.me;
        let spawner = self.handles.clone();
        spawner.spawn(async move {
            let Some(address) = seeds.get(seed) else {
                return;
            };
            let answer = greet(address, me, &handles).await;
            // A full channel has newer answers; the next round asks again.
            drop(answers.try_send((seed, answer)));
        });
    }

    fn heard(
        &self,
        seed: usize,
        answer: Result<Answer, String>,
        silent: &mut [Option<String>],
    ) -> Event {
        let (event, why) = match answer {
            Ok(answer) => (Event::Answered { seed, answer }, None),
            Err(why) => (Event::Silent { seed }, Some(why)),
        };
        if let Some(place) = silent.get_mut(seed) {
            *place = why;
        }
        event
    }

    fn complain(&self, machine: &Formation, silent: &[Option<String>]) {
        for seed in machine.missing() {
            let why = silent.get(seed).and_then(Option::as_deref).unwrap_or("no answer yet");
            let address = self.seeds.get(seed).map(ToString::to_string).unwrap_or_default();
            warn!(seed = address, why, "waiting for a seed: a cluster forms when all are there");
        }
        if machine.missing().next().is_none() {
            warn!("all seeds answer; waiting for the first of them to form the cluster");
        }
    }
}

async fn greet(seed: &HostPort, me: NodeId, handles: &Handles) -> Result<Answer, String> {
    let address = resolve(seed).await?;
    match handles.transport.greet(address).await {
        Ok(hello) => {
            let answer = Answer { node: hello.node, cluster: hello.cluster };
            // It may be gone again; then it is reached anew when it is back.
            if let Some(version) = handles.transport.version(hello.node) {
                let reached = scheduler::Event::Reached { node: hello.node, version };
                handles.scheduler.deliver(Happened(vec![reached])).await;
            }
            Ok(answer)
        }
        Err(DialError::Refused { refusal: Refusal::Yourself, .. }) => {
            Ok(Answer { node: me, cluster: None })
        }
        Err(why) => Err(why.to_string()),
    }
}

/// The address that a name stands for now.
pub(crate) async fn resolve(address: &HostPort) -> Result<SocketAddr, String> {
    let found = lookup_host((address.host(), address.port())).await;
    let mut found = found.map_err(|why| format!("{address} cannot be looked up: {why}"))?;
    found.next().ok_or_else(|| format!("{address} stands for no address"))
}

/// A new cluster's id.
pub(crate) fn draw_cluster_id() -> ClusterId {
    ClusterId(rand::random())
}
