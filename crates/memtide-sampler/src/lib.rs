//! The /proc lens: what is read of a process, when, and at which cost.
//!
//! A [`Sampler`] holds one process by (pid, start time) and yields a [`memtide_model::Tick`] each time
//! it is asked. It reads from outside only: it never stops, signals or changes the target. What each
//! read costs is measured and decides how often it is done ([`budget`]).
//!
//! It refuses to judge: no trends, no verdicts. It knows nothing of the recording.
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

mod address_space;
mod basics;
pub mod budget;
mod classify;
pub mod doctor;
mod environment;
mod error;
mod family;
mod held;
mod host;
mod life;
mod own;
mod sampler;
mod schedule;
mod software;
mod spaces;
mod target;
mod threads;
mod tree;

pub use error::{Error, ErrorKind};
pub use family::{Found, matching};
pub use memtide_proc::clock;
pub use sampler::{Options, Outcome, Sampler};
pub use schedule::Schedule;
pub use tree::{Lineage, TreeSampler};
