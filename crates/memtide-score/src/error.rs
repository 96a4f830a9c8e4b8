//! The one error of this tool.

use std::io;
use std::path::{Path, PathBuf};

/// What this tool's functions give.
pub(crate) type Result<T> = core::result::Result<T, Error>;

/// Why there is no score.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line.
    #[error("{0}; see tests/score --help")]
    Usage(String),
    /// A file or a folder.
    #[error("{doing} {path}: {cause}", path = path.display())]
    File {
        /// "reading", "writing".
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A table that is kept.
    #[error("{doing} {path}: {cause}", path = path.display())]
    Csv {
        /// "reading", "writing".
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        cause: csv::Error,
    },
    /// The manifest, a list, a page or a run that was kept is not as it should be.
    #[error("{path}: {why}", path = path.display())]
    Manifest {
        /// Where it lies.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A series or a log of it.
    #[error(transparent)]
    Series(#[from] memtide_import::Error),
    /// A live run.
    #[error("running {case}: {why}")]
    Run {
        /// Which case.
        case: String,
        /// What went wrong.
        why: String,
    },
}

impl Error {
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::File { doing, path, cause }
    }

    pub(crate) fn csv(doing: &'static str, path: &Path) -> impl Fn(csv::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Csv {
            doing,
            path: path.clone(),
            cause,
        }
    }

    pub(crate) fn run(case: &str, why: &(impl ToString + ?Sized)) -> Self {
        Self::Run {
            case: case.to_owned(),
            why: why.to_string(),
        }
    }
}
