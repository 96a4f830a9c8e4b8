//! An address space that a test makes up.

use super::{Mapping, Memory, PAGE, PageState};
use crate::error::Error;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Mappings with their bytes. All pages are present unless they are said not to be.
#[derive(Debug, Default)]
pub(crate) struct Synthetic {
    mappings: Vec<Mapping>,
    bytes: Vec<Vec<u8>>,
    missing: BTreeSet<u64>,
    /// Words that are others after their page was read once: the process is at work.
    changes: BTreeMap<u64, u64>,
    /// Pages that were read; a test can see that others were left alone.
    pub(crate) touched: RefCell<BTreeSet<u64>>,
}

impl Synthetic {
    /// Adds a mapping at `start`, behind all others.
    pub(crate) fn map(&mut self, start: u64, bytes: Vec<u8>, name: &str) {
        assert!(start.is_multiple_of(PAGE) && (bytes.len() as u64).is_multiple_of(PAGE));
        assert!(self.mappings.last().is_none_or(|last| last.end <= start));
        self.mappings.push(Mapping {
            start,
            end: start + bytes.len() as u64,
            is_readable: true,
            is_writable: true,
            inode: u64::from(name.starts_with('/')),
            name: name.as_bytes().into(),
            ..Mapping::default()
        });
        self.bytes.push(bytes);
    }

    /// Makes the page at `address` one that was never touched.
    pub(crate) fn drop_page(&mut self, address: u64) {
        self.missing.insert(address / PAGE);
    }

    /// Writes a word as soon as its page was read once.
    pub(crate) fn set_after_a_read(&mut self, address: u64, word: u64) {
        self.changes.insert(address, word);
    }

    /// Writes a word.
    pub(crate) fn set(&mut self, address: u64, word: u64) {
        let index = self
            .mappings
            .iter()
            .position(|m| m.contains(address))
            .unwrap();
        let offset = (address - self.mappings[index].start) as usize;
        self.bytes[index][offset..offset + 8].copy_from_slice(&word.to_le_bytes());
    }
}

impl Memory for Synthetic {
    fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    fn read(&self, address: u64, into: &mut [u8]) -> Result<usize, Error> {
        let found = self
            .mappings
            .iter()
            .zip(&self.bytes)
            .find(|(m, _)| m.contains(address));
        let Some((mapping, bytes)) = found else {
            return Ok(0);
        };
        let offset = (address - mapping.start) as usize;
        let count = into.len().min(bytes.len() - offset);
        into[..count].copy_from_slice(&bytes[offset..offset + count]);
        for (&changed, word) in self.changes.range(address..address + count as u64) {
            if self.touched.borrow().contains(&(changed / PAGE)) {
                let at = (changed - address) as usize;
                into[at..at + 8].copy_from_slice(&word.to_le_bytes());
            }
        }
        let pages = address / PAGE..(address + count as u64).div_ceil(PAGE);
        self.touched.borrow_mut().extend(pages);
        Ok(count)
    }

    fn gather(&self, addresses: &[u64], each: usize, into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        into.resize(addresses.len() * each, 0);
        for (part, address) in into.chunks_exact_mut(each).zip(addresses) {
            if self.read(*address, part)? < each {
                part.fill(0);
            }
        }
        Ok(())
    }

    fn pages(&self, first: u64, states: &mut [PageState]) -> Result<(), Error> {
        for (state, page) in states.iter_mut().zip(first..) {
            let is_mapped = self.mappings.iter().any(|m| m.contains(page * PAGE));
            *state = if is_mapped && !self.missing.contains(&page) {
                PageState::Present
            } else {
                PageState::Absent
            };
        }
        Ok(())
    }
}
