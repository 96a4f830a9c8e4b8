//! The tree of processes: a pure value that events are applied to.
//!
//! A node is a process, known by its number and the time of its fork; threads are none. A parent link is set when the node is
//! made and never changes: that another process reaps it later is written beside it. Names are inherited by fork and
//! changed by exec.
//!
//! Events come in the order of time ([`crate::Source`] sorts them). The tree takes any others, too: what contradicts
//! it is counted, and where an end was missed the number's next fork shows it.
//!
//! It refuses to guess: who was not seen being made has no parent, and what was folded is a count.

mod fold;
mod node;
mod query;

pub use node::{End, Folded, Node, NodeId};
pub use query::Orphan;

use crate::event::{Change, Comm, Losses, TreeEvent};
use memtide_model::{Nanos, Pid};
use std::collections::{BTreeMap, HashMap};

/// A start time from /proc is rounded down to a clock tick, of 10 ms at most; and the clock may be adjusted in between.
const TICK: Nanos = Nanos(20_000_000);

/// All processes that were seen, and how they come from each other.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    alive: HashMap<Pid, NodeId>,
    ended: fold::Ended,
    most_ended: usize,
    folded: Folded,
    counts: Counts,
    losses: Losses,
}

/// What was counted while events were applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Processes that were nodes at some time.
    pub processes: u64,
    /// Of those, the ones that were seen being made.
    pub forks: u64,
    /// Programs replaced.
    pub execs: u64,
    /// Ends that were seen.
    pub exits: u64,
    /// Most processes that lived at one time.
    pub most_alive: usize,
    /// Nodes that were folded into counts.
    pub folded: u64,
    /// Forks by a process that is not in the tree.
    pub unknown_parents: u64,
    /// Processes that did something and that nobody saw being made.
    pub unseen_forks: u64,
    /// Ends that nobody saw: the number was given to another.
    pub unseen_ends: u64,
    /// Ends of processes that are not in the tree.
    pub strays: u64,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new(Self::ENDED)
    }
}

impl Tree {
    /// So many processes that ended stay nodes, unless another number is asked for; each takes about 250 bytes.
    pub const ENDED: usize = 32_768;

    /// An empty tree that keeps so many processes that ended as nodes; more are folded into counts.
    pub fn new(most_ended: usize) -> Self {
        Self {
            nodes: BTreeMap::new(),
            alive: HashMap::new(),
            ended: fold::Ended::default(),
            most_ended,
            folded: Folded::default(),
            counts: Counts::default(),
            losses: Losses::default(),
        }
    }

    /// Applies what happened.
    pub fn apply(&mut self, event: &TreeEvent) {
        let TreeEvent { at, pid, change } = *event;
        match change {
            Change::Found { parent, comm, .. } => self.found(at, pid, parent, comm),
            Change::Fork { child } => self.forked(at, pid, child),
            Change::Exec { comm } => {
                self.counts.execs += 1;
                let node = self.node(at, pid);
                node.execs += 1;
                // Without a name of its own the old one is known to be wrong.
                node.comm = comm;
            }
            Change::Comm(comm) => self.node(at, pid).comm = Some(comm),
            Change::Reparent { new_parent } => self.node(at, pid).adopted_by = Some(new_parent),
            Change::Exit { status, parent } => self.exited(at, pid, status, parent),
        }
    }

    /// Notes what a source has missed; it says so in all since it was opened.
    pub fn note_losses(&mut self, losses: Losses) {
        self.losses = losses;
    }

    /// What the source has missed.
    pub const fn losses(&self) -> Losses {
        self.losses
    }

    /// What was counted.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Processes that were folded and whose parent is no node.
    pub const fn folded(&self) -> &Folded {
        &self.folded
    }

    fn found(&mut self, at: Nanos, pid: Pid, parent: Pid, comm: Comm) {
        if let Some(known) = self.alive.get(&pid) {
            if at <= known.forked && known.forked < at + TICK {
                return;
            }
            self.end_unseen(at, pid);
        }
        let parent = self.alive.get(&parent).copied();
        let id = NodeId { pid, forked: at };
        let mut node = Node::new(id, parent, Some(comm));
        node.found = true;
        self.insert(node);
    }

    fn forked(&mut self, at: Nanos, parent: Pid, child: Pid) {
        if let Some(known) = self.alive_with(child) {
            let is_same = known.found && known.id.forked <= at && at < known.id.forked + TICK;
            if is_same || known.id.forked == at {
                return;
            }
            self.end_unseen(at, child);
        }
        let parent = self.alive_with(parent);
        let comm = parent.and_then(|parent| parent.comm);
        let parent = parent.map(|parent| parent.id);
        self.counts.forks += 1;
        self.counts.unknown_parents += u64::from(parent.is_none());
        let id = NodeId {
            pid: child,
            forked: at,
        };
        self.insert(Node::new(id, parent, comm));
    }

    fn exited(&mut self, at: Nanos, pid: Pid, status: Option<i32>, parent: Option<Pid>) {
        let is_known = self
            .alive_with(pid)
            .is_some_and(|node| node.id.forked <= at);
        if !is_known {
            self.counts.strays += 1;
            return;
        }
        self.counts.exits += 1;
        let node = self.node(at, pid);
        let forked_by = node.parent.map(|forked_by| forked_by.pid);
        node.adopted_by = parent
            .filter(|parent| forked_by.is_some_and(|forked_by| forked_by != *parent))
            .or(node.adopted_by);
        self.end(
            pid,
            End {
                at,
                status,
                seen: true,
            },
        );
    }

    fn end_unseen(&mut self, at: Nanos, pid: Pid) {
        self.counts.unseen_ends += 1;
        self.end(
            pid,
            End {
                at,
                status: None,
                seen: false,
            },
        );
    }

    fn end(&mut self, pid: Pid, end: End) {
        let Some(id) = self.alive.remove(&pid) else {
            return;
        };
        if let Some(node) = self.nodes.get_mut(&id) {
            node.end = Some(end);
            self.note_ended(id);
        }
    }

    /// The living process of this number; where nobody saw it made, it is a node from now on.
    fn node(&mut self, at: Nanos, pid: Pid) -> &mut Node {
        let id = self.alive.get(&pid).copied().unwrap_or_else(|| {
            self.counts.unseen_forks += 1;
            let id = NodeId { pid, forked: at };
            self.insert(Node::new(id, None, None))
        });
        self.nodes
            .entry(id)
            .or_insert_with(|| Node::new(id, None, None))
    }

    fn insert(&mut self, mut node: Node) -> NodeId {
        // Two forks of one number in one nanosecond cannot be; events that say so are kept apart all the same.
        while self.nodes.contains_key(&node.id) {
            node.id.forked += Nanos(1);
        }
        let id = node.id;
        if let Some(parent) = node.parent.and_then(|parent| self.nodes.get_mut(&parent)) {
            parent.children += 1;
        }
        self.counts.processes += 1;
        self.nodes.insert(id, node);
        self.alive.insert(id.pid, id);
        self.counts.most_alive = self.counts.most_alive.max(self.alive.len());
        id
    }
}

#[cfg(test)]
mod tests;
