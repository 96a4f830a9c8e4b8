//! Stacks from the leaf on, for programs that jump between many of them.
//!
//! Where consecutive stacks share little, nearly every frame is walked anew, and each would be looked up
//! twice: for its rule, and for its number. In the trie a node is a return address reached from the leaf
//! on one path. It has the rule, so that the next return address is found at once, and the children for
//! the addresses that were found there; the node where the stack ends has the stack's number. So a frame
//! costs one node, and nothing is concluded from an earlier walk: every word is read.
//!
//! A walk takes no lock. Nodes are only added, by one thread at a time, and a child is stored before its
//! key. Rules are taken to be constant; who unloads code takes a new trie.

use crate::rule::Rule;
use crate::walk::{Cursor, StackMemory, Stop, step};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Frames that a walk follows; deeper stacks are left to others.
pub const MOST_DEPTH: usize = 512;

/// What a walk needs of a node: half a cache line.
#[repr(C, align(32))]
#[derive(Debug, Default)]
pub struct Node {
    rule: AtomicU32,
    /// The upper half of its address.
    high: AtomicU32,
    /// The number of the stack that ends here; 0 while nobody has asked.
    number: AtomicU32,
    /// How many children are here; the others are in the table. For the inserter.
    children_here: AtomicU32,
    /// The lower halves of two children's addresses.
    keys: [AtomicU32; 2],
    children: [AtomicU32; 2],
}

/// What only the end of a walk needs of a node.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Origin {
    address: AtomicU64,
    parent: AtomicU32,
    reserved: AtomicU32,
}

/// A child that has no place in its parent.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Edge {
    address: AtomicU64,
    parent: AtomicU32,
    child: AtomicU32,
}

/// The memory of a trie. Node 0 stands for no node, and has the leaves as children.
#[derive(Clone, Copy, Debug)]
pub struct Trie<'a> {
    /// As many as there may be nodes.
    pub nodes: &'a [Node],
    /// As many.
    pub origins: &'a [Origin],
    /// A power of two.
    pub edges: &'a [Edge],
}

/// What the inserter knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// Nodes in use, node 0 among them.
    pub nodes: usize,
    /// Edges in use.
    pub edges: usize,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// At the end of the stack, on this node.
    End(u32, Stop),
    /// `address` was never called from there; `parent` is 0 for a leaf. After [`Trie::grow`] the walk
    /// may be tried again.
    New {
        /// The node below which there is none.
        parent: u32,
        /// The return address.
        address: u64,
    },
    /// A signal's frame, or too many frames: somebody else must walk.
    Refused,
}

impl<'a> Trie<'a> {
    /// Walks from `start`, whose slot holds the first return address. All addresses read lie in
    /// `start.slot..end`.
    #[inline(always)]
    pub fn walk(self, memory: &impl StackMemory, start: Cursor, end: u64) -> Reached {
        let mut cursor = start;
        let mut address = memory.word(cursor.slot);
        let mut at = self.edge(0, address);
        if at == 0 {
            return Reached::New { parent: 0, address };
        }
        for _ in 0..MOST_DEPTH {
            let Some(node) = self.nodes.get(at as usize) else {
                return Reached::Refused;
            };
            let rule = Rule::from_bits(node.rule.load(Ordering::Relaxed));
            cursor = match step(memory, cursor, rule, end) {
                Ok(caller) => caller,
                Err(Stop::Signal) => return Reached::Refused,
                Err(stop) => return Reached::End(at, stop),
            };
            address = memory.word(cursor.slot);
            if address == 0 {
                return Reached::End(at, Stop::Root);
            }
            match self.child(at, node, address) {
                0 => {
                    return Reached::New {
                        parent: at,
                        address,
                    };
                }
                child => at = child,
            }
        }
        Reached::Refused
    }

    #[inline(always)]
    fn child(self, at: u32, node: &Node, address: u64) -> u32 {
        let (low, high) = halves(address);
        let [first, second] = &node.keys;
        let place = if first.load(Ordering::Acquire) == low {
            0
        } else if second.load(Ordering::Acquire) == low {
            1
        } else {
            return self.edge(at, address);
        };
        let child = node.children.get(place);
        let child = child.map_or(0, |child| child.load(Ordering::Acquire));
        match self.nodes.get(child as usize) {
            Some(found) if child != 0 && found.high.load(Ordering::Relaxed) == high => child,
            _ => self.edge(at, address),
        }
    }

    /// The child in the table; 0 if it is not there.
    #[inline(never)]
    fn edge(self, parent: u32, address: u64) -> u32 {
        self.place(parent, address)
            .map_or(0, |edge| edge.child.load(Ordering::Acquire))
    }

    /// The edge from `parent` to `address`, or the empty one where it belongs.
    fn place(self, parent: u32, address: u64) -> Option<&'a Edge> {
        let mask = self.edges.len().checked_sub(1)?;
        let mixed = address.wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ u64::from(parent).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let first = usize::try_from(mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).ok()?;
        (0..self.edges.len()).find_map(|step| {
            let edge = self.edges.get(first.wrapping_add(step) & mask)?;
            let found = edge.child.load(Ordering::Acquire);
            let same = edge.address.load(Ordering::Relaxed) == address
                && edge.parent.load(Ordering::Relaxed) == parent;
            (found == 0 || same).then_some(edge)
        })
    }

    /// Adds a node, under the inserter's lock; false where there is no room.
    pub fn grow(self, used: &mut Used, parent: u32, address: u64, rule: Rule) -> bool {
        if self.known(parent, address) {
            return true;
        }
        used.nodes = used.nodes.max(1);
        let (low, high) = halves(address);
        let Ok(child) = u32::try_from(used.nodes) else {
            return false;
        };
        let (Some(node), Some(origin)) = (self.nodes.get(used.nodes), self.origins.get(used.nodes))
        else {
            return false;
        };
        node.rule.store(rule.to_bits(), Ordering::Relaxed);
        node.high.store(high, Ordering::Relaxed);
        origin.address.store(address, Ordering::Relaxed);
        origin.parent.store(parent, Ordering::Relaxed);
        if !self.keep_here(parent, low, child) {
            // A quarter of the table stays free, so that look-ups end soon.
            let room = used.edges * 4 < self.edges.len() * 3;
            let Some(edge) = self.place(parent, address).filter(|_| room) else {
                return false;
            };
            edge.address.store(address, Ordering::Relaxed);
            edge.parent.store(parent, Ordering::Relaxed);
            edge.child.store(child, Ordering::Release);
            used.edges += 1;
        }
        used.nodes += 1;
        true
    }

    fn known(self, parent: u32, address: u64) -> bool {
        let here = self.nodes.get(parent as usize).filter(|_| parent != 0);
        match here {
            Some(node) => self.child(parent, node, address) != 0,
            None => self.edge(parent, address) != 0,
        }
    }

    /// Keeps a child in its parent, where it has a place for it.
    fn keep_here(self, parent: u32, low: u32, child: u32) -> bool {
        let Some(node) = self.nodes.get(parent as usize).filter(|_| parent != 0) else {
            return false;
        };
        let here = node.children_here.load(Ordering::Relaxed);
        let (Some(key), Some(place)) = (
            node.keys.get(here as usize),
            node.children.get(here as usize),
        ) else {
            return false;
        };
        // A key of 0 is none, and two equal ones could not be told apart.
        let taken = node
            .keys
            .iter()
            .any(|key| key.load(Ordering::Relaxed) == low);
        if taken {
            return false;
        }
        place.store(child, Ordering::Release);
        key.store(low, Ordering::Release);
        node.children_here.store(here + 1, Ordering::Relaxed);
        true
    }

    /// The number of the stack that ends on a node; 0 if nobody has set it.
    #[inline(always)]
    pub fn number(self, node: u32) -> u32 {
        let node = self.nodes.get(node as usize);
        node.map_or(0, |node| node.number.load(Ordering::Acquire))
    }

    /// Sets the number of the stack that ends on a node.
    pub fn set_number(self, node: u32, number: u32) {
        if let Some(node) = self.nodes.get(node as usize) {
            node.number.store(number, Ordering::Release);
        }
    }

    /// The return addresses of the stack that ends on a node, root first.
    pub fn addresses(self, node: u32) -> impl Iterator<Item = u64> {
        let mut at = node;
        core::iter::from_fn(move || {
            let origin = self.origins.get(at as usize).filter(|_| at != 0)?;
            at = origin.parent.load(Ordering::Relaxed);
            Some(origin.address.load(Ordering::Relaxed))
        })
    }
}

/// Lower and upper half.
#[inline(always)]
fn halves(address: u64) -> (u32, u32) {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    let low = address as u32;
    (low, (address >> 32) as u32)
}
