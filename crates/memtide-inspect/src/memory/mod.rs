//! Another process's address space: what is mapped, what of it is present, and its bytes.
//!
//! The idea: everything above this module sees a [`Memory`], so that the walker can be run on an
//! address space that a test made up. What it refuses to do: bring in a page. A caller asks
//! [`Memory::pages`] what is present and reads only that; mapped files are the exception, for their
//! pages cost nobody anything.
#![expect(
    clippy::cast_possible_truncation,
    reason = "offsets into buffers; the crate refuses to be built for machines of 32 bits"
)]

mod live;
mod mapping;
mod peek;
mod presence;
#[cfg(test)]
pub(crate) mod synthetic;
mod window;

pub(crate) use live::Live;
pub(crate) use mapping::{Mapping, find};
pub(crate) use memtide_proc::PageState;
pub(crate) use peek::Peek;
pub(crate) use presence::Presence;
pub(crate) use window::{Head, Window};

use crate::error::Error;

/// Bytes of a page. Processes with other pages are refused when they are opened.
pub(crate) const PAGE: u64 = 4096;

/// An address space.
pub(crate) trait Memory {
    /// All mappings, ascending, as they were when this was made.
    fn mappings(&self) -> &[Mapping];

    /// Copies what is at `address`. Returns how many bytes; fewer than asked for where a page is not
    /// mapped or not readable, 0 where the first one is not.
    ///
    /// Errors: `Gone`, `Denied`.
    fn read(&self, address: u64, into: &mut [u8]) -> Result<usize, Error>;

    /// Copies `each` bytes from every address, one after the other; what cannot be read is zeros.
    ///
    /// Errors: `Gone`, `Denied`.
    fn gather(&self, addresses: &[u64], each: usize, into: &mut Vec<u8>) -> Result<(), Error>;

    /// The state of the pages from number `first` (address / [`PAGE`]) on; what is not mapped is
    /// absent.
    ///
    /// Errors: `Gone`, `Denied`.
    fn pages(&self, first: u64, states: &mut [PageState]) -> Result<(), Error>;

    /// The word at `address`, or `None` where it cannot be read.
    fn word(&self, address: u64) -> Result<Option<u64>, Error> {
        let mut bytes = [0; 8];
        let read = self.read(address, &mut bytes)?;
        Ok((read == bytes.len()).then(|| u64::from_le_bytes(bytes)))
    }
}

/// The little-endian word at `offset`, or `None` behind the end.
#[inline]
pub(crate) fn word_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let bytes = bytes.get(offset..offset.checked_add(8)?)?;
    Some(u64::from_le_bytes(*bytes.first_chunk()?))
}
