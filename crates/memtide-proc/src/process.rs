//! One process's directory, kept open, and the files in it.
//!
//! A kept descriptor belongs to the process, not to its number: when the process has ended, reads
//! fail with [`ErrorKind::Gone`](crate::ErrorKind) even if the number was given to another.

use crate::buffer::Buffer;
use crate::error::{Error, Subject};
use crate::fd_dir::FdDir;
use crate::listing::Listing;
use crate::root::{DIRECTORY, ProcRoot};
use memtide_model::{Pid, Tid};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

/// A process's directory.
#[derive(Debug)]
pub struct ProcessDir {
    directory: OwnedFd,
    pid: Pid,
    counts_descriptors: bool,
}

/// Files that the kernel prints as one record and hands out in one read, so that the read that would
/// find the end can be saved. Others (`smaps`, `maps`, `mountinfo`) come a page at a time.
const ONE_RECORD: [&str; 8] = [
    "stat",
    "statm",
    "status",
    "smaps_rollup",
    "meminfo",
    "oom_score",
    "wchan",
    "comm",
];

impl ProcessDir {
    pub(crate) fn open(root: &ProcRoot, pid: Pid) -> Result<Self, Error> {
        let name = DecimalName::new(pid.0);
        let opened =
            rustix::fs::openat(root.directory(), name.as_c_str(), DIRECTORY, Mode::empty());
        let directory = opened.map_err(|errno| match errno {
            Errno::NOENT => Error::gone("the directory", Subject::Process(pid)),
            _ => Error::system("the directory", Subject::Process(pid), errno),
        })?;
        Ok(Self {
            directory,
            pid,
            counts_descriptors: root.counts_descriptors(),
        })
    }

    /// Whose it is.
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// True while the process is there; a zombie is.
    pub fn is_there(&self) -> bool {
        rustix::fs::statat(&self.directory, "stat", AtFlags::empty()).is_ok()
    }

    /// Keeps `file` open (a name below the directory: `stat`, `task/7/children` is not one).
    ///
    /// # Errors
    /// [`Gone`](crate::ErrorKind::Gone) where the process has ended,
    /// [`Missing`](crate::ErrorKind::Missing) where this kernel has no such file,
    /// [`Denied`](crate::ErrorKind::Denied) where it needs ptrace access.
    pub fn keep(&self, file: &'static str) -> Result<KeptFile, Error> {
        KeptFile::open_at(&self.directory, file, file, Subject::Process(self.pid))
            .map_err(|error| self.gone_or(error))
    }

    /// Reads `file` once.
    ///
    /// # Errors
    /// As [`Self::keep`].
    pub fn read<'b>(&self, file: &'static str, buffer: &'b mut Buffer) -> Result<&'b [u8], Error> {
        self.keep(file)?.read(buffer)
    }

    /// Reads `file` of the thread `tid` once: `children`, `wchan`, `comm`.
    ///
    /// # Errors
    /// As [`Self::keep`]; [`Gone`](crate::ErrorKind::Gone) where only the thread has ended, too.
    pub fn read_of_thread<'b>(
        &self,
        tid: Tid,
        file: &'static str,
        buffer: &'b mut Buffer,
    ) -> Result<&'b [u8], Error> {
        let subject = Subject::Thread(self.pid, tid);
        let thread = self.open_thread(tid)?;
        let opened = KeptFile::open_at(&thread, file, file, subject.clone());
        let kept = opened.map_err(|error| {
            let is_there = rustix::fs::statat(&thread, "stat", AtFlags::empty()).is_ok();
            if is_there {
                error
            } else {
                Error::gone(file, subject)
            }
        })?;
        kept.read(buffer)
    }

    /// Where one of the process's links points: `exe`, `cwd`, `root`. Raw bytes; ` (deleted)` is
    /// part of it.
    ///
    /// # Errors
    /// As [`Self::keep`]. A kernel thread's `exe` is [`Missing`](crate::ErrorKind::Missing).
    pub fn link<'b>(&self, name: &'static str, buffer: &'b mut Buffer) -> Result<&'b [u8], Error> {
        read_link(&self.directory, name, buffer)
            .map_err(|errno| self.gone_or(Error::system(name, Subject::Process(self.pid), errno)))
    }

    /// Calls `each` with every thread that there is at the moment.
    ///
    /// # Errors
    /// As [`Self::keep`].
    pub fn for_each_thread(
        &self,
        listing: &mut Listing,
        mut each: impl FnMut(Tid),
    ) -> Result<(), Error> {
        let task = self.open_directory("task")?;
        listing
            .numbers(&task, |number| each(Tid(number)))
            .map_err(|errno| self.gone_or(Error::system("task", Subject::Process(self.pid), errno)))
    }

    /// Opens the list of the process's descriptors; needs ptrace access.
    ///
    /// # Errors
    /// As [`Self::keep`].
    pub fn descriptors(&self) -> Result<FdDir, Error> {
        let directory = self.open_directory("fd")?;
        Ok(FdDir::new(directory, self.pid, self.counts_descriptors))
    }

    pub(crate) fn open_directory(&self, name: &'static str) -> Result<OwnedFd, Error> {
        rustix::fs::openat(&self.directory, name, DIRECTORY, Mode::empty())
            .map_err(|errno| self.gone_or(Error::system(name, Subject::Process(self.pid), errno)))
    }

    fn open_thread(&self, tid: Tid) -> Result<OwnedFd, Error> {
        let task = self.open_directory("task")?;
        let name = DecimalName::new(tid.0);
        let subject = Subject::Thread(self.pid, tid);
        rustix::fs::openat(&task, name.as_c_str(), DIRECTORY, Mode::empty()).map_err(|errno| {
            match errno {
                Errno::NOENT => Error::gone("the directory", subject),
                _ => Error::system("the directory", subject, errno),
            }
        })
    }

    /// Below a directory whose process has ended the kernel finds no file at all, which looks like a
    /// kernel that has no such file. `stat` is there as long as the process is.
    fn gone_or(&self, error: Error) -> Error {
        let missing = error.kind() == crate::ErrorKind::Missing;
        if missing && !self.is_there() {
            return Error::gone(error.file(), Subject::Process(self.pid));
        }
        error
    }
}

/// A file that stays open; each read starts at its beginning.
#[derive(Debug)]
pub struct KeptFile {
    fd: OwnedFd,
    file: &'static str,
    subject: Subject,
    one_record: bool,
}

impl KeptFile {
    /// Opens the file at `path`; `file` names its kind in errors, `memory.current`.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open(file: &'static str, path: &std::path::Path) -> Result<Self, Error> {
        Self::open_at(rustix::fs::CWD, path, file, Subject::Path(path.to_owned()))
    }

    pub(crate) fn open_at(
        directory: impl AsFd,
        path: impl rustix::path::Arg,
        file: &'static str,
        subject: Subject,
    ) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        match rustix::fs::openat(directory, path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self {
                fd,
                file,
                subject,
                one_record: ONE_RECORD.contains(&file),
            }),
            Err(errno) => Err(Error::system(file, subject, errno)),
        }
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// [`Gone`](crate::ErrorKind::Gone) where the process has ended. Of `smaps_rollup` that is also
    /// said of a process that has become a zombie or has replaced its program since it was opened;
    /// `maps`, `smaps` and `environ` are empty then, and must be opened again.
    #[inline]
    pub fn read<'b>(&self, buffer: &'b mut Buffer) -> Result<&'b [u8], Error> {
        buffer
            .fill(&self.fd, self.one_record)
            .map_err(|errno| Error::system(self.file, self.subject.clone(), errno))
    }

    /// What it was opened as.
    pub const fn name(&self) -> &'static str {
        self.file
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Where the link `name` in `directory` points. A path has at most 4,096 bytes, the kernel's page.
pub(crate) fn read_link(
    directory: impl AsFd,
    name: impl rustix::path::Arg,
    buffer: &mut Buffer,
) -> Result<&[u8], Errno> {
    let count = rustix::fs::readlinkat_raw(directory, name, buffer.space_from(0)?)?;
    Ok(buffer.filled(count))
}

/// A number as the name of a directory entry, put together on the stack.
pub(crate) struct DecimalName {
    bytes: [u8; Self::LENGTH],
    start: usize,
}

impl DecimalName {
    const LENGTH: usize = Self::DIGITS + Self::SUFFIX;
    /// Of a u32.
    const DIGITS: usize = 10;
    /// `/stat` and the NUL.
    const SUFFIX: usize = 6;

    /// The name `number`.
    pub(crate) fn new(number: u32) -> Self {
        Self::with_suffix(number, [0; Self::SUFFIX])
    }

    /// The path of `number` with a suffix that ends with a NUL.
    pub(crate) fn with_suffix(number: u32, suffix: [u8; Self::SUFFIX]) -> Self {
        let mut name = Self {
            bytes: [0; Self::LENGTH],
            start: Self::DIGITS,
        };
        let (digits, end) = name.bytes.split_at_mut(Self::DIGITS);
        end.copy_from_slice(&suffix);
        let mut left = number;
        for byte in digits.iter_mut().rev() {
            *byte = b'0' + u8::try_from(left % 10).unwrap_or(0);
            name.start -= 1;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        name
    }

    pub(crate) fn as_c_str(&self) -> &core::ffi::CStr {
        let bytes = self.bytes.get(self.start..).unwrap_or_default();
        core::ffi::CStr::from_bytes_until_nul(bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_names() {
        for number in [0, 7, 10, 4_194_304, u32::MAX] {
            let name = DecimalName::new(number);
            assert_eq!(name.as_c_str().to_str().unwrap(), number.to_string());
            let path = DecimalName::with_suffix(number, *b"/stat\0");
            assert_eq!(path.as_c_str().to_str().unwrap(), format!("{number}/stat"));
        }
    }
}
