//! The one error of this crate.

use std::io;
use std::path::{Path, PathBuf};

/// What this crate's functions give.
pub type Result<T> = core::result::Result<T, Error>;

/// Why a file could not be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read or unpacked.
    #[error("reading {path}: {cause}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It is no table of numbers with the columns that are needed.
    #[error("{path}, line {line}: {why}", path = path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    pub(crate) fn malformed(path: &Path, line: u64, why: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            line,
            why: why.into(),
        }
    }
}
