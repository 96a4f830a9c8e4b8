//! The one error of this crate: which source, and what went wrong. Remedies are the binary's.

use std::io;

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The kernel or the file's mode does not let this user read it.
    Denied,
    /// It is not there.
    Missing,
    /// Any other failure.
    Io,
}

/// A source that could not be read. The message is a lowercase fragment.
#[derive(Debug, thiserror::Error)]
#[error("reading {what}: {source}")]
pub struct Error {
    what: String,
    source: io::Error,
}

impl Error {
    pub(crate) fn new(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self {
            what: what.into(),
            source: source.into(),
        }
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        match self.source.kind() {
            io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            io::ErrorKind::NotFound => ErrorKind::Missing,
            _ => ErrorKind::Io,
        }
    }
}
