//! The one error of this crate: what was read, of whom, and what went wrong.
//!
//! Nothing here is a remedy: the binary adds those once, from the [`ErrorKind`].

use core::fmt;
use memtide_model::{Pid, Tid};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// What kind of failure it was; what a caller decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The process or thread has ended and was reaped, or there never was one of that number.
    Gone,
    /// The file is not there: this kernel does not have it, or it is switched off.
    Missing,
    /// The kernel does not let this user read it.
    Denied,
    /// This process, or the machine, has no descriptor left.
    DescriptorsExhausted,
    /// The kernel has the file but not this operation on it.
    Unsupported,
    /// The bytes are not what the file's format says.
    Malformed,
    /// Any other error of the system.
    Io,
}

/// A failed read or parse. The message is one lowercase fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    file: &'static str,
    subject: Subject,
    cause: Cause,
}

/// Whose file it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Not known to the place where it failed, or the machine's.
    #[default]
    Machine,
    /// A process's.
    Process(Pid),
    /// A thread's.
    Thread(Pid, Tid),
    /// Named by its path.
    Path(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    System { errno: Errno, gone: bool },
    Malformed { record: u64, why: &'static str },
}

impl Error {
    /// Bytes of `file` that are not what its format says, in its `record`th line or, of smaps,
    /// mapping (from 1; 0 where that has no meaning).
    pub(crate) const fn malformed(file: &'static str, record: u64, why: &'static str) -> Self {
        Self {
            file,
            subject: Subject::Machine,
            cause: Cause::Malformed { record, why },
        }
    }

    /// A system call on `file` that failed.
    pub(crate) const fn system(file: &'static str, subject: Subject, errno: Errno) -> Self {
        Self {
            file,
            subject,
            cause: Cause::System { errno, gone: false },
        }
    }

    /// A system call on a file named by its path.
    pub(crate) fn at_path(what: &'static str, path: &Path, errno: Errno) -> Self {
        Self::system(what, Subject::Path(path.to_owned()), errno)
    }

    /// The process or thread that the file belonged to is no more.
    pub(crate) const fn gone(file: &'static str, subject: Subject) -> Self {
        Self {
            file,
            subject,
            cause: Cause::System {
                errno: Errno::SRCH,
                gone: true,
            },
        }
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        match self.cause {
            Cause::Malformed { .. } => ErrorKind::Malformed,
            Cause::System { gone: true, .. } => ErrorKind::Gone,
            Cause::System { errno, .. } => match errno {
                Errno::SRCH => ErrorKind::Gone,
                Errno::NOENT | Errno::NOTDIR => ErrorKind::Missing,
                Errno::ACCESS | Errno::PERM => ErrorKind::Denied,
                Errno::MFILE | Errno::NFILE => ErrorKind::DescriptorsExhausted,
                Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL => {
                    ErrorKind::Unsupported
                }
                _ => ErrorKind::Io,
            },
        }
    }

    /// The file it was about, as memtide names it.
    pub const fn file(&self) -> &'static str {
        self.file
    }

    /// True where the process or thread is no more.
    pub fn is_gone(&self) -> bool {
        self.kind() == ErrorKind::Gone
    }

    /// The system's error number, where a system call failed.
    pub const fn raw_os_error(&self) -> Option<i32> {
        match self.cause {
            Cause::System { errno, .. } => Some(errno.raw_os_error()),
            Cause::Malformed { .. } => None,
        }
    }

    /// The same error of a process, where only the parser's part was known.
    #[must_use]
    pub fn of_process(self, pid: Pid) -> Self {
        match self.subject {
            Subject::Machine => Self {
                subject: Subject::Process(pid),
                ..self
            },
            _ => self,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file;
        match &self.subject {
            Subject::Machine => write!(f, "reading {file}")?,
            Subject::Process(pid) => write!(f, "reading {file} of pid {pid}")?,
            Subject::Thread(pid, tid) => write!(f, "reading {file} of thread {tid} of pid {pid}")?,
            Subject::Path(path) => write!(f, "reading {file} at {}", path.display())?,
        }
        match self.cause {
            Cause::Malformed { record: 0, why } => write!(f, ": {why}"),
            Cause::Malformed { record, why } => write!(f, ": record {record}: {why}"),
            Cause::System { gone: true, .. } => f.write_str(": it has ended"),
            // `Errno` prints the C library's sentence with the number, which is what people look up.
            Cause::System { errno, .. } => write!(f, ": {errno}"),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_file_the_process_and_the_record() {
        let parsed = Error::malformed("smaps", 30, "start address is not hexadecimal");
        assert_eq!(
            parsed.of_process(Pid(4182)).to_string(),
            "reading smaps of pid 4182: record 30: start address is not hexadecimal"
        );
        let thread = Error::gone("task/TID/stat", Subject::Thread(Pid(7), Tid(9)));
        assert_eq!(
            thread.to_string(),
            "reading task/TID/stat of thread 9 of pid 7: it has ended"
        );
        assert!(thread.is_gone());
    }

    #[test]
    fn kinds_follow_from_the_error_number() {
        for (errno, kind) in [
            (Errno::SRCH, ErrorKind::Gone),
            (Errno::NOENT, ErrorKind::Missing),
            (Errno::ACCESS, ErrorKind::Denied),
            (Errno::PERM, ErrorKind::Denied),
            (Errno::MFILE, ErrorKind::DescriptorsExhausted),
            (Errno::NOTTY, ErrorKind::Unsupported),
            (Errno::IO, ErrorKind::Io),
        ] {
            assert_eq!(Error::system("x", Subject::Machine, errno).kind(), kind);
        }
    }
}
