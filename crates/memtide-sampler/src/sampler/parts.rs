//! The parts of a tick that are not read at each: what is held, children and the session, cgroup and machine.
//!
//! Each is read when the budget admits it; one that cannot be read keeps its last value, and the failure
//! is counted.

use super::{Sampler, Watch};
use crate::basics::Reading;
use crate::family;
use crate::held::queues::Owner;
use memtide_model::{HeldGroup, Nanos, ReadKind};

impl Sampler {
    /// Descriptors, queues and segments: a part that cannot be read keeps its last value, and the failure
    /// is counted. The groups, where one of the two was read.
    pub(super) fn read_held(&mut self, now: Nanos) -> Option<Vec<HeldGroup>> {
        let mut is_read = false;
        self.fds.count();
        if self.budget.admits(ReadKind::Descriptors, now) {
            let watch = Watch::start();
            let (files, space) = (
                (&self.root, &self.process),
                (&mut self.listing, &mut self.buffer),
            );
            match self.fds.read(&mut self.groups, now, files, space) {
                Ok(read) => is_read |= read,
                Err(_) => self.budget.failed(ReadKind::Descriptors),
            }
            self.budget
                .charge(ReadKind::Descriptors, now, watch.spent());
        }
        if self.queues.is_due(now) && self.budget.admits(ReadKind::Queues, now) {
            let watch = Watch::start();
            let owner = Owner {
                pid: self.target.id.pid,
                uid: self.target.uid,
            };
            let files = (&self.root, owner);
            match (self.queues).read(&mut self.groups, now, files, &mut self.buffer) {
                Ok(found) => {
                    self.last.queues = Some(found);
                    is_read = true;
                }
                Err(_) => self.budget.failed(ReadKind::Queues),
            }
            self.budget.charge(ReadKind::Queues, now, watch.spent());
        }
        is_read.then(|| self.groups.counted())
    }

    /// Children and the session: what cannot be read keeps its last value, and the failure is counted.
    pub(super) fn read_family(&mut self, now: Nanos, reading: &Reading) {
        if self.budget.admits(ReadKind::Children, now) {
            let watch = Watch::start();
            let (listing, buffer) = (&mut self.listing, &mut self.buffer);
            let children = family::children(&self.root, &self.process, listing, buffer);
            self.last.children = children.or(self.last.children);
            self.budget.charge(ReadKind::Children, now, watch.spent());
        }
        let leads_session = reading.pulse.session == i64::from(self.target.id.pid.0);
        let needs_search = leads_session || self.last.children.is_none();
        if needs_search && self.budget.admits(ReadKind::Session, now) {
            let watch = Watch::start();
            let (listing, buffer) = (&mut self.listing, &mut self.buffer);
            match family::search(&self.root, self.target.id.pid, listing, buffer) {
                Ok(found) => {
                    self.last.children = self.last.children.or(Some(found.children));
                    self.last.search = found;
                }
                Err(_) => self.budget.failed(ReadKind::Session),
            }
            self.budget.charge(ReadKind::Session, now, watch.spent());
        }
    }

    pub(super) fn read_surroundings(&mut self, now: Nanos) {
        if self.group.is_known() && self.budget.admits(ReadKind::Cgroup, now) {
            let watch = Watch::start();
            match self.group.read(&mut self.buffer) {
                Ok(figures) => self.last.cgroup = figures,
                Err(_) => self.budget.failed(ReadKind::Cgroup),
            }
            self.budget.charge(ReadKind::Cgroup, now, watch.spent());
        }
        if self.budget.admits(ReadKind::Host, now) {
            let watch = Watch::start();
            match self.surroundings.host(&mut self.buffer) {
                Ok(figures) => self.last.host = figures,
                Err(_) => self.budget.failed(ReadKind::Host),
            }
            self.last.oom_score = self.surroundings.oom_score(&mut self.buffer);
            self.budget.charge(ReadKind::Host, now, watch.spent());
        }
    }
}
