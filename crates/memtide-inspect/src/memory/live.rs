//! The memory of a process that runs.

use super::{Mapping, Memory, PageState};
use crate::error::Error;
use crate::target::Target;
use memtide_proc::{Pagemap, RemoteMemory};

/// One address space of a process, with its mappings as they were when this was made.
#[derive(Debug)]
pub(crate) struct Live<'t> {
    target: &'t Target,
    remote: RemoteMemory,
    pagemap: Pagemap,
    mappings: Vec<Mapping>,
}

impl<'t> Live<'t> {
    /// Reads the list of mappings, and opens the states of their pages.
    ///
    /// Errors: `Gone`, `Denied`, `Unsupported` where the kernel does not tell the states of pages.
    pub(crate) fn open(target: &'t Target) -> Result<Self, Error> {
        Ok(Self {
            target,
            remote: RemoteMemory::new(target.pid()),
            pagemap: target.pagemap()?,
            mappings: target.mappings()?,
        })
    }
}

impl Memory for Live<'_> {
    fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    fn read(&self, address: u64, into: &mut [u8]) -> Result<usize, Error> {
        let read = self.remote.read(address, into);
        read.map_err(|error| self.target.explain(&error))
    }

    fn gather(&self, addresses: &[u64], each: usize, into: &mut Vec<u8>) -> Result<(), Error> {
        let gathered = self.remote.gather(addresses, each, into);
        gathered.map_err(|error| self.target.explain(&error))
    }

    fn pages(&self, first: u64, states: &mut [PageState]) -> Result<(), Error> {
        let had = self.pagemap.states(first, states);
        had.map(drop).map_err(|error| self.target.explain(&error))
    }
}
