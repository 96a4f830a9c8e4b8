//! How long each process and each thread has been as it is.
//!
//! A course is a handful of numbers that every look brings up to date: since when the state is the same,
//! since when no CPU time was used, who the parent was before it changed. It ends with its process.

use memtide_model::{
    Census, Nanos, Pid, ProcessId, ProcessState, Relative, ThreadAtRest, ThreadId,
};
use std::collections::HashMap;

/// Something that lasts: since which look, and in how many looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lasting {
    pub(super) since: Nanos,
    pub(super) looks: u64,
}

impl Lasting {
    const fn from(since: Nanos) -> Self {
        Self { since, looks: 1 }
    }

    /// One look longer, or from now on anew.
    fn go_on(&mut self, still: bool, now: Nanos) {
        if still {
            self.looks += 1;
        } else {
            *self = Self::from(now);
        }
    }
}

/// One process.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// That it was seen at all.
    pub(super) seen: Lasting,
    /// The same state letter.
    pub(super) state: Lasting,
    /// The same state letter, and no CPU time.
    pub(super) idle: Lasting,
    /// RSS at the first look.
    pub(super) first_rss: u64,
    /// The parent that it had before, if it ever changed.
    pub(super) former: Option<Relative>,
    threads: HashMap<ThreadId, (ThreadAtRest, Lasting)>,
    last_state: char,
    last_cpu: Nanos,
    parent: Pid,
}

impl Course {
    fn start(process: &ProcessState, now: Nanos) -> Self {
        let lasting = Lasting::from(now);
        Self {
            seen: lasting,
            state: lasting,
            idle: lasting,
            first_rss: process.rss.0,
            former: None,
            threads: HashMap::new(),
            last_state: process.state,
            last_cpu: process.cpu,
            parent: process.ppid,
        }
    }

    fn go_on(&mut self, process: &ProcessState, now: Nanos) {
        let same = self.last_state == process.state;
        self.seen.go_on(true, now);
        self.state.go_on(same, now);
        self.idle.go_on(same && self.last_cpu == process.cpu, now);
        self.last_state = process.state;
        self.last_cpu = process.cpu;
    }

    fn look_at_threads(&mut self, process: &ProcessState, now: Nanos) {
        let mut before = std::mem::take(&mut self.threads);
        for thread in &process.each_thread {
            let lasting = match before.remove(&thread.id) {
                Some((last, mut lasting)) => {
                    lasting.go_on(last == *thread, now);
                    lasting
                }
                None => Lasting::from(now),
            };
            self.threads.insert(thread.id, (thread.clone(), lasting));
        }
    }

    /// For how long the thread has been at the same place without using CPU time.
    pub(super) fn thread(&self, id: ThreadId) -> Option<Lasting> {
        self.threads.get(&id).map(|(_, lasting)| *lasting)
    }
}

/// The courses of all processes that were there at the last look.
#[derive(Debug, Default)]
pub(super) struct Courses {
    of: HashMap<ProcessId, Course>,
    looks: u64,
    last: Nanos,
}

impl Courses {
    /// Brings all courses up to date; `before` is the look before this one, where parents that are gone
    /// can still be found.
    pub(super) fn look(&mut self, census: &Census, before: Option<&Census>) {
        let now = census.at;
        self.last = now;
        let mut of = HashMap::with_capacity(census.processes.len());
        for process in census.processes.iter().filter(|process| !process.kernel) {
            let course = match self.of.remove(&process.id) {
                Some(mut course) => {
                    course.go_on(process, now);
                    if course.parent != process.ppid && course.former.is_none() {
                        course.former = Some(relative(course.parent, before));
                    }
                    course.parent = process.ppid;
                    course
                }
                None => Course::start(process, now),
            };
            of.insert(process.id, course);
        }
        for process in &census.processes {
            if let Some(course) = of.get_mut(&process.id) {
                course.look_at_threads(process, now);
            }
        }
        self.of = of;
    }

    pub(super) const fn count_look(&mut self) {
        self.looks += 1;
    }

    pub(super) const fn looks(&self) -> u64 {
        self.looks
    }

    pub(super) fn get(&self, id: ProcessId) -> Option<&Course> {
        self.of.get(&id)
    }

    /// Seconds from `since` to the last look.
    pub(super) fn seconds_since(&self, since: Nanos) -> f64 {
        self.last.seconds_since(since)
    }

    /// True of what lasts: seen in two looks, or in the only one.
    pub(super) const fn lasts(&self, lasting: Lasting) -> bool {
        lasting.looks >= 2 || self.looks <= 1
    }
}

/// Who had that pid in an earlier look; only the number where nobody remembers.
fn relative(pid: Pid, before: Option<&Census>) -> Relative {
    let found = before.and_then(|census| {
        let at = census.processes.binary_search_by_key(&pid, |p| p.id.pid);
        at.ok().and_then(|index| census.processes.get(index))
    });
    found.map_or_else(
        || Relative {
            pid: pid.0,
            name: String::new(),
            cmdline: Vec::new(),
        },
        super::words::relative,
    )
}
