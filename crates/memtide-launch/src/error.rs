//! The one error of this crate: a message with a kind, and the exit code that goes with it.

use std::io;
use std::path::Path;

/// Why a program was not started, or could not have been recorded.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<io::Error>,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No such program: exit code 127.
    ProgramNotFound,
    /// The program is there and cannot be run: exit code 126.
    ProgramNotRunnable,
    /// A shim that was named is not there, is none, or is of another build.
    Shim,
    /// The shim does not load, or does not answer.
    SelfTest,
    /// An allocator or a setting that there is not, a library that cannot be preloaded, or a program
    /// whose allocator cannot be replaced.
    Allocator,
    /// The process that was asked about is still being loaded: ask again.
    NotYet,
    /// A word that says when a service is ready, and cannot be understood.
    Service,
    /// The system refused what memtide itself needs: a folder, a descriptor, a process.
    System,
}

impl ErrorKind {
    /// What `run` ends with, as env(1) does: 127 for a program that is not there, 126 for one that
    /// cannot be run, 125 for a failure of memtide before the program was started.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::ProgramNotFound => 127,
            Self::ProgramNotRunnable => 126,
            Self::Shim
            | Self::SelfTest
            | Self::Allocator
            | Self::NotYet
            | Self::Service
            | Self::System => 125,
        }
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn io(kind: ErrorKind, doing: &str, path: &Path, error: io::Error) -> Self {
        Self {
            kind,
            message: format!("{doing} {}", path.display()),
            source: Some(error),
        }
    }

    pub(crate) fn system(doing: &str, error: impl Into<io::Error>) -> Self {
        Self {
            kind: ErrorKind::System,
            message: doing.to_owned(),
            source: Some(error.into()),
        }
    }

    /// What kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}
