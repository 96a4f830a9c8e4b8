//! The recording file: one SQLite database that is written tick by tick and read back as
//! [`Observations`](memtide_model::Observations).
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

mod error;
mod reader;
mod writer;

pub use error::{Error, ErrorKind, Result};
pub use reader::Reader;
pub use writer::{Clock, Start, Writer};
