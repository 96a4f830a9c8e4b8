//! A process's open descriptors: how many, and what they are.

use crate::buffer::Buffer;
use crate::error::{Error, Subject};
use crate::listing::Listing;
use crate::parse::fd::FdKind;
use crate::process::{DecimalName, read_link};
use memtide_model::{Descriptors, Pid};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

/// The directory `fd` of a process, kept open.
#[derive(Debug)]
pub struct FdDir {
    directory: OwnedFd,
    pid: Pid,
    counts: bool,
}

impl FdDir {
    pub(crate) const fn new(directory: OwnedFd, pid: Pid, counts: bool) -> Self {
        Self {
            directory,
            pid,
            counts,
        }
    }

    /// How many descriptors are open, by one `fstat`; `None` on kernels before 6.2, where they must
    /// be listed ([`Self::for_each`]).
    ///
    /// # Errors
    /// [`Gone`](crate::ErrorKind::Gone) where the process has ended.
    pub fn count(&self) -> Result<Option<u64>, Error> {
        if !self.counts {
            return Ok(None);
        }
        let status = rustix::fs::fstat(&self.directory).map_err(|errno| self.error(errno))?;
        Ok(u64::try_from(status.st_size).ok())
    }

    /// Calls `each` with the number of every descriptor; returns how many there were.
    ///
    /// # Errors
    /// [`Gone`](crate::ErrorKind::Gone) where the process has ended.
    pub fn for_each(&self, listing: &mut Listing, mut each: impl FnMut(u32)) -> Result<u64, Error> {
        let mut count = 0;
        let read = listing.numbers(&self.directory, |number| {
            count += 1;
            each(number);
        });
        read.map_err(|errno| self.error(errno))?;
        Ok(count)
    }

    /// Where descriptor `number` points; `None` where it was closed in the meantime.
    ///
    /// # Errors
    /// Where the link cannot be read.
    pub fn link<'b>(&self, number: u32, buffer: &'b mut Buffer) -> Result<Option<&'b [u8]>, Error> {
        match read_link(&self.directory, DecimalName::new(number).as_c_str(), buffer) {
            Ok(link) => Ok(Some(link)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error(errno)),
        }
    }

    /// Counts all descriptors by kind: a readlink each, about 1 µs.
    ///
    /// # Errors
    /// [`Gone`](crate::ErrorKind::Gone) where the process has ended. Descriptors that were closed in
    /// the meantime are in no group, and not in the total.
    pub fn by_kind(
        &self,
        listing: &mut Listing,
        buffer: &mut Buffer,
    ) -> Result<Descriptors, Error> {
        let mut counts = Descriptors::default();
        let mut failed = None;
        self.for_each(listing, |number| match self.link(number, buffer) {
            Ok(Some(link)) => {
                counts.total += 1;
                FdKind::of_link(link).count_in(&mut counts);
            }
            Ok(None) => {}
            Err(error) => failed = Some(error),
        })?;
        failed.map_or(Ok(counts), Err)
    }

    /// The kernel lists the descriptors of a process that has ended as a missing directory.
    fn error(&self, errno: Errno) -> Error {
        let subject = Subject::Process(self.pid);
        match errno {
            Errno::NOENT => Error::gone("fd", subject),
            _ => Error::system("fd", subject, errno),
        }
    }
}
