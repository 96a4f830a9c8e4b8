//! Processes that take on privileges escape an inherited side-band.
//!
//! When a program runs one that is setuid, or that it may not read, the kernel takes inherited perf events away, right
//! after the exec (`begin_new_exec`), and writes an EXIT record though the process runs on. So of an exit just after an exec
//! /proc is asked: whoever still has memory then has escaped, and it and all that come from it are not seen any more. Its
//! end is looked for from then on. Where it has ended before it could be asked, an exit within [`AT_ONCE`] of the
//! exec, in which no program can have run, counts as well.
//!
//! Side-bands of whole processors are not inherited, and nobody escapes them.

use crate::event::{Change, TreeEvent};
use crate::snapshot::Look;
use memtide_model::{Nanos, Pid, StartTime};
use memtide_proc::clock;
use std::collections::HashMap;

/// No program gets from its exec to its end in this time: it has to be mapped first.
const AT_ONCE: Nanos = Nanos(30_000);
/// The kernel may be interrupted between the exec and what it takes away.
const SOON: Nanos = Nanos(100_000_000);

/// Watches for those who escape.
#[derive(Debug)]
pub(crate) struct Escapes {
    look: Look,
    /// Processes that have done nothing since their exec.
    fresh: HashMap<Pid, Nanos>,
    escaped: Vec<(Pid, StartTime)>,
    count: u64,
}

impl Escapes {
    pub(crate) fn new(look: Look) -> Self {
        Self {
            look,
            fresh: HashMap::new(),
            escaped: Vec::new(),
            count: 0,
        }
    }

    /// Processes that have escaped.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// False where `event` is an end that is none.
    pub(crate) fn is_true(&mut self, event: &TreeEvent) -> bool {
        match event.change {
            Change::Exec { .. } => {
                self.fresh.insert(event.pid, event.at);
            }
            Change::Exit { .. } => {
                if let Some(exec) = self.fresh.remove(&event.pid) {
                    return self.has_ended(event.pid, exec, event.at);
                }
            }
            _ => {
                self.fresh.remove(&event.pid);
            }
        }
        true
    }

    fn has_ended(&mut self, pid: Pid, exec: Nanos, end: Nanos) -> bool {
        let took = end - exec;
        if took > SOON {
            return true;
        }
        let seen = self.look.at(pid);
        // A number that was given to another since has another start.
        let runs_on =
            seen.filter(|seen| seen.has_memory && crate::snapshot::moment(seen.start) <= exec);
        self.count += u64::from(runs_on.is_some() || took <= AT_ONCE);
        self.escaped.extend(runs_on.map(|seen| (pid, seen.start)));
        runs_on.is_none()
    }

    /// Hands over the ends of those that had escaped and are gone now.
    pub(crate) fn ended(&mut self, mut each: impl FnMut(TreeEvent)) {
        let look = &mut self.look;
        self.escaped.retain(|(pid, start)| {
            let seen = look.at(*pid);
            let runs_on = seen.is_some_and(|seen| seen.start == *start && !seen.zombie);
            if !runs_on {
                each(TreeEvent {
                    at: clock::boottime(),
                    pid: *pid,
                    change: Change::Exit {
                        status: seen.and_then(|seen| seen.status),
                        parent: None,
                    },
                });
            }
            runs_on
        });
    }
}
