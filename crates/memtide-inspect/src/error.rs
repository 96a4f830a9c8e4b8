//! The one error of this crate.

/// What kind of failure it was; what a caller decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The process has ended, or become another program while it was read.
    Gone,
    /// The kernel does not let this user read its memory; the message says what is missing and the
    /// command that gives it.
    Denied,
    /// No glibc malloc in this process: another allocator, a runtime with a heap of its own, or none.
    NoHeap,
    /// A process that cannot be read by this build: another word size.
    Unsupported,
    /// Any other error of the system.
    Io,
}

/// Why the heap could not be read: a lowercase fragment that names the process and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    kind: ErrorKind,
    text: String,
}

impl Error {
    /// With its message.
    pub(crate) const fn new(kind: ErrorKind, text: String) -> Self {
        Self { kind, text }
    }

    /// What kind of failure it was.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}
