//! Open descriptors: how many at every tick where the kernel counts them, by kind within the budget.

use memtide_model::Descriptors;
use memtide_proc::{Buffer, Error, ErrorKind, FdDir, Listing, ProcessDir};

/// The kept directory and the last count by kind.
#[derive(Debug)]
pub(crate) struct Fds {
    directory: Option<FdDir>,
    last: Option<Descriptors>,
}

impl Fds {
    pub(crate) fn open(process: &ProcessDir) -> Result<Self, Error> {
        let directory = match process.descriptors() {
            Ok(directory) => Some(directory),
            Err(error) if error.kind() == ErrorKind::Denied => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            directory,
            last: None,
        })
    }

    /// The last count by kind.
    pub(crate) fn last(&self) -> Option<Descriptors> {
        self.last
    }

    /// Brings the total up to date: one fstat(2), since Linux 6.2. False where that is not there.
    pub(crate) fn count(&mut self) -> bool {
        let counted = self
            .directory
            .as_ref()
            .and_then(|directory| directory.count().ok()?);
        if let (Some(total), Some(last)) = (counted, &mut self.last) {
            last.total = total;
        }
        counted.is_some()
    }

    /// Counts by kind: a readlink(2) each.
    pub(crate) fn read(&mut self, listing: &mut Listing, buffer: &mut Buffer) -> Result<(), Error> {
        if let Some(directory) = &self.directory {
            self.last = Some(directory.by_kind(listing, buffer)?);
        }
        Ok(())
    }
}
