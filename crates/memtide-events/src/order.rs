//! Records of several processors, in the order of time.
//!
//! Every processor has a ring of its own, and a record appears in it a little after the time that it bears.
//! So what is read is held back for [`HOLD`] and only then given out, sorted. A record that comes later
//! than that (a virtual processor that was stopped in between) is counted, and given out with the next
//! batch: nothing is dropped.

use crate::event::TreeEvent;
use memtide_model::Nanos;

/// How long a record is held back. The kernel writes a record with preemption switched off, within
/// microseconds; what remains is a hypervisor that takes the processor away, for some milliseconds.
pub(crate) const HOLD: Nanos = Nanos(20_000_000);

/// An event, or a thread's part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Of the process. Where `thread` is set: `Fork` is a new thread of it, `Exit` the end of a thread
    /// that is not the first.
    pub(crate) event: TreeEvent,
    /// It concerns a thread that is not the first of its process.
    pub(crate) thread: bool,
}

/// Holds records back until none can come before them.
#[derive(Debug, Default)]
pub(crate) struct Order {
    held: Vec<Record>,
    /// All before this has been given out.
    given: Nanos,
    late: u64,
}

impl Order {
    /// Takes one record.
    pub(crate) fn push(&mut self, record: Record) {
        // What was found in /proc bears the time of its start, which lies before all events.
        let found = matches!(record.event.change, crate::event::Change::Found { .. });
        if record.event.at < self.given && !found {
            self.late += 1;
        }
        self.held.push(record);
    }

    /// Gives out what is older than `until`, in order.
    pub(crate) fn release(&mut self, until: Nanos, out: &mut Vec<Record>) {
        self.given = self.given.max(until);
        self.held
            .sort_by_key(|record| (record.event.at, record.event.change.rank()));
        let count = self.held.partition_point(|record| record.event.at < until);
        out.extend(self.held.drain(..count));
    }

    /// Records that came after later ones had been given out.
    pub(crate) const fn late(&self) -> u64 {
        self.late
    }
}
