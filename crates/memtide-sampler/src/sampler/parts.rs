//! The parts of a tick that are not read at each: what is held, children and the session, cgroup and machine.
//!
//! Each is read when the budget admits it; one that cannot be read keeps its last value, and the failure
//! is counted.

use super::{Sampler, Watch};
use crate::basics::Reading;
use crate::family;
use crate::held::Thing;
use crate::held::queues::Owner;
use memtide_model::alike::without_numbers;
use memtide_model::text::printable;
use memtide_model::{HeldGroup, HeldKind, Nanos, ReadKind};

impl Sampler {
    /// Descriptors, queues and segments, files in tmpfs, names of children: a part that cannot be read keeps its last
    /// value, and the failure is counted. The groups, where one of them was read.
    pub(super) fn read_held(&mut self, now: Nanos, reading: &Reading) -> Option<Vec<HeldGroup>> {
        let parts = [
            self.read_descriptors(now),
            self.read_queues(now),
            self.read_tmpfs(now),
            self.read_family(now, reading),
        ];
        parts.contains(&true).then(|| self.groups.counted())
    }

    fn read_descriptors(&mut self, now: Nanos) -> bool {
        self.fds.count();
        if !self.budget.admits(ReadKind::Descriptors, now) {
            return false;
        }
        let watch = Watch::start();
        let (files, space) = (
            (&self.root, &self.process),
            (&mut self.listing, &mut self.buffer),
        );
        let read = self.fds.read(&mut self.groups, now, files, space);
        if read.is_err() {
            self.budget.failed(ReadKind::Descriptors);
        }
        self.budget
            .charge(ReadKind::Descriptors, now, watch.spent());
        read.unwrap_or(false)
    }

    fn read_queues(&mut self, now: Nanos) -> bool {
        if !self.queues.is_due(now) || !self.budget.admits(ReadKind::Queues, now) {
            return false;
        }
        let watch = Watch::start();
        let owner = Owner {
            pid: self.target.id.pid,
            uid: self.target.uid,
        };
        let files = (&self.root, owner);
        let read = (self.queues).read(&mut self.groups, now, files, &mut self.buffer);
        if read.is_err() {
            self.budget.failed(ReadKind::Queues);
        }
        self.budget.charge(ReadKind::Queues, now, watch.spent());
        self.last.queues = read.as_ref().ok().copied().or(self.last.queues);
        read.is_ok()
    }

    fn read_tmpfs(&mut self, now: Nanos) -> bool {
        let is_due = self.tmpfs.is_there() && self.budget.admits(ReadKind::Tmpfs, now);
        if is_due {
            let watch = Watch::start();
            let own = &self.spaces.table.own;
            self.tmpfs.read(&mut self.groups, self.target.uid, own);
            self.budget.charge(ReadKind::Tmpfs, now, watch.spent());
        }
        is_due
    }

    /// Children and the session: what cannot be read keeps its last value, and the failure is counted.
    fn read_family(&mut self, now: Nanos, reading: &Reading) -> bool {
        let leads_session = reading.pulse.session == i64::from(self.target.id.pid.0);
        let mut counted = None;
        if self.budget.admits(ReadKind::Children, now) {
            let watch = Watch::start();
            let (listing, buffer) = (&mut self.listing, &mut self.buffer);
            let found = family::children(&self.root, &self.process, listing, buffer);
            if let Some((children, names)) = found {
                self.last.children = Some(children);
                // Of a session the search tells all.
                counted = (!leads_session).then_some(names);
            }
            self.budget.charge(ReadKind::Children, now, watch.spent());
        }
        let needs_search = leads_session || self.last.children.is_none();
        if needs_search && self.budget.admits(ReadKind::Session, now) {
            let watch = Watch::start();
            let (listing, buffer) = (&mut self.listing, &mut self.buffer);
            match family::search(&self.root, self.target.id.pid, listing, buffer) {
                Ok((found, names)) => {
                    self.last.children = self.last.children.or(Some(found.children));
                    self.last.search = found;
                    counted = Some(names);
                }
                Err(_) => self.budget.failed(ReadKind::Session),
            }
            self.budget.charge(ReadKind::Session, now, watch.spent());
        }
        if let Some(names) = &counted {
            self.name_children(names);
        }
        counted.is_some()
    }

    /// Counts children by name; those whose names differ in numbers alone are one group.
    fn name_children(&mut self, names: &family::Names) {
        self.groups.clear(|kind| kind == HeldKind::Child);
        for (name, count) in names {
            let name = printable(name);
            let pattern = without_numbers(&name);
            let slot = self
                .groups
                .slot(Thing::like(HeldKind::Child, name, pattern));
            self.groups.add_many(slot, *count);
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
