//! Numbers of whole stacks, by the hash of their path: one look-up for all frames.
//!
//! A row is found by 64 bits of hash over all return addresses, and is taken to be the stack's if these and
//! half of the innermost address are equal. That two stacks of a million share a row by accident has
//! odds of one in 10^16. The nodes of a stack, which are exact, are only looked up when it is new.
//!
//! Look-ups take no lock; one thread at a time may insert. The number is stored last.

use crate::intern::PathHash;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// One row; all zero is empty.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Row {
    path: AtomicU64,
    address: AtomicU32,
    /// The stack's number, plus one.
    number: AtomicU32,
}

#[inline(always)]
fn low(address: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    let low = address as u32;
    low
}

#[inline(always)]
fn first(path: PathHash) -> usize {
    // The upper half of a product depends on all bits of its factors.
    (path.number() >> 32) as usize
}

/// The number of the stack whose innermost address is `address`, if it is known. `rows` must be a power
/// of two in number; in anything else nothing is known.
#[inline(always)]
pub fn find(rows: &[Row], path: PathHash, address: u64) -> Option<u32> {
    let mask = rows.len().wrapping_sub(1);
    let mut index = first(path) & mask;
    loop {
        let row = rows.get(index)?;
        let number = row.number.load(Ordering::Acquire);
        if number == 0 {
            return None;
        }
        if row.path.load(Ordering::Relaxed) == path.number()
            && row.address.load(Ordering::Relaxed) == low(address)
        {
            return Some(number - 1);
        }
        index = (index + 1) & mask;
    }
}

/// Remembers a stack's number, under the inserter's lock. At least one row must stay empty.
pub fn insert(rows: &[Row], path: PathHash, address: u64, number: u32) {
    let mask = rows.len().wrapping_sub(1);
    let places = (0..rows.len()).filter_map(|step| rows.get(first(path).wrapping_add(step) & mask));
    for row in places {
        if row.number.load(Ordering::Relaxed) == 0 {
            row.path.store(path.number(), Ordering::Relaxed);
            row.address.store(low(address), Ordering::Relaxed);
            row.number.store(number.wrapping_add(1), Ordering::Release);
            return;
        }
    }
}

/// Copies all rows into a larger table that nobody else uses yet.
pub fn copy(from: &[Row], into: &[Row]) {
    for row in from {
        let number = row.number.load(Ordering::Acquire);
        if number != 0 {
            let path = PathHash::from_number(row.path.load(Ordering::Relaxed));
            let address = u64::from(row.address.load(Ordering::Relaxed));
            insert(into, path, address, number - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn what_was_remembered_is_found_in_a_larger_table_too() {
        let rows = |count| -> Vec<Row> { (0..count).map(|_| Row::default()).collect() };
        let (small, large) = (rows(256), rows(512));
        let stack = |number: u32| {
            let address = 0x7f00_0000_0000 + u64::from(number % 7);
            (
                PathHash::ROOT.then(u64::from(number)).then(address),
                address,
            )
        };
        for number in 0..200 {
            let (path, address) = stack(number);
            assert_eq!(find(&small, path, address), None);
            insert(&small, path, address, number);
        }
        copy(&small, &large);
        for number in 0..200 {
            let (path, address) = stack(number);
            assert_eq!(find(&small, path, address), Some(number));
            assert_eq!(find(&large, path, address), Some(number));
            assert_eq!(find(&large, path, address + 1), None, "another leaf");
        }
        assert_eq!(find(&[], PathHash::ROOT, 0), None);
    }
}
