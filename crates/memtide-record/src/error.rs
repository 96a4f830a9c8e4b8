//! What can go wrong with a recording, as one opaque type with a kind.
//!
//! Messages name the file and what was done to it. Remedies are the command line's business: it
//! adds them once, from the kind.

use std::fmt;
use std::path::Path;

/// An error of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A recording is not written over a file that is already there.
    Exists,
    /// The file or its directory may not be read or written.
    Denied,
    /// No room is left, or a limit on file sizes was reached. What was recorded before is kept.
    Full,
    /// There is no such file.
    NotFound,
    /// The file is something else; the message says what it looks like.
    NotARecording,
    /// A recording whose end is missing. [`Reader::salvage`](crate::Reader::salvage) reads what is
    /// still there.
    Truncated,
    /// A recording with damaged content. [`Reader::salvage`](crate::Reader::salvage) reads what is
    /// still sound.
    Corrupt,
    /// Written by a newer memtide.
    NewerSchema {
        /// The file's schema version.
        found: u32,
        /// The newest that this memtide reads.
        known: u32,
    },
    /// Written by an older memtide, which had no place for what was to be stored.
    OlderSchema {
        /// The file's schema version.
        found: u32,
        /// The oldest that has a place for it.
        needed: u32,
    },
    /// Names are stored after the end of a recording; this one is still being written.
    BeingWritten,
    /// Call stacks, or names of them, for a recording in which the preload shim did not look.
    NoStacks,
    /// A tick of another process than the one that is recorded.
    OtherProcess,
    /// The disk or the file system failed.
    Io,
}

/// Why a recording could not be written or read.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    text: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Which kind, for exit codes and remedies.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            source: None,
        }
    }

    /// With what brought it about.
    pub(crate) fn caused_by(mut self, error: Error) -> Self {
        self.source = Some(Box::new(error));
        self
    }

    /// An error of SQLite while `doing` something to `path`.
    pub(crate) fn sqlite(doing: &str, path: &Path, error: rusqlite::Error) -> Self {
        Self {
            kind: kind_of_sqlite(&error),
            text: format!("{doing} {}", path.display()),
            source: Some(Box::new(error)),
        }
    }

    /// An error of the system while `doing` something to `path`.
    pub(crate) fn system(doing: &str, path: &Path, error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::AlreadyExists => ErrorKind::Exists,
            Io::NotFound | Io::NotADirectory => ErrorKind::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Denied,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::Full,
            _ => ErrorKind::Io,
        };
        Self {
            kind,
            text: format!("{doing} {}", path.display()),
            source: Some(Box::new(error)),
        }
    }
}

/// SQLite's result codes (<https://www.sqlite.org/rescode.html>) as kinds.
fn kind_of_sqlite(error: &rusqlite::Error) -> ErrorKind {
    use rusqlite::ErrorCode;
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        // Everything else that rusqlite reports is a value of an unexpected type or a missing row.
        return ErrorKind::Corrupt;
    };
    match failure.code {
        ErrorCode::DiskFull => ErrorKind::Full,
        ErrorCode::SystemIoFailure if is_write(failure.extended_code) => ErrorKind::Full,
        ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            ErrorKind::Denied
        }
        // A schema without the tables that belong there answers with a plain error.
        ErrorCode::DatabaseCorrupt | ErrorCode::Unknown => ErrorKind::Corrupt,
        ErrorCode::NotADatabase => ErrorKind::NotARecording,
        _ => ErrorKind::Io,
    }
}

/// Failed writes, as opposed to failed reads: past a quota, a limit on file sizes, or no room.
fn is_write(extended: i32) -> bool {
    use rusqlite::ffi;
    [
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_TRUNCATE,
        ffi::SQLITE_IOERR_SHMSIZE,
        ffi::SQLITE_IOERR_SHMMAP,
    ]
    .contains(&extended)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}
