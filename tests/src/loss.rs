//! After all has come to rest, a minority dies for good while there is new work.
//!
//! Whatever a storm breaks comes back, so it shows that nothing gets lost, not that anybody takes
//! over. Here nobody comes back: who lives must notice, own what the dead owned, end their runs and
//! replace their copies, all in time.

use umbel_protocol::id::{GroupId, NodeId, ReplicaId};
use umbel_protocol::placement::voters_of;
use umbel_protocol::scheduler::CopyView;

use crate::faults::Fault;
use crate::invariants::{partitions, taken_over_in_time};
use crate::plan::SECOND;
use crate::world::{What, World};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Loss {
    /// Whether it has been planned.
    pub begun: bool,
    /// When it happened.
    pub at: Option<u64>,
}

impl World {
    /// Plans a last loss, if this world has one; whether there is more to come.
    pub fn begin_loss(&mut self) -> bool {
        if !self.plan.loses_minority || self.loss.begun {
            return false;
        }
        self.loss.begun = true;
        self.trace(|| "a minority is about to die".to_owned());
        let at = self.now + self.between(SECOND, 4 * SECOND);
        self.push(at, What::Fault(Fault::Lose));
        let submissions = self.between(10, 30);
        self.submit_within(self.now, at + 2 * SECOND, submissions);
        self.plan_late_jobs(at);
        self.progress_at = at;
        self.healed_at = Some(at);
        true
    }

    /// A random minority dies: of the hosts, and of the voters of each group.
    pub fn lose_minority(&mut self) {
        let most = (self.hosts.len() - 1) / 2;
        let wanted = usize::try_from(self.between(1, most as u64)).expect("few hosts");
        for _ in 0..4 * self.hosts.len() {
            let host = usize::try_from(self.random() % self.hosts.len() as u64).expect("few hosts");
            if self.hosts.iter().filter(|one| one.is_dead).count() == wanted {
                break;
            }
            if !self.hosts[host].is_dead && self.can_do_without(host) {
                taken_over_in_time::on_death(self, host);
                self.crash(host);
                self.hosts[host].is_dead = true;
            }
        }
        self.saw("last loss");
        self.is_troubled = true;
        self.loss.at = Some(self.now);
    }

    /// Whether each group keeps a majority and each task somebody that may run it.
    fn can_do_without(&self, host: usize) -> bool {
        let lives = |one: usize| !self.hosts[one].is_dead && one != host;
        // Only even hosts run all tasks.
        if !(0..self.hosts.len()).any(|one| one.is_multiple_of(2) && lives(one)) {
            return false;
        }
        let groups = partitions(self).map(GroupId::of).chain([GroupId::META]);
        let copies = |group: GroupId| {
            let processes = self.hosts.iter().filter_map(|one| one.process.as_ref());
            processes.filter_map(move |process| process.scheduler.copy(group))
        };
        groups.flat_map(copies).all(|copy| {
            let known = copy.copies();
            [&known.voters, &known.voters_outgoing].into_iter().all(|voters| {
                let nodes = voters.iter().filter_map(|voter| copy.node_of(*voter));
                let living = nodes.filter(|node| self.host_of(*node).is_some_and(lives)).count();
                voters.is_empty() || living * 2 > voters.len()
            })
        })
    }

    /// How many hosts live.
    #[must_use]
    pub fn living(&self) -> usize {
        self.hosts.iter().filter(|host| !host.is_dead).count()
    }

    /// Whether a group that may have up to `limit` copies has them where it should.
    #[must_use]
    pub fn has_its_copies(&self, limit: usize, copy: &CopyView<'_>) -> bool {
        let copies = copy.copies();
        let is_living = |node: NodeId| self.host_of(node).is_some_and(|h| !self.hosts[h].is_dead);
        let there = |replicas: &[ReplicaId]| {
            let nodes = replicas.iter().filter_map(|replica| copy.node_of(*replica));
            nodes.filter(|node| is_living(*node)).count()
        };
        let (voters, living) = (copies.voters.len(), self.living());
        // Where not enough others can stand in, those that are gone keep their votes.
        let members =
            self.hosts.len() + self.hosts.iter().map(|h| h.renewals as usize).sum::<usize>();
        let (least, most) = (limit.min(self.hosts.len()), limit.min(members));
        let complete = voters + copies.learners.len() == least || living < most;
        (voters_of(least)..=voters_of(most)).contains(&voters)
            && there(&copies.voters) == voters.min(living)
            && complete
            && !copies.is_joint()
    }
}
