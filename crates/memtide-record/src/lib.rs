//! The recording file: one SQLite database that is written tick by tick and read back as
//! [`Observations`](memtide_model::Observations). SQL lives here and nowhere else.
//!
//! ```no_run
//! # fn example(target: &memtide_model::Target, start: &memtide_record::Start,
//! #     ticks: Vec<memtide_model::Tick>) -> memtide_record::Result<()> {
//! use memtide_record::{Reader, Writer};
//! use std::path::Path;
//!
//! let path = Path::new("shop.memtide");
//! let mut writer = Writer::create(path, target, start)?;
//! for tick in &ticks {
//!     writer.tick(tick)?;
//! }
//! writer.finish()?;
//! let observations = Reader::open(path)?.observations(2_000)?;
//! # Ok(()) }
//! ```
//!
//! # One rule: as of
//!
//! A process that does nothing should cost nothing, so values are stored only when they change: a
//! row of a series holds from its tick until the series' next row. `schema.sql` has the tables;
//! its views (`samples`, `classes`, `mappings`, `threads`, `stacks`, `frames`, `stack_points`,
//! `stack_totals`, `heap`, `heap_arenas`, `heap_sizes`, `heap_classes`, `events`) give names, units and joined
//! values to `sqlite3`, DuckDB or pandas.
//!
//! Rows are keyed by the number of the tick, not by its time: two bytes where nanoseconds take
//! eight, in every row. Table `tick` knows the times. Numbers come in order of time and are never
//! given twice, so after thinning the last number is still how many ticks were taken.
//!
//! # Bounded by design
//!
//! Series have one row per tick at most. Of single mappings, threads and call stacks the largest
//! movers are written (32 a second), once a minute all that changed (512 at most, 2,048 of stacks), and
//! the rest as a sum;
//! new names have an allowance in bytes. What is older than an hour is thinned to ten seconds,
//! older than a day to a minute, single mappings and threads to a minute, half an hour and six hours.
//! Measured at 1 Hz (`tests/size.rs`): 0.94 MB for an hour of an ordinary process that grows, 7.6 MB
//! with 10,000 mappings and 1,000 threads that all move, 4.5 MB for a day, 31 MB for a month (97 MB with 10,000 mappings).
//! With call stacks: 1.9 MB for an hour with 2,000 of them, 8.2 MB with 150,000 of which 5,000 move at
//! every tick.
//!
//! Two things are therefore not exact: the machine's and the cgroup's values may be ten seconds or
//! one per cent old, and small movements of single mappings and threads are dated to every tenth
//! second once a recording is older than five minutes. Everything else comes back bit by bit.
//!
//! # Nothing lost
//!
//! One transaction per tick in WAL mode. Killed at any moment, on a full disk, in a read-only place:
//! what was committed opens (see `read/open.rs` for how). A damaged or cut-off file is named as such,
//! and [`Reader::salvage`] gives what is still true of it.
//!
//! # Call stacks
//!
//! Where the preload shim looks, [`Writer::stacks`] follows each tick. A stack gets a row with its
//! frames once it moved enough to be written, or at the end; 65,536 may have one. Frames are nodes
//! that stacks share. Names of places come after the run, by [`store_symbols`], from [`Reader::code`].
//!
//! # The heap from outside
//!
//! Where the heap is read from outside, [`Writer::heap`] follows each look, and
//! [`Writer::heap_unavailable`] says why there is none. Sums and quality are kept of up to 512
//! snapshots; arenas, sizes and classes of the first one, of the first after an exec and of the newest.
//! Measured with full lists (`benches/recording.rs`): 0.34 MB however often is looked, 0.8 ms for a
//! snapshot. Names are the target's: at 4,096 bytes each they can add 2 MB (text and index) per list of classes.
//!
//! # What it refuses to do
//!
//! It computes nothing but medians of buckets, reads no clock (times come with the ticks), never
//! writes over a file, never changes a finished one but for names of places, never one of an older
//! schema, and records one process per file: a tick of another one is an error.
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]
#![expect(clippy::doc_markdown, reason = "SQLite is a name, not code")]

mod bucket;
mod cells;
mod counters;
mod error;
mod heap_cells;
mod names;
mod read;
mod schema;
mod write;

pub use error::{Error, ErrorKind, Result};
pub use names::store_symbols;
pub use read::{Code, Reader};
pub use write::{Clock, Start, Writer};
