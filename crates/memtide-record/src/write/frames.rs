//! The frames of stacks: chains of callers that share their outer ends.
//!
//! A node is a place and the node of its caller, so 20,000 stacks of 40 frames are some 60,000 nodes
//! and not 800,000. All nodes are in memory from when a stack is first seen; a node, its place and
//! their modules get rows only once a stack with them does. What has a row gets it behind the row
//! of its caller, mostly right behind: then its `up` is one, which costs no byte.

use memtide_model::{CodeModule, CodeModuleId, CodePlace};
use rusqlite::{Connection, Result, params};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Modules beyond these are not told apart: stacks with a frame in one have no row of their own.
const MODULES: usize = 65_536;

/// A frame in memory; node 0 is no frame but the caller of every outermost one.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeId(u32);

impl NodeId {
    const NONE: Self = Self(0);
}

#[derive(Clone, Copy, Debug)]
struct Node {
    caller: u32,
    place: u32,
    /// Its row in table `node`; 0 while it has none.
    row: u32,
}

/// Numbers by what they are of. The standard hash takes most of a tick with 20,000 new stacks of 40
/// frames; this one multiplies once per number (as in wyhash) and folds the two halves together.
type Numbers<K> = HashMap<K, u32, BuildHasherDefault<Fold>>;

#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves are what is wanted"
    )]
    fn write_u64(&mut self, number: u64) {
        let wide = u128::from(self.0 ^ number ^ 0xa076_1d64_78bd_642f) * 0xe703_7ed1_a0b4_28db;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number.cast_unsigned() as u64);
    }
}

/// How many rows there are of each kind.
#[derive(Clone, Copy, Debug, Default)]
struct Rows {
    modules: usize,
    places: u32,
    nodes: u32,
}

/// All frames that were ever seen.
#[derive(Debug)]
pub(super) struct Frames {
    modules: Vec<CodeModule>,
    /// Each place and its row in table `place`; 0 while it has none.
    places: Vec<(CodePlace, u32)>,
    place_numbers: Numbers<CodePlace>,
    nodes: Vec<Node>,
    /// By caller and place.
    node_numbers: Numbers<(u32, u32)>,
    /// The frames of the last stack, outermost first: the next one shares most of them.
    last: Vec<(CodePlace, u32)>,
    rows: Rows,
    committed: Rows,
}

impl Frames {
    pub(super) fn new() -> Self {
        let root = Node {
            caller: 0,
            place: 0,
            row: 0,
        };
        Self {
            modules: Vec::new(),
            places: Vec::new(),
            place_numbers: Numbers::default(),
            nodes: vec![root],
            node_numbers: Numbers::default(),
            last: Vec::new(),
            rows: Rows::default(),
            committed: Rows::default(),
        }
    }

    pub(super) fn add_modules(&mut self, modules: &[CodeModule]) {
        let room = MODULES.saturating_sub(self.modules.len());
        self.modules.extend(modules.iter().take(room).cloned());
    }

    /// The node of a stack's innermost frame; `None` where it is in a module that is not known.
    pub(super) fn add(&mut self, frames: &[CodePlace]) -> Option<NodeId> {
        let known = self.modules.len();
        let is_known = |id: CodeModuleId| usize::try_from(id.0).is_ok_and(|number| number < known);
        if !frames.iter().all(|place| place.module.is_none_or(is_known)) {
            return None;
        }
        let outermost = || frames.iter().rev();
        let same = |(new, (old, _)): &(&CodePlace, &(CodePlace, u32))| *new == old;
        let shared = outermost().zip(&self.last).take_while(same).count();
        self.last.truncate(shared);
        let mut caller = self.last.last().map_or(NodeId::NONE.0, |(_, node)| *node);
        for place in outermost().skip(shared) {
            let number = self.place(*place)?;
            let next = u32::try_from(self.nodes.len()).ok()?;
            let node = *self.node_numbers.entry((caller, number)).or_insert(next);
            if node == next {
                self.nodes.push(Node {
                    caller,
                    place: number,
                    row: 0,
                });
            }
            self.last.push((*place, node));
            caller = node;
        }
        Some(NodeId(caller))
    }

    fn place(&mut self, place: CodePlace) -> Option<u32> {
        let next = u32::try_from(self.places.len()).ok()?;
        let number = *self.place_numbers.entry(place).or_insert(next);
        if number == next {
            self.places.push((place, 0));
        }
        Some(number)
    }

    /// Rows of nodes in the file.
    pub(super) fn stored(&self) -> u32 {
        self.rows.nodes
    }

    /// Gives rows to a node and to its callers, as far as they have none. Returns the node's; 0 for
    /// a stack without frames.
    pub(super) fn store(&mut self, file: &Connection, leaf: NodeId) -> Result<u32> {
        self.store_modules(file)?;
        let mut missing = Vec::new();
        let mut number = leaf.0;
        let mut caller_row = 0;
        while number != NodeId::NONE.0
            && let Some(node) = self.nodes.get(number as usize)
        {
            if node.row != 0 {
                caller_row = node.row;
                break;
            }
            missing.push(number);
            number = node.caller;
        }
        for number in missing.into_iter().rev() {
            let place = self.nodes.get(number as usize).map_or(0, |node| node.place);
            let place = self.store_place(file, place)?;
            let row = self.rows.nodes + 1;
            file.prepare_cached("INSERT INTO node VALUES (?,?,?)")?
                .execute([row, row - caller_row, place])?;
            self.rows.nodes = row;
            if let Some(node) = self.nodes.get_mut(number as usize) {
                node.row = row;
            }
            caller_row = row;
        }
        Ok(caller_row)
    }

    fn store_place(&mut self, file: &Connection, number: u32) -> Result<u32> {
        let Some((place, row)) = self.places.get_mut(number as usize) else {
            return Ok(0);
        };
        if *row == 0 {
            let next = self.rows.places + 1;
            file.prepare_cached("INSERT INTO place VALUES (?,?,?)")?
                .execute(params![
                    next,
                    place.module.map(|module| module.0),
                    place.address.cast_signed()
                ])?;
            self.rows.places = next;
            *row = next;
        }
        Ok(*row)
    }

    /// Gives rows to all modules: they are few, and their numbers have no holes.
    pub(super) fn store_modules(&mut self, file: &Connection) -> Result<()> {
        for module in self.modules.iter().skip(self.rows.modules) {
            let number = i64::try_from(self.rows.modules).unwrap_or(i64::MAX);
            file.prepare_cached("INSERT INTO module VALUES (?,?,?)")?
                .execute(params![number, &*module.path, module.build_id])?;
            self.rows.modules += 1;
        }
        Ok(())
    }

    /// What has rows has them for good.
    pub(super) fn committed(&mut self) {
        self.committed = self.rows;
    }

    /// What got rows since [`Frames::committed`] has none.
    pub(super) fn forget(&mut self) {
        let Rows { places, nodes, .. } = self.committed;
        self.rows = self.committed;
        for node in self.nodes.iter_mut().filter(|node| node.row > nodes) {
            node.row = 0;
        }
        for (_, row) in self.places.iter_mut().filter(|(_, row)| *row > places) {
            *row = 0;
        }
    }
}
