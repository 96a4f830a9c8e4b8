//! The shared layout of a region: the file that the preload shim writes and the collector reads.
//!
//! The idea: everything is append-only or has one writer, and a length is stored with release order
//! after what it counts. So a region can be read at any time, also after the writer was killed:
//! whatever lies beyond a length is garbage and is not looked at.
//!
//! ```text
//! header 4 KiB : what is recorded, lengths, the file offsets of the segments of six tables
//! nodes        : {return address, parent, generation}; the parents of a frame are its callers
//! stacks       : node of the innermost frame; only these have counters
//! modules      : {base, length, load bias, generations, build-id, path}
//! threads      : {tid, ...}; one entry per recorder slot; a slot outlives its thread and is used again
//! pages        : {file offset, thread, number}; page n holds stacks 256 n to 256 n + 255
//! ranges       : {address, length} of the shim's private memory in the target
//! counter page : 256 x {allocs, bytes, frees, freed bytes, bytes at peak, peak epoch, sampled allocs,
//!                sampled frees}; written by one thread
//! ```
//! Tables grow by segments that double ([`Table`]), so nothing ever moves. Numbers are
//! little-endian `u64` and `u32` at their natural alignment.
//!
//! The crate refuses to touch files or memory by itself: the shim casts its mapping to the types of
//! [`layout`], the reader asks a [`Source`] for bytes. There is no `unsafe` in it.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

#[cfg(test)]
extern crate std;

pub mod layout;
pub mod reader;
pub mod table;

pub use layout::{Kind, Mode, State};
pub use reader::{Counters, Error, Module, Node, PageEntry, Reader, Source, Summary, Thread};
pub use table::Table;
