//! Numbers for stacks: a node is (return address, node of the caller), and a stack is its leaf's node.
//!
//! A probe position is a hash of all return addresses from the root on, not of the caller's number.
//! So the loads of consecutive new frames do not wait for one another, which halves the cost; the
//! caller's number is only compared, which keeps the answer exact.
//!
//! Look-ups take no lock. Only one thread at a time may insert (the shim has a lock for it), into a
//! slot that a look-up under that lock has named; the number is stored last, with release order.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// One slot of a table; all zero is empty.
///
/// Numbers have 24 bits and addresses 48; what is left of their words holds the probe position, so
/// that a table can be copied into a larger one without the paths.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Slot {
    address: AtomicU64,
    parent: AtomicU32,
    id: AtomicU32,
}

const NUMBER: u32 = (1 << 24) - 1;
const ADDRESS: u64 = (1 << 48) - 1;

/// Hash of all return addresses from the root to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathHash(u64);

impl PathHash {
    /// Of no frame at all.
    pub const ROOT: Self = Self(0);

    /// Of the path that is one frame longer.
    #[inline]
    #[must_use]
    pub const fn then(self, address: u64) -> Self {
        Self((self.0.rotate_left(23) ^ address).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// As a number that can be kept.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// From [`Self::number`].
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    #[inline]
    const fn position(self) -> u32 {
        // The upper half of a product depends on all bits of its factors.
        (self.0 >> 32) as u32
    }
}

/// What a slot holds of a node, but for its number.
#[derive(Clone, Copy)]
struct Key {
    position: u32,
    address: u64,
    parent: u32,
}

impl Key {
    #[inline]
    fn new(position: u32, parent: u32, address: u64) -> Self {
        Self {
            position,
            address: address & ADDRESS | u64::from(position) << 48,
            parent: parent & NUMBER | (position >> 16) << 24,
        }
    }
}

impl Slot {
    /// Its node's key and number; `None` if it is empty.
    fn get(&self) -> Option<(Key, u32)> {
        let id = self.id.load(Ordering::Acquire);
        let address = self.address.load(Ordering::Relaxed);
        let parent = self.parent.load(Ordering::Relaxed);
        let low = u32::try_from(address >> 48).unwrap_or(0);
        let position = low | (parent >> 24) << 16 | (id >> 24) << 24;
        let key = Key {
            position,
            address,
            parent,
        };
        (id != 0).then_some((key, id & NUMBER))
    }

    fn set(&self, key: Key, id: u32) {
        self.address.store(key.address, Ordering::Relaxed);
        self.parent.store(key.parent, Ordering::Relaxed);
        let id = id & NUMBER | key.position & !NUMBER;
        self.id.store(id, Ordering::Release);
    }
}

/// What a look-up found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The node's number, not 0.
    Node(u32),
    /// There is none yet; it belongs into the slot with this index.
    Vacant(usize),
    /// There is none, and no room.
    NoRoom,
}

/// Looks for a node. `slots` must be a power of two in number; anything else has no room.
#[inline]
pub fn find(slots: &[Slot], path: PathHash, parent: u32, address: u64) -> Found {
    look(slots, Key::new(path.position(), parent, address))
}

#[inline]
fn look(slots: &[Slot], key: Key) -> Found {
    if !slots.len().is_power_of_two() {
        return Found::NoRoom;
    }
    let mask = slots.len() - 1;
    let first = usize::try_from(key.position).unwrap_or(0);
    for step in 0..slots.len() {
        let index = first.wrapping_add(step) & mask;
        let Some(slot) = slots.get(index) else {
            break;
        };
        let id = slot.id.load(Ordering::Acquire);
        if id == 0 {
            return Found::Vacant(index);
        }
        if slot.address.load(Ordering::Relaxed) == key.address
            && slot.parent.load(Ordering::Relaxed) == key.parent
        {
            return Found::Node(id & NUMBER);
        }
    }
    Found::NoRoom
}

/// Fills the slot that [`find`] called vacant, under the inserter's lock. `id` is not 0 and below 2^24.
pub fn insert(
    slots: &[Slot],
    index: usize,
    (path, parent, address): (PathHash, u32, u64),
    id: u32,
) {
    if let Some(slot) = slots.get(index) {
        slot.set(Key::new(path.position(), parent, address), id);
    }
}

/// Copies all nodes into a larger table that nobody else uses yet.
pub fn copy(from: &[Slot], into: &[Slot]) {
    for (key, id) in from.iter().filter_map(Slot::get) {
        if let Found::Vacant(index) = look(into, key)
            && let Some(slot) = into.get(index)
        {
            slot.set(key, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::vec::Vec;

    #[test]
    fn equal_stacks_and_only_those_have_equal_numbers() {
        let slots: Vec<Slot> = (0..1 << 16).map(|_| Slot::default()).collect();
        let mut oracle: HashMap<Vec<u64>, u32> = HashMap::new();
        let mut random = 9_u64;
        let mut next_id = 1;
        for _ in 0..40_000 {
            let mut stack = Vec::new();
            let (mut path, mut parent) = (PathHash::ROOT, 0);
            for depth in 0..10 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                // Three callees per level: the same address occurs under many callers.
                let address = 0x1000 + (random >> 60) % 3 * 16 + depth % 2;
                stack.push(address);
                path = path.then(address);
                let id = match find(&slots, path, parent, address) {
                    Found::Node(id) => id,
                    Found::Vacant(index) if next_id < 50_000 => {
                        insert(&slots, index, (path, parent, address), next_id);
                        next_id += 1;
                        next_id - 1
                    }
                    _ => break,
                };
                assert_eq!(*oracle.entry(stack.clone()).or_insert(id), id, "{stack:?}");
                parent = id;
            }
        }
        let mut ids: Vec<u32> = oracle.values().copied().collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), oracle.len(), "one number per stack");
        assert!(
            ids.len() > 20_000,
            "the test saw many stacks: {}",
            ids.len()
        );
    }

    #[test]
    fn a_copy_in_a_larger_table_has_the_same_numbers() {
        let small: Vec<Slot> = (0..1 << 8).map(|_| Slot::default()).collect();
        let large: Vec<Slot> = (0..1 << 9).map(|_| Slot::default()).collect();
        let mut nodes = Vec::new();
        for id in 1..200_u32 {
            let address = u64::from(id) * 0x1_2345_6789;
            let (parent, path) = (id / 3, PathHash::ROOT.then(u64::from(id / 3)).then(address));
            let Found::Vacant(index) = find(&small, path, parent, address) else {
                panic!("node {id} is new");
            };
            insert(&small, index, (path, parent, address), id);
            nodes.push((path, parent, address));
        }
        copy(&small, &large);
        for (id, (path, parent, address)) in (1..).zip(nodes) {
            assert_eq!(find(&large, path, parent, address), Found::Node(id));
        }
    }

    #[test]
    fn a_full_table_has_no_room_and_says_so() {
        let slots: Vec<Slot> = (0..4).map(|_| Slot::default()).collect();
        for id in 1..=4 {
            let address = u64::from(id) * 0x1111;
            let path = PathHash::ROOT.then(address);
            let Found::Vacant(index) = find(&slots, path, 0, address) else {
                panic!("there is room for node {id}");
            };
            insert(&slots, index, (path, 0, address), id);
        }
        let path = PathHash::ROOT.then(7);
        assert_eq!(find(&slots, path, 0, 7), Found::NoRoom);
        assert_eq!(find(&slots[..3], path, 0, 7), Found::NoRoom);
        assert_eq!(find(&[], path, 0, 7), Found::NoRoom);
    }
}
