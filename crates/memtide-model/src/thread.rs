//! Threads of the target.

use crate::ids::ThreadId;
use std::sync::Arc;

/// A thread at one tick (proc(5), `task/TID/stat`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadState {
    /// Which thread.
    pub id: ThreadId,
    /// Its name (`comm`), unprintable bytes escaped as `\xNN`.
    pub name: Arc<str>,
    /// Its state letter: R, S, D, T, Z, ….
    pub state: u8,
    /// Minor faults since it started: pages that it touched first. Field 10.
    pub min_flt: u64,
    /// Major faults since it started. Field 12.
    pub maj_flt: u64,
    /// CPU time, user and system, in clock ticks. Fields 14 and 15.
    pub cpu_ticks: u64,
    /// The kernel function it sleeps in, where the kernel tells (`task/TID/wchan`) and it was read.
    pub wchan: Option<Arc<str>>,
}
