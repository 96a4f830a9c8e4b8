//! Questions to the tree.

use super::{Node, NodeId, TICK, Tree};
use crate::snapshot::moment;
use memtide_model::{Nanos, Pid, ProcessId};
use std::collections::BTreeMap;

/// An engine may tell a fork so much later than it was: ptrace sees it when it is scheduled.
const TOLD_WITHIN: Nanos = Nanos(100_000_000);

/// A living process whose parent has ended.
#[derive(Clone, Copy, Debug)]
pub struct Orphan<'a> {
    /// It.
    pub node: &'a Node,
    /// Who forked it.
    pub parent: NodeId,
    /// The parent's node with its end and name; `None` where it was taken out of the tree since.
    pub dead: Option<&'a Node>,
}

impl Tree {
    /// All nodes, by number and age: those that live, and those that ended and were not folded.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The nodes that live.
    pub fn alive(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|node| node.is_alive())
    }

    /// The node with this identity.
    pub fn get(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// The living process with this number.
    pub fn alive_with(&self, pid: Pid) -> Option<&Node> {
        self.nodes.get(self.alive.get(&pid)?)
    }

    /// The process that had this number at that time.
    pub fn at(&self, pid: Pid, time: Nanos) -> Option<&Node> {
        let first = NodeId {
            pid,
            forked: Nanos(0),
        };
        let last = NodeId { pid, forked: time };
        let (_, node) = self.nodes.range(first..=last).next_back()?;
        node.lived_at(time).then_some(node)
    }

    /// The node of the process that /proc shows with this number and start: that of the last fork which made that
    /// number, at that time. `None` where no fork was told, and for a number that was given to another since.
    pub fn started(&self, id: ProcessId) -> Option<&Node> {
        let start = moment(id.start);
        let node = |forked| NodeId {
            pid: id.pid,
            forked,
        };
        let told = node(start)..=node(start + TICK + TOLD_WITHIN);
        let (_, node) = self.nodes.range(told).next_back()?;
        Some(node)
    }

    /// The children of a node that are nodes.
    pub fn children(&self, of: NodeId) -> impl Iterator<Item = &Node> {
        let is_child = move |node: &&Node| node.parent == Some(of);
        self.nodes.values().filter(is_child)
    }

    /// All that descend from a node and are nodes, parents before their children.
    pub fn descendants(&self, of: NodeId) -> Vec<&Node> {
        let mut children: BTreeMap<NodeId, Vec<&Node>> = BTreeMap::new();
        for node in self.nodes.values() {
            if let Some(parent) = node.parent {
                children.entry(parent).or_default().push(node);
            }
        }
        let mut found = Vec::new();
        let mut open = vec![of];
        while let Some(id) = open.pop() {
            for child in children.remove(&id).unwrap_or_default() {
                open.push(child.id);
                found.push(child);
            }
        }
        found
    }

    /// Living processes whose parent ended while the tree was followed.
    pub fn orphans(&self) -> impl Iterator<Item = Orphan<'_>> {
        self.alive().filter_map(|node| {
            let parent = node.parent?;
            let dead = self.nodes.get(&parent);
            let is_orphan = dead.is_none_or(|parent| !parent.is_alive());
            is_orphan.then_some(Orphan { node, parent, dead })
        })
    }
}
