//! Series that others recorded, as the samples and snapshots that memtide would have taken.
//!
//! One format so far: the series of the labelled corpus, a CSV file with a row per sample of `/proc`
//! (`fixtures/corpus/README.md` has its columns), gzipped or not, and beside it a log of what malloc
//! really held.
//!
//! A recording is made of them as of a live process (`memtide import`), or, where only the engine is of
//! interest, observations at once ([`observations`]).
//!
//! What this crate refuses to do: judge, store, or fill holes. A column that a file does not have is a
//! value that is not known; a file that is not of this format is an error that names the line.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod error;

mod columns;
mod observed;
mod series;
mod table;
mod truth;

pub use error::{Error, Result};
pub use observed::{Known, heap_sample, observations};
pub use series::{Series, read_series};
pub use truth::{Held, read_truth};
