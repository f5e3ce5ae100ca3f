//! What befalls nodes: they are lost, come back, and are cut from each other.

use super::{Cluster, ClusterError, ready};

impl Cluster {
    /// Ends the node at `place` as a kill of its process does: nothing is handed over, no run comes to
    /// its end, nobody is told. What it has acknowledged is on its disk. Others take over its tasks within
    /// a few seconds, by the clock that only goes as fast as it goes.
    #[track_caller]
    pub fn crash(&mut self, place: usize) -> impl Future<Output = ()> + '_ {
        self.check_runs(place);
        self.members[place].crash()
    }

    /// Stops the node at `place` in order: it hands over what it has, and its runs come to their ends
    /// first, as far as they do so within two seconds.
    #[track_caller]
    pub fn shut_down(&mut self, place: usize) -> impl Future<Output = ()> + '_ {
        self.check_runs(place);
        self.members[place].stop()
    }

    /// Starts the node at `place` again, with the data and the address that it had, and waits until it is
    /// a member again. Does nothing if it runs.
    ///
    /// # Errors
    /// When it cannot be started, or the others do not want it back.
    pub async fn restart(&mut self, place: usize) -> Result<(), ClusterError> {
        if self.runs(place) {
            return Ok(());
        }
        self.members[place].start(place, &self.plan).await?;
        let cuts: Vec<_> = self.cuts.iter().copied().collect();
        for (one, other) in cuts {
            if one == place || other == place {
                self.part(one, other);
            }
        }
        ready::all_joined([(place, self.node(place))].into_iter()).await
    }

    /// Cuts the nodes at two places from each other, in both directions, until it is
    /// [healed](Self::heal); also across their restarts. They may still reach each other through a third.
    #[track_caller]
    pub fn cut(&mut self, one: usize, other: usize) {
        self.check_place(one);
        self.check_place(other);
        assert_ne!(one, other, "a node cannot be cut from itself");
        self.cuts.insert((one.min(other), one.max(other)));
        self.part(one, other);
    }

    /// Cuts the node at `place` from all others. Its clients still reach it.
    #[track_caller]
    pub fn isolate(&mut self, place: usize) {
        self.check_place(place);
        for other in (0..self.len()).filter(|other| *other != place) {
            self.cut(place, other);
        }
    }

    /// Heals all cuts. Nodes find each other again within a second.
    pub fn heal(&mut self) {
        for (one, other) in std::mem::take(&mut self.cuts) {
            for (here, there) in self.ends(one, other) {
                here.handles().transport.heal(there.id());
            }
        }
    }

    /// Waits until all nodes that run know of each other, and share the work: all copies of all
    /// partitions are where they belong. For after faults, where a test is to go on from a sound cluster.
    ///
    /// # Errors
    /// When that is not so within a minute: nodes are cut from each other, say.
    pub async fn settled(&self) -> Result<(), ClusterError> {
        ready::work_is_shared(self.running()).await
    }

    /// Cuts those of the two that run.
    fn part(&self, one: usize, other: usize) {
        for (here, there) in self.ends(one, other) {
            here.handles().transport.cut(there.id());
        }
    }

    /// Both ends of a way, if both run: each and the one that is beyond.
    fn ends(&self, one: usize, other: usize) -> Vec<(&crate::Node, &crate::Node)> {
        match (&self.members[one].node, &self.members[other].node) {
            (Some(one), Some(other)) => vec![(one, other), (other, one)],
            _ => Vec::new(),
        }
    }
}
