//! All processes that there are at one moment, from /proc: where following begins, and what polling compares.

use crate::error::Error;
use crate::event::{Change, Comm, TreeEvent};
use memtide_model::{Nanos, Pid, StartTime};
use memtide_proc::clock;
use memtide_proc::parse::stat::{self, Stat};
use memtide_proc::{Buffer, Listing, ProcRoot};
use std::collections::{BTreeMap, HashSet};

/// What `stat` said of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) parent: Pid,
    pub(crate) start: StartTime,
    pub(crate) comm: Comm,
    pub(crate) threads: u32,
    /// It has ended and waits for its parent.
    pub(crate) zombie: bool,
    /// It has an address space: false of what has ended, is about to, or is a thread of the kernel.
    pub(crate) has_memory: bool,
    /// Its wait status, of a zombie that may be asked.
    pub(crate) status: Option<i32>,
}

/// When a process started, in the clock of events; rounded down to a clock tick.
pub(crate) fn moment(start: StartTime) -> Nanos {
    let ticks = u128::from(clock::ticks_per_second().max(1));
    let nanos = u128::from(start.0) * 1_000_000_000 / ticks;
    Nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Reads `stat` of processes, with memory that is used again.
#[derive(Debug)]
pub(crate) struct Look {
    proc: ProcRoot,
    page: Buffer,
    listing: Listing,
}

impl Look {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self {
            proc: ProcRoot::system().map_err(|error| Error::system("/proc", error))?,
            page: Buffer::new(),
            listing: Listing::new(),
        })
    }

    /// One process; `None` where there is none.
    pub(crate) fn at(&mut self, pid: Pid) -> Option<Seen> {
        seen(&self.proc, pid, &mut self.page)
    }

    /// All processes. One that vanishes meanwhile is left out.
    pub(crate) fn around(&mut self) -> BTreeMap<Pid, Seen> {
        let mut all = BTreeMap::new();
        let (proc, page) = (&self.proc, &mut self.page);
        // A directory that cannot be read has nobody in it.
        let _ = proc.for_each_stat(&mut self.listing, page, |stat| {
            all.insert(stat.pid, Seen::of(stat));
        });
        all
    }
}

fn seen(proc: &ProcRoot, pid: Pid, page: &mut Buffer) -> Option<Seen> {
    let process = proc.process(pid).ok()?;
    let stat = stat::parse(process.read("stat", page).ok()?).ok()?;
    Some(Seen::of(&stat))
}

impl Seen {
    fn of(stat: &Stat<'_>) -> Self {
        // The first thread of a process may be a zombie while others run.
        let zombie = matches!(stat.state, b'Z' | b'X') && stat.num_threads <= 1;
        Self {
            parent: stat.ppid,
            start: stat.starttime,
            comm: Comm::new(stat.comm),
            threads: u32::try_from(stat.num_threads).unwrap_or(u32::MAX).max(1),
            zombie,
            has_memory: stat.vsize.0 > 0,
            // To a reader without ptrace access it is 0, which is not told from success.
            status: stat.exit_code.filter(|code| zombie && *code != 0),
        }
    }
}

/// That this process was found.
pub(crate) fn found(pid: Pid, seen: &Seen) -> TreeEvent {
    TreeEvent {
        at: moment(seen.start),
        pid,
        change: Change::Found {
            parent: seen.parent,
            comm: seen.comm,
            threads: seen.threads,
        },
    }
}

/// `root` and all that descend from it, as far as the links go: orphans of its tree have another parent by now.
pub(crate) fn descendants(all: &BTreeMap<Pid, Seen>, root: Pid) -> HashSet<Pid> {
    let mut children: BTreeMap<Pid, Vec<Pid>> = BTreeMap::new();
    for (pid, seen) in all {
        children.entry(seen.parent).or_default().push(*pid);
    }
    let mut members = HashSet::new();
    let mut open: Vec<Pid> = all
        .contains_key(&root)
        .then_some(root)
        .into_iter()
        .collect();
    while let Some(pid) = open.pop() {
        if members.insert(pid) {
            open.extend(children.get(&pid).into_iter().flatten());
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_descend_from_the_first_process_and_started_before_now() {
        let mut look = Look::new().unwrap();
        let me = Pid(std::process::id());
        let all = look.around();
        let us = all.get(&me).unwrap();
        assert!(moment(us.start) < clock::boottime());
        let parent = Pid(std::os::unix::process::parent_id());
        assert_eq!(us.parent, parent);
        assert!(descendants(&all, parent).contains(&me));
        assert!(!descendants(&all, me).contains(&parent));
        assert!(descendants(&all, Pid(0)).is_empty(), "there is no pid 0");
    }
}
