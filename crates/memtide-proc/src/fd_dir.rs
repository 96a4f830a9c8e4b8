//! A process's open descriptors: how many, and what they are.

use crate::buffer::Buffer;
use crate::error::{Error, Subject};
use crate::file_status::FileStatus;
use crate::listing::Listing;
use crate::parse::fd::FdKind;
use crate::process::{DecimalName, read_link};
use crate::root::ProcRoot;
use memtide_model::{Descriptors, Pid};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

/// The magic number of the filesystem of POSIX message queues (`ipc/mqueue.c`).
const MQUEUE_MAGIC: u64 = 0x1980_0202;

/// What the kernel calls the protocol of the socket that descriptor `number` of `pid` is: `TCP`, `UNIX`,
/// `NETLINK`, …, of sockets that are in no table of /proc as well (`sockfs` tells it as an extended
/// attribute, since Linux 3.7). `None` where it was closed, is no socket, or may not be looked at.
pub fn socket_protocol(root: &ProcRoot, pid: Pid, number: u32) -> Option<Vec<u8>> {
    const ATTRIBUTE: &str = "system.sockprotoname";
    let path = root.path().join(format!("{pid}/fd/{number}"));
    let mut name = [0; 64];
    let length = rustix::fs::getxattr(path, ATTRIBUTE, &mut name).ok()?;
    let name = name.get(..length)?;
    Some(name.strip_suffix(b"\0").unwrap_or(name).to_vec())
}

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

    /// Whether descriptor `number` was opened for reading, and for writing: the permissions of its link (proc(5),
    /// `/proc/pid/fd`). `None` where it was closed in the meantime.
    pub fn access(&self, number: u32) -> Option<(bool, bool)> {
        let name = DecimalName::new(number);
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let status = rustix::fs::statat(&self.directory, name.as_c_str(), flags).ok()?;
        let mode = Mode::from_raw_mode(status.st_mode);
        Some((mode.contains(Mode::RUSR), mode.contains(Mode::WUSR)))
    }

    /// What descriptor `number` leads to; `None` where it was closed in the meantime.
    ///
    /// # Errors
    /// Where it is denied.
    pub fn status(&self, number: u32) -> Result<Option<FileStatus>, Error> {
        let name = DecimalName::new(number);
        match FileStatus::read(&self.directory, name.as_c_str(), AtFlags::empty()) {
            Ok(status) => Ok(Some(status)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error(errno)),
        }
    }

    /// True where descriptor `number` is a POSIX message queue: its link looks like that of a file in the
    /// root directory, only its filesystem tells (`MQUEUE_MAGIC`). False where it was closed in the meantime.
    pub fn is_message_queue(&self, number: u32) -> bool {
        let name = DecimalName::new(number);
        // Such a descriptor opens nothing: no device is touched, no pipe waits for its other end.
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat(&self.directory, name.as_c_str(), flags, Mode::empty())
            .and_then(rustix::fs::fstatfs)
            .is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|kind| kind == MQUEUE_MAGIC))
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
