//! The recording file: one SQLite database that is written tick by tick and read back as
//! [`Observations`](memtide_model::Observations).
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]
#![expect(clippy::doc_markdown, reason = "SQLite is a name, not code")]

mod bucket;
mod cells;
mod error;
mod read;
mod schema;
mod write;

pub use error::{Error, ErrorKind, Result};
pub use read::Reader;
pub use write::{Clock, Start, Writer};
