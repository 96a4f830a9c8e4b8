//! A process's threads: one kept `task/TID/stat` each, read in a sweep.
//!
//! A kept descriptor saves the path look-up, which costs as much as the read. Where descriptors run
//! out, the rest of the threads is opened, read and closed at every sweep; [`Sweep`] tells how many.

use crate::buffer::{Buffer, read_at};
use crate::error::{Error, Subject};
use crate::listing::Listing;
use crate::parse::stat::{self, ThreadStat};
use crate::process::{DecimalName, ProcessDir};
use memtide_model::{Pid, Tid};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The threads of a process with their descriptors, in order of their numbers.
#[derive(Debug)]
pub struct ThreadFiles {
    task: OwnedFd,
    pid: Pid,
    threads: Vec<Thread>,
    /// Numbers of the last listing, kept for its memory.
    listed: Vec<Tid>,
    /// Descriptors have run out; nothing more is kept until some were freed.
    exhausted: bool,
}

#[derive(Debug)]
struct Thread {
    tid: Tid,
    /// `None`: opened at every sweep.
    stat: Option<OwnedFd>,
    ended: bool,
}

/// What a sweep tells of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadEvent<'a> {
    /// Its state.
    Read(ThreadStat<'a>),
    /// It has ended; it is not in the table any more.
    Ended,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Threads that were read.
    pub read: u64,
    /// Threads that had ended.
    pub ended: u64,
    /// Threads that could be neither read nor said to have ended.
    pub failed: u64,
    /// Of them all, those that have no kept descriptor.
    pub unkept: u64,
}

/// What a refresh found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refresh {
    /// Threads in the listing.
    pub listed: u64,
    /// Of them new.
    pub added: u64,
}

impl ThreadFiles {
    /// Opens the table and fills it once.
    ///
    /// # Errors
    /// As [`ProcessDir::keep`].
    pub fn open(process: &ProcessDir, listing: &mut Listing) -> Result<Self, Error> {
        let mut threads = Self {
            task: process.open_directory("task")?,
            pid: process.pid(),
            threads: Vec::new(),
            listed: Vec::new(),
            exhausted: false,
        };
        threads.refresh(listing)?;
        Ok(threads)
    }

    /// How many threads are in the table.
    pub const fn len(&self) -> usize {
        self.threads.len()
    }

    /// True where the table is empty, as of a process that has ended.
    pub const fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// Lists the threads and opens the new ones. Those that are missing stay until a sweep finds
    /// that they have ended, so that each end is reported once.
    ///
    /// # Errors
    /// [`Gone`](crate::ErrorKind::Gone) where the process has ended.
    pub fn refresh(&mut self, listing: &mut Listing) -> Result<Refresh, Error> {
        self.listed.clear();
        let listed = &mut self.listed;
        let read = listing.numbers(&self.task, |number| listed.push(Tid(number)));
        read.map_err(|errno| match errno {
            Errno::NOENT => Error::gone("task", Subject::Process(self.pid)),
            _ => Error::system("task", Subject::Process(self.pid), errno),
        })?;
        self.listed.sort_unstable();
        let known = self.threads.len();
        let was_exhausted = self.exhausted;
        for &tid in &self.listed {
            let old = self.threads.get(..known).unwrap_or_default();
            if old.binary_search_by_key(&tid, |thread| thread.tid).is_err() {
                let stat = if self.exhausted {
                    Err(Errno::MFILE)
                } else {
                    open_stat(&self.task, tid)
                };
                self.exhausted |= matches!(stat, Err(Errno::MFILE | Errno::NFILE));
                self.threads.push(Thread {
                    tid,
                    stat: stat.ok(),
                    ended: false,
                });
            }
        }
        if self.exhausted && !was_exhausted {
            self.give_back();
        }
        let added = self.threads.len() - known;
        if added > 0 {
            self.threads.sort_unstable_by_key(|thread| thread.tid);
        }
        Ok(Refresh {
            listed: self.listed.len() as u64,
            added: added as u64,
        })
    }

    /// Gives some descriptors back when they have run out: the threads without one need one for a
    /// moment, and so does everything else that this process opens.
    fn give_back(&mut self) {
        let kept = self
            .threads
            .iter_mut()
            .rev()
            .filter(|thread| thread.stat.is_some());
        for thread in kept.take(LEFT_FREE) {
            thread.stat = None;
        }
    }

    /// Reads every thread of the table and calls `each` with what it is, in order of the numbers.
    /// Threads that have ended are reported and taken out.
    #[inline]
    pub fn sweep(
        &mut self,
        buffer: &mut Buffer,
        mut each: impl FnMut(Tid, ThreadEvent<'_>),
    ) -> Result<Sweep, Error> {
        let mut sweep = Sweep::default();
        let space = buffer
            .space_from(0)
            .map_err(|errno| Error::system("task", Subject::Process(self.pid), errno))?;
        // A thread's stat is under 400 bytes.
        let space = space.get_mut(..LONGEST_STAT).unwrap_or_default();
        for thread in &mut self.threads {
            sweep.unkept += u64::from(thread.stat.is_none());
            match read_thread(&self.task, thread, space) {
                Ok(count) => match stat::parse_thread(space.get(..count).unwrap_or_default()) {
                    Ok(stat) => {
                        sweep.read += 1;
                        each(thread.tid, ThreadEvent::Read(stat));
                    }
                    Err(_) => sweep.failed += 1,
                },
                Err(Errno::SRCH | Errno::NOENT) => {
                    thread.ended = true;
                    sweep.ended += 1;
                    each(thread.tid, ThreadEvent::Ended);
                }
                Err(_) => sweep.failed += 1,
            }
        }
        if sweep.ended > 0 {
            self.threads.retain(|thread| !thread.ended);
            self.exhausted = false;
        }
        Ok(sweep)
    }
}

/// Descriptors that are given back when they have run out.
const LEFT_FREE: usize = 16;

/// Fifty-two numbers of at most twenty digits and a name of 64 bytes.
const LONGEST_STAT: usize = 2048;

#[inline]
fn read_thread(task: &OwnedFd, thread: &Thread, space: &mut [u8]) -> Result<usize, Errno> {
    match &thread.stat {
        Some(stat) => read_at(stat, space, 0),
        None => read_at(open_stat(task, thread.tid)?, space, 0),
    }
}

/// Opens `TID/stat` by a path that is put together on the stack.
fn open_stat(task: &OwnedFd, tid: Tid) -> Result<OwnedFd, Errno> {
    let path = DecimalName::with_suffix(tid.0, *b"/stat\0");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(task, path.as_c_str(), flags, Mode::empty())
}
