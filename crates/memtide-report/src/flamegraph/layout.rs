//! The tree as boxes: where each begins, how wide it is, what it says.
//!
//! Left and width are shares of the whole, so that every painter and every width draws the same
//! boxes. What is narrower than the threshold is summed up in one `…` box per caller; the threshold
//! is a thousandth and doubles until there are few enough boxes. Of trees deeper than the bound,
//! calls without a branch are drawn as first, `…` and last, and what is still deeper as one `…` box.

use super::What;
use super::color::Fill;
use super::tree::{Node, Tree};
use crate::escape;
use memtide_model::text;

/// The least share that has a box of its own.
const NARROWEST: f64 = 0.001;

/// Calls without a branch that are worth being shortened.
const LONG_CHAIN: usize = 4;

/// A box.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    /// Where it begins, as a share of the whole.
    pub(super) left: f64,
    /// Its share.
    pub(super) width: f64,
    /// Rows above it.
    pub(super) depth: usize,
    /// Its name, not escaped.
    pub(super) label: String,
    /// All that is known of it, not escaped; names are clipped.
    pub(super) title: String,
    pub(super) fill: Fill,
}

/// How many boxes and rows there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) boxes: usize,
    pub(super) depth: usize,
}

/// The boxes, callers before those that they called; none where there are no bytes.
pub(super) fn boxes(tree: &Tree, what: What, bounds: Bounds) -> Vec<Frame> {
    let total = tree.nodes.first().map_or(0, |root| root.bytes);
    if total == 0 {
        return Vec::new();
    }
    let mut walk = Walk {
        tree,
        what,
        total: total as f64,
        narrowest: NARROWEST,
        heights: heights(tree),
        bounds,
        boxes: Vec::new(),
    };
    walk.all();
    // At a share of one only the root and what is folded below it is left: this ends.
    while walk.boxes.len() > bounds.boxes && walk.narrowest < 1.0 {
        walk.narrowest *= 2.0;
        walk.boxes.clear();
        walk.all();
    }
    walk.boxes
}

/// Rows that each node needs with all below it. Children stand after their parents.
fn heights(tree: &Tree) -> Vec<usize> {
    let mut heights = vec![1; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        let below = node.children.iter().filter_map(|child| heights.get(*child));
        let below = below.max().copied().unwrap_or(0);
        if let Some(height) = heights.get_mut(at) {
            *height = below + 1;
        }
    }
    heights
}

struct Walk<'a> {
    tree: &'a Tree,
    what: What,
    total: f64,
    narrowest: f64,
    heights: Vec<usize>,
    bounds: Bounds,
    boxes: Vec<Frame>,
}

impl Walk<'_> {
    fn all(&mut self) {
        let mut due = vec![(0, 0.0, 0)];
        while let Some((at, left, depth)) = due.pop() {
            let Some(node) = self.tree.nodes.get(at) else {
                continue;
            };
            self.boxes.push(self.frame(node, left, depth));
            match self.chain(node, at, depth) {
                Some((last, frames)) if depth + 2 < self.bounds.depth => {
                    let words = format!("{frames} frames, each called by the one above only");
                    self.rest(node.bytes, left, depth + 1, &words);
                    due.push((last, left, depth + 2));
                }
                _ => self.children(node, left, depth + 1, &mut due),
            }
        }
    }

    /// Puts the children beside each other: those that are wide enough are due, the others become
    /// one box.
    fn children(
        &mut self,
        node: &Node,
        left: f64,
        depth: usize,
        due: &mut Vec<(usize, f64, usize)>,
    ) {
        let too_deep = depth + 1 >= self.bounds.depth;
        let mut at = left;
        let mut wide = Vec::new();
        let (mut folded, mut frames) = (0_u64, 0);
        for index in &node.children {
            let Some(child) = self.tree.nodes.get(*index) else {
                continue;
            };
            let share = child.bytes as f64 / self.total;
            if too_deep || share < self.narrowest {
                folded = folded.saturating_add(child.bytes);
                frames += child.below + 1;
            } else {
                wide.push((*index, at, depth));
                at += share;
            }
        }
        // The last one that is due is drawn next: the widest first.
        due.extend(wide.into_iter().rev());
        if folded > 0 {
            let how = if too_deep { "deeper" } else { "narrower" };
            let words = text::plural(frames as u64, &format!("{how} frame"));
            self.rest(folded, at, depth, &words);
        }
    }

    /// The last of a long chain of only children, and how many stand before it.
    /// `None` where all fits without.
    fn chain(&self, node: &Node, at: usize, depth: usize) -> Option<(usize, usize)> {
        if depth + self.heights.get(at)? <= self.bounds.depth {
            return None;
        }
        let (mut node, mut last, mut length) = (node, 0, 0_usize);
        while let [only] = node.children.as_slice() {
            let child = self.tree.nodes.get(*only)?;
            if child.bytes != node.bytes {
                break;
            }
            (node, last, length) = (child, *only, length + 1);
        }
        (length >= LONG_CHAIN).then(|| (last, length - 1))
    }

    fn rest(&mut self, bytes: u64, left: f64, depth: usize, words: &str) {
        self.boxes.push(Frame {
            left,
            width: bytes as f64 / self.total,
            depth,
            label: "…".to_owned(),
            title: format!("{words}: {}", self.size(bytes)),
            fill: Fill::Rest,
        });
    }

    fn frame(&self, node: &Node, left: f64, depth: usize) -> Frame {
        let module = if node.module.is_empty() || node.label.starts_with(&node.module) {
            String::new()
        } else {
            format!(" [{}]", escape::clip(&node.module, 80))
        };
        let mut title = format!(
            "{}{module}: {}",
            escape::clip(&node.label, 300),
            self.size(node.bytes)
        );
        if self.what == What::Growth {
            title.push_str(&change(node.growth));
        }
        let fill = match self.what {
            What::Growth => Fill::growth(node.bytes, node.growth),
            _ => Fill::code(node.whose, &node.label),
        };
        Frame {
            left,
            width: node.bytes as f64 / self.total,
            depth,
            label: node.label.clone(),
            title,
            fill,
        }
    }

    /// "~12.3 MiB, 4.1 % of all".
    fn size(&self, bytes: u64) -> String {
        let about = if self.tree.estimated { "~" } else { "" };
        format!(
            "{about}{}, {:.1} % of all",
            text::bytes(bytes as f64),
            bytes as f64 / self.total * 100.0
        )
    }
}

fn change(growth: Option<i64>) -> String {
    match growth {
        Some(0) => "; neither grew nor shrank".to_owned(),
        Some(growth) => {
            let growth = text::signed_bytes(growth as f64);
            format!("; {growth} over the recording")
        }
        None => "; its growth is not known".to_owned(),
    }
}
