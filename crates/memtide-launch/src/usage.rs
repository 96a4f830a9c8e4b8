//! What a program used, as the kernel counted it until its end.
//!
//! The idea: when a child is reaped its counts, and those of the children that it waited for, are added
//! to those of our own children (`getrusage(2)`, `RUSAGE_CHILDREN`). So the difference of that sum before
//! and after is what this child used: to the microsecond, where `/proc/PID/stat` counts in hundredths of a
//! second. Whatever else in this crate reaps does so under the same lock. Not seen is what children used
//! that the program left behind.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use std::io;
use std::process::{Child, ExitStatus};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One child is reaped at a time.
static REAPING: Mutex<()> = Mutex::new(());

/// CPU time and page faults of a program and of the children that it waited for, from its start to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time, to the microsecond.
    pub cpu: Duration,
    /// Faults that needed no input or output.
    pub minor_faults: u64,
    /// Faults that did.
    pub major_faults: u64,
}

impl Usage {
    /// Of all children that were reaped so far.
    fn of_children() -> io::Result<Self> {
        let sum = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let cpu = sum.user_time() + sum.system_time();
        let count = |value: i64| u64::try_from(value).unwrap_or_default();
        Ok(Self {
            cpu: Duration::from_micros(count(cpu.num_microseconds())),
            minor_faults: count(sum.minor_page_faults()),
            major_faults: count(sum.major_page_faults()),
        })
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            minor_faults: self.minor_faults.saturating_sub(earlier.minor_faults),
            major_faults: self.major_faults.saturating_sub(earlier.major_faults),
        }
    }
}

/// Reaps a child that has ended; one that runs would hold up all others.
pub(crate) fn of_reaping(child: &mut Child) -> io::Result<(ExitStatus, Usage)> {
    let _alone = REAPING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = Usage::of_children()?;
    let status = child.wait()?;
    Ok((status, Usage::of_children()?.since(before)))
}
