//! Keeping the tree small: a million short-lived processes must not take a gigabyte.
//!
//! At most [`Tree::ENDED`] (or as many as were asked for) processes that have ended stay nodes. Beyond that the one that ended
//! first and has no children among the nodes becomes a count of its parent, by name. Where all that ended
//! have children (a process that forks and ends, again and again), the first of them is taken out; its children keep
//! its identity as their parent's, but no node answers to it.

use super::{Node, NodeId, Tree};
use std::collections::VecDeque;

/// Who may be folded, in the order in which they became so.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended {
    /// Nodes that have ended.
    count: usize,
    /// Without children among the nodes; may name nodes that are gone.
    leaves: VecDeque<NodeId>,
    /// With children when they ended; may name nodes that are gone or are leaves by now.
    inner: VecDeque<NodeId>,
}

impl Tree {
    /// `id` has ended.
    pub(super) fn note_ended(&mut self, id: NodeId) {
        let is_leaf = self.nodes.get(&id).is_some_and(|node| node.children == 0);
        self.ended.count += 1;
        if is_leaf {
            self.ended.leaves.push_back(id);
        } else {
            self.ended.inner.push_back(id);
        }
        while self.ended.count > self.most_ended {
            let next = self.ended.leaves.pop_front();
            let Some(id) = next.or_else(|| self.ended.inner.pop_front()) else {
                return;
            };
            self.fold(id);
        }
        self.forget_stale_entries();
    }

    fn fold(&mut self, id: NodeId) {
        if self.nodes.get(&id).is_none_or(Node::is_alive) {
            return;
        }
        let Some(node) = self.nodes.remove(&id) else {
            return;
        };
        self.ended.count -= 1;
        self.counts.folded += 1;
        let parent = node.parent.and_then(|parent| self.nodes.get_mut(&parent));
        let Some(parent) = parent else {
            self.folded.take(&node);
            return;
        };
        parent.folded.take(&node);
        parent.children = parent.children.saturating_sub(1);
        if parent.children == 0 && !parent.is_alive() {
            let parent = parent.id;
            self.ended.leaves.push_back(parent);
        }
    }

    /// Nodes that became leaves and were folded are still named among the inner ones.
    fn forget_stale_entries(&mut self) {
        if self.ended.inner.len() > self.most_ended.max(1024).saturating_mul(2) {
            let nodes = &self.nodes;
            self.ended.inner.retain(|id| nodes.contains_key(id));
        }
    }
}
