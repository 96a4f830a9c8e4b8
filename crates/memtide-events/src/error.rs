//! The one error of this crate.

use std::fmt::Display;

/// What kind of failure it was; what a caller decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// This engine cannot be had here: permission, namespace, kernel. The message names the remedy; another
    /// engine may do.
    Refused,
    /// The process that was to be followed is not there.
    Gone,
    /// Any other error of the system.
    System,
}

/// Why processes cannot be followed: a lowercase fragment that names the engine and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    kind: ErrorKind,
    text: String,
}

impl Error {
    /// An engine that cannot be had, with the reason in words.
    pub(crate) const fn refused(text: String) -> Self {
        Self {
            kind: ErrorKind::Refused,
            text,
        }
    }

    /// The process to follow has ended.
    pub(crate) const fn gone(text: String) -> Self {
        Self {
            kind: ErrorKind::Gone,
            text,
        }
    }

    /// A call of the system that failed: what was tried, and what the system said.
    pub(crate) fn system(what: &str, said: impl Display) -> Self {
        Self {
            kind: ErrorKind::System,
            text: format!("{what}: {said}"),
        }
    }

    /// What kind of failure it was.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}
