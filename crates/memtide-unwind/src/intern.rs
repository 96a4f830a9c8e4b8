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
#[repr(C)]
#[derive(Debug, Default)]
pub struct Slot {
    address: AtomicU64,
    parent: AtomicU32,
    id: AtomicU32,
}

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

    #[inline]
    const fn position(self) -> u64 {
        (self.0 ^ (self.0 >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32
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
    if !slots.len().is_power_of_two() {
        return Found::NoRoom;
    }
    let mask = slots.len() - 1;
    let first = usize::try_from(path.position()).unwrap_or(0);
    for step in 0..slots.len() {
        let index = first.wrapping_add(step) & mask;
        let Some(slot) = slots.get(index) else {
            break;
        };
        let id = slot.id.load(Ordering::Acquire);
        if id == 0 {
            return Found::Vacant(index);
        }
        if slot.address.load(Ordering::Relaxed) == address
            && slot.parent.load(Ordering::Relaxed) == parent
        {
            return Found::Node(id);
        }
    }
    Found::NoRoom
}

/// Fills the slot that [`find`] called vacant, under the inserter's lock. `id` is not 0.
pub fn insert(slots: &[Slot], index: usize, parent: u32, address: u64, id: u32) {
    if let Some(slot) = slots.get(index) {
        slot.address.store(address, Ordering::Relaxed);
        slot.parent.store(parent, Ordering::Relaxed);
        slot.id.store(id, Ordering::Release);
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
                        insert(&slots, index, parent, address, next_id);
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
    fn a_full_table_has_no_room_and_says_so() {
        let slots: Vec<Slot> = (0..4).map(|_| Slot::default()).collect();
        for id in 1..=4 {
            let address = u64::from(id) * 0x1111;
            let path = PathHash::ROOT.then(address);
            let Found::Vacant(index) = find(&slots, path, 0, address) else {
                panic!("there is room for node {id}");
            };
            insert(&slots, index, 0, address, id);
        }
        let path = PathHash::ROOT.then(7);
        assert_eq!(find(&slots, path, 0, 7), Found::NoRoom);
        assert_eq!(find(&slots[..3], path, 0, 7), Found::NoRoom);
        assert_eq!(find(&[], path, 0, 7), Found::NoRoom);
    }
}
