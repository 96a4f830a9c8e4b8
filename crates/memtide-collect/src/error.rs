//! What can go wrong for the collector as a whole. What is wrong with one region is no error: it is
//! counted in [`Lost::processes`](memtide_model::Lost::processes).

use std::io;
use std::path::PathBuf;

/// Why regions could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory of the regions cannot be listed.
    #[error("listing the regions in {}", path.display())]
    Directory {
        /// The directory, as it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Of this crate.
pub type Result<T> = std::result::Result<T, Error>;
