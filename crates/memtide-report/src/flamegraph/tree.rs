//! Stacks merged into one tree of calls, from the root on.
//!
//! Two frames are the same box where function and module are the same, whatever the line. Children
//! stand after their parents in the list, so sums over a subtree are one walk backwards, without
//! recursion.

use super::What;
use crate::frames::{self, Whose};
use memtide_model::report::{Report, StackRow};
use memtide_model::stacks::{StackEnd, StackKind, StackOwner};
use std::collections::BTreeMap;

/// A function with its callers.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its name as it is shown, not escaped.
    pub(super) label: String,
    /// Its file; empty where it has none.
    pub(super) module: String,
    /// Whose code it is; `None` for what is no frame: the root, the sums.
    pub(super) whose: Option<Whose>,
    /// Bytes of all stacks through it.
    pub(super) bytes: u64,
    /// Their growth; `None` where it is not known.
    pub(super) growth: Option<i64>,
    /// Indices of those that it called, the greatest first.
    pub(super) children: Vec<usize>,
    /// Frames below it.
    pub(super) below: usize,
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// The root is the first.
    pub(super) nodes: Vec<Node>,
    /// True if the numbers are estimates.
    pub(super) estimated: bool,
    /// Bytes that shrank to nothing and therefore have no width.
    pub(super) vanished: u64,
}

/// A stack's bytes, and what it is called from the root on.
pub(super) struct Branch {
    pub(super) bytes: u64,
    pub(super) growth: i64,
    /// Label, module, and whose.
    pub(super) path: Vec<(String, String, Option<Whose>)>,
}

/// Every stack that has bytes in this view, root first.
pub(super) fn branches(report: &Report, what: What) -> Vec<Branch> {
    let rows = report.stacks.iter().flatten();
    rows.filter(|row| what != What::NeverFreed || (row.never_freed && row.suppressed.is_none()))
        .map(|row| Branch {
            bytes: bytes(row, what),
            growth: row.growth_bytes,
            path: path(row, &report.target.exe),
        })
        .collect()
}

/// The width of a stack.
fn bytes(row: &StackRow, what: What) -> u64 {
    match what {
        What::Growth | What::Live | What::NeverFreed => row.live_bytes,
        What::Peak => row.peak_bytes,
    }
}

/// What it is called from the root on, with a box for what the frames do not say.
fn path(row: &StackRow, exe: &str) -> Vec<(String, String, Option<Whose>)> {
    let said = |words: &str| (words.to_owned(), String::new(), None);
    let mut path = Vec::with_capacity(row.frames.len() + 3);
    if row.owner == StackOwner::Others {
        path.push(said("(other processes)"));
    }
    match row.end {
        StackEnd::Root => {}
        StackEnd::Truncated => path.push(said("(deeper than followed)")),
        StackEnd::Foreign => path.push(said("(callers not readable)")),
        StackEnd::Overflow => path.push(said("(stacks not told apart)")),
    }
    for frame in row.frames.iter().rev() {
        let module = frames::module(frame).unwrap_or("").to_owned();
        path.push((
            frames::label(frame),
            module,
            Some(frames::whose(frame, exe)),
        ));
    }
    if row.kind == StackKind::Mapping {
        path.push(("mmap".to_owned(), String::new(), Some(Whose::Runtime)));
    }
    path
}

/// Bytes of the target's stacks that the report does not list.
pub(super) fn unlisted(report: &Report, what: What) -> u64 {
    let Some(sums) = &report.allocations else {
        return 0;
    };
    let all = match what {
        What::Growth | What::Live => sums.live_bytes.saturating_add(sums.mapping_bytes),
        What::Peak => sums.peak_bytes,
        What::NeverFreed => sums
            .never_freed_bytes
            .unwrap_or(0)
            .saturating_sub(sums.suppressed_bytes),
    };
    let listed = report.stacks.iter().flatten().filter(|row| {
        row.owner == StackOwner::Target
            && (what != What::NeverFreed || (row.never_freed && row.suppressed.is_none()))
    });
    let listed = listed.fold(0_u64, |sum, row| sum.saturating_add(bytes(row, what)));
    all.saturating_sub(listed)
}

impl Tree {
    /// The tree of a report; its root has no bytes where there is nothing to show.
    pub(super) fn new(report: &Report, what: What) -> Self {
        let estimated = report
            .stacks
            .iter()
            .flatten()
            .any(|row| row.samples.is_some());
        let mut tree = Self {
            nodes: vec![Node::new("all".to_owned(), String::new(), None)],
            estimated,
            vanished: 0,
        };
        let mut known = BTreeMap::new();
        for branch in branches(report, what) {
            if branch.bytes == 0 && branch.growth < 0 {
                tree.vanished = tree.vanished.saturating_add(branch.growth.unsigned_abs());
            }
            tree.add(&mut known, branch);
        }
        let rest = unlisted(report, what);
        if rest > 0 {
            let label = "(not listed)".to_owned();
            let mut node = Node::new(label, String::new(), None);
            node.bytes = rest;
            node.growth = None;
            tree.nodes.push(node);
            let last = tree.nodes.len() - 1;
            if let Some(root) = tree.nodes.first_mut() {
                root.bytes = root.bytes.saturating_add(rest);
                root.children.push(last);
            }
        }
        tree.count_below();
        tree.sort();
        tree
    }

    fn add(&mut self, known: &mut BTreeMap<(usize, String, String), usize>, branch: Branch) {
        if branch.bytes == 0 {
            return;
        }
        let mut at = 0;
        self.weigh(at, branch.bytes, branch.growth);
        for (label, module, whose) in branch.path {
            let next = self.nodes.len();
            let key = (at, label, module);
            at = if let Some(child) = known.get(&key) {
                *child
            } else {
                self.nodes
                    .push(Node::new(key.1.clone(), key.2.clone(), whose));
                if let Some(parent) = self.nodes.get_mut(at) {
                    parent.children.push(next);
                }
                known.insert(key, next);
                next
            };
            self.weigh(at, branch.bytes, branch.growth);
        }
    }

    fn weigh(&mut self, at: usize, bytes: u64, growth: i64) {
        if let Some(node) = self.nodes.get_mut(at) {
            node.bytes = node.bytes.saturating_add(bytes);
            node.growth = node.growth.map(|sum| sum.saturating_add(growth));
        }
    }

    fn count_below(&mut self) {
        for at in (0..self.nodes.len()).rev() {
            let children = self.nodes.get(at).map_or(&[][..], |node| &node.children);
            let below = children.iter().filter_map(|child| self.nodes.get(*child));
            let below = below.map(|child| child.below + 1).sum();
            if let Some(node) = self.nodes.get_mut(at) {
                node.below = below;
            }
        }
    }

    /// The greatest first, then by name, so that the same report is always the same picture.
    fn sort(&mut self) {
        for at in 0..self.nodes.len() {
            let Some(node) = self.nodes.get_mut(at) else {
                continue;
            };
            let mut children = std::mem::take(&mut node.children);
            children.sort_by(|a, b| {
                let key = |index: &usize| {
                    let node = self.nodes.get(*index);
                    node.map(|node| (std::cmp::Reverse(node.bytes), &node.label, &node.module))
                };
                key(a).cmp(&key(b))
            });
            if let Some(node) = self.nodes.get_mut(at) {
                node.children = children;
            }
        }
    }
}

impl Node {
    const fn new(label: String, module: String, whose: Option<Whose>) -> Self {
        Self {
            label,
            module,
            whose,
            bytes: 0,
            growth: Some(0),
            children: Vec::new(),
            below: 0,
        }
    }
}
