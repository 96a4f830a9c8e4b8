//! What can be wrong with a target.

use memtide_model::Pid;
use std::io;

/// A failure of the sampler. Its message is a fragment that names the process and the file; the
/// remedy is the command line's business, by [`Error::kind`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No process has that pid.
    NoSuchProcess,
    /// It exists, but its directory is hidden (`hidepid`).
    Hidden,
    /// It belongs to somebody else: its mappings may not be read.
    Denied,
    /// It is a kernel thread: it has no memory of its own.
    KernelThread,
    /// It has ended and waits to be reaped: its memory is gone.
    Zombie,
    /// No /proc is mounted where it should be.
    NoProc,
    /// Reading failed otherwise.
    Read,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn reading(what: &str, pid: Pid, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            io::ErrorKind::NotFound => ErrorKind::NoSuchProcess,
            _ => ErrorKind::Read,
        };
        Self {
            kind,
            message: format!("reading {what} of pid {pid}"),
            source: Some(source.into()),
        }
    }

    pub(crate) fn of_proc(pid: Pid, source: memtide_proc::Error) -> Self {
        let kind = match source.kind() {
            memtide_proc::ErrorKind::Gone => ErrorKind::NoSuchProcess,
            memtide_proc::ErrorKind::Denied => ErrorKind::Denied,
            _ => ErrorKind::Read,
        };
        Self {
            kind,
            message: format!("watching pid {pid}"),
            source: Some(source.into()),
        }
    }

    /// What kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}
