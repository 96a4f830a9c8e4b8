//! When a process has ended: with the last of its threads.
//!
//! The kernel reports tasks. The end of the first thread is not that of the process (`pthread_exit` in
//! `main`), and a thread that calls exec takes the number of the first one, which is reported as ended.
//! So processes with more than one thread are counted; all others cost nothing here.

use crate::event::{Change, TreeEvent};
use crate::order::Record;
use memtide_model::Pid;
use std::collections::HashMap;

/// Of a process that has, or had, more than one thread.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Threads beside the first.
    others: u32,
    /// The first has ended.
    first_ended: bool,
}

/// The processes that have several threads.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    counts: HashMap<Pid, Count>,
}

impl Threads {
    /// What `record` says of its process, if anything.
    pub(crate) fn apply(&mut self, record: Record) -> Option<TreeEvent> {
        let event = record.event;
        match (event.change, record.thread) {
            (Change::Found { threads, .. }, _) => {
                if threads > 1 {
                    self.counts.entry(event.pid).or_default().others = threads - 1;
                }
                Some(event)
            }
            (Change::Fork { .. }, true) => {
                self.counts.entry(event.pid).or_default().others += 1;
                None
            }
            (Change::Fork { child }, false) => {
                // A number that is new has no threads of its predecessor.
                self.counts.remove(&child);
                Some(event)
            }
            (Change::Exec { .. }, _) => {
                self.counts.remove(&event.pid);
                Some(event)
            }
            (Change::Exit { .. }, thread) => self.ended(event, thread),
            (Change::Comm(_), true) => None,
            (Change::Comm(_) | Change::Reparent { .. }, _) => Some(event),
        }
    }

    fn ended(&mut self, event: TreeEvent, thread: bool) -> Option<TreeEvent> {
        let Some(count) = self.counts.get_mut(&event.pid) else {
            // A thread that nobody saw begin ends: no end of a process.
            return (!thread).then_some(event);
        };
        if thread {
            count.others = count.others.saturating_sub(1);
        } else {
            count.first_ended = true;
        }
        if count.others > 0 || !count.first_ended {
            return None;
        }
        self.counts.remove(&event.pid);
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::Nanos;

    const PID: Pid = Pid(7);
    const END: Change = Change::Exit {
        status: None,
        parent: None,
    };

    fn apply(threads: &mut Threads, at: u64, change: Change, thread: bool) -> Option<u64> {
        let event = TreeEvent {
            at: Nanos(at),
            pid: PID,
            change,
        };
        threads
            .apply(Record { event, thread })
            .map(|event| event.at.0)
    }

    const NEW: Change = Change::Fork { child: PID };

    #[test]
    fn a_process_ends_with_its_last_thread() {
        let mut threads = Threads::default();
        assert_eq!(apply(&mut threads, 1, NEW, true), None);
        assert_eq!(apply(&mut threads, 2, NEW, true), None);
        assert_eq!(apply(&mut threads, 3, END, false), None, "the first thread");
        assert_eq!(apply(&mut threads, 4, END, true), None);
        assert_eq!(apply(&mut threads, 5, END, true), Some(5));
        assert_eq!(apply(&mut threads, 6, END, false), Some(6), "reused");
    }

    #[test]
    fn a_thread_that_calls_exec_becomes_the_process() {
        let mut threads = Threads::default();
        apply(&mut threads, 1, NEW, true);
        apply(&mut threads, 2, NEW, true);
        // The second thread calls exec: the first and the third end.
        assert_eq!(apply(&mut threads, 3, END, true), None);
        assert_eq!(apply(&mut threads, 4, END, false), None);
        let exec = Change::Exec { comm: None };
        assert_eq!(apply(&mut threads, 5, exec, false), Some(5));
        assert_eq!(apply(&mut threads, 6, END, false), Some(6));
    }
}
