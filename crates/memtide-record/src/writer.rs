//! Writing a recording (interface; the body follows).

use crate::Result;
use memtide_model::{Bytes, Event, Nanos, ReadCost, Target, Tick};
use std::path::Path;

/// The same moment on three clocks; they drift apart by suspends and by corrections of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// `CLOCK_BOOTTIME`: the clock of every time in a recording.
    pub boottime: Nanos,
    /// `CLOCK_MONOTONIC`: does not count suspends.
    pub monotonic: Nanos,
    /// Wall clock, nanoseconds since 1970 (UTC).
    pub wall: i64,
}

/// Facts about a recording that are known when it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// When.
    pub clock: Clock,
    /// The interval between ticks that was asked for.
    pub interval: Nanos,
    /// System page size.
    pub page_size: Bytes,
    /// Clock ticks per second (`sysconf(_SC_CLK_TCK)`).
    pub ticks_per_second: u64,
    /// Lenses that look: "sampler", "inspect", "shim".
    pub lenses: Vec<String>,
    /// The version of memtide that records.
    pub version: String,
}

/// A recording that is being written. Dropped without [`Writer::finish`] it leaves a file that
/// opens and is marked as not complete.
#[derive(Debug)]
pub struct Writer {}

#[expect(unused_variables, reason = "bodies follow")]
impl Writer {
    /// Creates the file (mode 0600) and its tables. Refuses a file that exists (`Exists`).
    pub fn create(path: &Path, target: &Target, start: &Start) -> Result<Self> {
        todo!()
    }
    /// Stores one tick with its events in one transaction. Call it once per tick; thinning and
    /// checkpoints happen inside, in small steps.
    pub fn tick(&mut self, tick: &Tick) -> Result<()> {
        todo!()
    }
    /// Stores one event between two ticks.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        todo!()
    }
    /// Stores what the recorder cost so far; replaces what was stored before.
    pub fn costs(&mut self, reads: &[ReadCost], cost_cpu: Nanos) -> Result<()> {
        todo!()
    }
    /// Stores a moment on three clocks; once a minute is enough.
    pub fn clock(&mut self, clock: Clock) -> Result<()> {
        todo!()
    }
    /// Stores what the process is now, after it replaced its program.
    pub fn retarget(&mut self, target: &Target, at: Nanos) -> Result<()> {
        todo!()
    }
    /// Ends the recording cleanly: marked complete, one file, no side files.
    pub fn finish(self) -> Result<()> {
        todo!()
    }
}
