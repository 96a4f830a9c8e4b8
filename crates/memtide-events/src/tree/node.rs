//! A process in the tree, and what is left of those that were folded.

use crate::event::Comm;
use memtide_model::{Nanos, Pid};
use std::collections::BTreeMap;

/// Which process: its number and when it was forked, so that a reused number is another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// Its number.
    pub pid: Pid,
    /// When it was forked. Of one that was found, when it started, rounded down to a clock tick.
    pub forked: Nanos,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Which.
    pub id: NodeId,
    /// Who forked it: never changes. Of one that was found, who was its parent then. `None` where nobody saw it
    /// made.
    pub parent: Option<NodeId>,
    /// Its name; `None` where nobody has said it.
    pub comm: Option<Comm>,
    /// It was found in /proc, and not seen being made.
    pub found: bool,
    /// How often it replaced its program.
    pub execs: u32,
    /// Who reaps it now, where that is known to be another than who forked it.
    pub adopted_by: Option<Pid>,
    /// How it ended; `None` while it lives.
    pub end: Option<End>,
    /// Descendants that ended and are no nodes any more.
    pub folded: Folded,
    /// Its children that are nodes.
    pub(super) children: u32,
}

impl Node {
    pub(super) const fn new(id: NodeId, parent: Option<NodeId>, comm: Option<Comm>) -> Self {
        Self {
            id,
            parent,
            comm,
            found: false,
            execs: 0,
            adopted_by: None,
            end: None,
            folded: Folded::none(),
            children: 0,
        }
    }

    /// True while it has not ended.
    pub const fn is_alive(&self) -> bool {
        self.end.is_none()
    }

    /// True where it had not ended at `time`, and had been made.
    pub fn lived_at(&self, time: Nanos) -> bool {
        self.id.forked <= time && self.end.is_none_or(|end| time <= end.at)
    }
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// When. Where nobody saw it: when its number was given to another.
    pub at: Nanos,
    /// As wait(2) gives it; `None` where the engine does not say.
    pub status: Option<i32>,
    /// Somebody saw it.
    pub seen: bool,
}

/// Processes that ended and were folded into counts, by their last name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    by_comm: BTreeMap<Comm, u64>,
    /// Under names beyond the first [`Self::NAMES`].
    others: u64,
}

impl Folded {
    /// So many names are kept apart.
    const NAMES: usize = 64;

    const fn none() -> Self {
        Self {
            by_comm: BTreeMap::new(),
            others: 0,
        }
    }

    /// How many, by name, in order of the names.
    pub fn by_comm(&self) -> impl Iterator<Item = (Comm, u64)> {
        self.by_comm.iter().map(|(comm, count)| (*comm, *count))
    }

    /// How many more, whose names are not kept apart.
    pub const fn others(&self) -> u64 {
        self.others
    }

    /// How many in all.
    pub fn total(&self) -> u64 {
        self.by_comm.values().sum::<u64>() + self.others
    }

    /// Adds a process, and all that it had taken in itself.
    pub(super) fn take(&mut self, node: &Node) {
        self.add(node.comm.unwrap_or_default(), 1);
        for (comm, count) in node.folded.by_comm() {
            self.add(comm, count);
        }
        self.others += node.folded.others;
    }

    fn add(&mut self, comm: Comm, count: u64) {
        let has_room = self.by_comm.len() < Self::NAMES;
        match self.by_comm.get_mut(&comm) {
            Some(known) => *known += count,
            None if has_room => {
                self.by_comm.insert(comm, count);
            }
            None => self.others += count,
        }
    }
}
