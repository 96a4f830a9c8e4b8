//! All threads with their faults, state and CPU; and, more rarely, where they sleep.
//!
//! The directory is listed anew only when the number of threads has changed or one of those known has
//! ended: a thread cannot come without one of the two.

use memtide_model::text::printable;
use memtide_model::{ThreadId, ThreadState, Tid};
use memtide_proc::parse::single::parse_wchan;
use memtide_proc::parse::stat::ThreadStat;
use memtide_proc::{Buffer, Error, Listing, ProcessDir, ThreadEvent, ThreadFiles};
use std::collections::HashMap;
use std::sync::Arc;

/// The kept files and the names.
#[derive(Debug)]
pub(crate) struct Threads {
    files: ThreadFiles,
    known: HashMap<Tid, Known>,
    sweep: u64,
}

#[derive(Debug)]
struct Known {
    id: ThreadId,
    raw_name: Box<[u8]>,
    name: Arc<str>,
    wchan: Option<Arc<str>>,
    seen_in: u64,
}

impl Threads {
    pub(crate) fn open(process: &ProcessDir, listing: &mut Listing) -> Result<Self, Error> {
        let files = ThreadFiles::open(process, listing)?;
        Ok(Self {
            files,
            known: HashMap::new(),
            sweep: 0,
        })
    }

    /// Reads every thread. `expected` is how many there are by `status`.
    pub(crate) fn read(
        &mut self,
        expected: u64,
        listing: &mut Listing,
        buffer: &mut Buffer,
    ) -> Result<Vec<ThreadState>, Error> {
        if self.files.len() as u64 != expected {
            self.files.refresh(listing)?;
        }
        let mut states = Vec::with_capacity(self.files.len());
        let sweep = self.once(buffer, &mut states)?;
        // Where some have ended as many may have come: look who is there now, and read the new ones.
        if sweep.ended > 0 && self.files.refresh(listing)?.added > 0 {
            states.clear();
            self.once(buffer, &mut states)?;
        }
        let last = self.sweep;
        self.known.retain(|_, known| known.seen_in == last);
        Ok(states)
    }

    fn once(
        &mut self,
        buffer: &mut Buffer,
        states: &mut Vec<ThreadState>,
    ) -> Result<memtide_proc::Sweep, Error> {
        self.sweep += 1;
        let (known, sweep) = (&mut self.known, self.sweep);
        self.files.sweep(buffer, |tid, event| {
            if let ThreadEvent::Read(stat) = event {
                states.push(state(known, sweep, tid, &stat));
            }
        })
    }

    /// Notes where each thread sleeps; it stands in the states from the next sweep on.
    pub(crate) fn read_wchan(&mut self, process: &ProcessDir, buffer: &mut Buffer) {
        for (&tid, known) in &mut self.known {
            // A thread that is gone, or a kernel that does not tell: no value.
            let wchan = process.read_of_thread(tid, "wchan", buffer).ok();
            let name = wchan.and_then(parse_wchan).map(printable);
            if known.wchan.as_deref() != name.as_deref() {
                known.wchan = name.map(Into::into);
            }
        }
    }
}

fn state(known: &mut HashMap<Tid, Known>, sweep: u64, tid: Tid, stat: &ThreadStat) -> ThreadState {
    let id = ThreadId {
        tid,
        start: stat.starttime,
    };
    let fresh = || Known {
        id,
        raw_name: stat.comm.into(),
        name: printable(stat.comm).into(),
        wchan: None,
        seen_in: sweep,
    };
    let thread = known.entry(tid).or_insert_with(fresh);
    if thread.id != id || *thread.raw_name != *stat.comm {
        *thread = Known {
            wchan: thread.wchan.take().filter(|_| thread.id == id),
            ..fresh()
        };
    }
    thread.seen_in = sweep;
    ThreadState {
        id,
        name: Arc::clone(&thread.name),
        state: stat.state,
        min_flt: stat.min_flt,
        maj_flt: stat.maj_flt,
        cpu_ticks: stat.utime + stat.stime,
        wchan: thread.wchan.clone(),
    }
}
