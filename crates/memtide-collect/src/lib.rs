//! Reads the regions of the preload shim, while the processes run or after them, into observations.
//!
//! Every process writes a region of its own. The idea: a stack is a list of places in files, so the
//! stacks of all processes meet in one table, and a tick says what is new in it and what changed.
//!
//! ```no_run
//! # fn example(target: u32, now: memtide_model::Nanos) -> memtide_collect::Result<()> {
//! let mut collector = memtide_collect::Collector::open("/run/shop-regions".as_ref())?;
//! let tick = collector.tick(now, Some(target))?;
//! for (stack, counters) in &tick.changed {
//!     println!("{stack:?}: {} bytes live", counters.live_bytes());
//! }
//! # Ok(()) }
//! ```
//!
//! # Cost
//! Per tick and region: the header, and a counter page of 16 KiB for every 256 stacks and thread that
//! has counted any of them. Names of stacks are read once. On a Xeon at 2.5 GHz: 0.1 ms for 10,000 stacks of
//! one thread that are quiet, 0.9 ms for 16,384 that all move; `tests/speed.rs` and the example `ticks` measure it.
//!
//! # What it refuses to do
//! It never maps a region (a truncated file would end it), never writes to one, keeps none open, and
//! believes nothing that stands in one: damaged regions give what is still true, and are counted.
#![forbid(unsafe_code)]

mod collector;
mod directory;
mod error;
mod frames;
mod hello;
mod liveness;
mod modules;
mod namespace;
mod region;
mod source;
mod stacks;
mod sums;
mod target;

pub use collector::{Collector, Loaded};
pub use error::{Error, Result};
pub use hello::Hello;
pub use liveness::is_running;
pub use memtide_region::State;
