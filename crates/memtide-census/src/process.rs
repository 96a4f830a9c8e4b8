//! One process after the other: `stat`, `status`, `cmdline`, `wchan`, and what else is wanted.
//!
//! All files are opened below one kept directory of the process, which belongs to it and not to its
//! number: what is read together is of one process. If one of the files says that it has ended,
//! nothing of it is kept.

use crate::{Error, Scope, Wanted};
use memtide_model::{
    Bytes, Nanos, Pid, ProcessId, ProcessState, ThreadAtRest, ThreadId, Tid, census, text,
};
use memtide_proc::parse::stat::{self, Stat};
use memtide_proc::parse::{single, smaps, status};
use memtide_proc::{Buffer, ErrorKind, Listing, ProcRoot, ProcessDir, clock};

/// Reads processes.
pub(crate) struct Reader<'r> {
    root: &'r ProcRoot,
    units: Units,
    listing: Listing,
    buffer: Buffer,
}

/// What turns the kernel's counts into spans and bytes.
#[derive(Clone, Copy)]
struct Units {
    now: Nanos,
    ticks_per_second: u64,
    page_size: Bytes,
}

/// What came of it.
pub(crate) enum Outcome {
    /// All of it, and its directory.
    Read(Box<ProcessState>, ProcessDir),
    /// It has ended.
    Vanished,
    /// It is there, and not for this user's eyes.
    Hidden,
    /// It was not asked for.
    OutOfScope,
}

/// How often a process without arguments is read again. Some have none for ever.
const TRIES: u32 = 3;

/// It has ended.
struct Gone;

/// What could be read; `None` where the kernel refuses or has no such file.
type Part<T> = Result<Option<T>, Gone>;

fn part<T>(read: Result<T, memtide_proc::Error>) -> Part<T> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_gone() => Err(Gone),
        Err(_) => Ok(None),
    }
}

impl<'r> Reader<'r> {
    /// A reader for the moment `now`.
    pub(crate) fn new(root: &'r ProcRoot, now: Nanos) -> Self {
        Self {
            root,
            units: Units {
                now,
                ticks_per_second: clock::ticks_per_second(),
                page_size: clock::page_size(),
            },
            listing: Listing::new(),
            buffer: Buffer::new(),
        }
    }

    /// The processes that may be in scope, in order of pids, each once.
    pub(crate) fn pids(&mut self, scope: &Scope) -> Result<Vec<Pid>, Error> {
        let mut pids = Vec::new();
        match scope {
            Scope::Pids(asked) => pids.clone_from(asked),
            Scope::All | Scope::User(_) => {
                self.root
                    .for_each_process(&mut self.listing, |pid| pids.push(pid))?;
            }
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Reads one.
    pub(crate) fn read(&mut self, pid: Pid, wanted: &Wanted) -> Outcome {
        let directory = match self.root.process(pid) {
            Ok(directory) => directory,
            Err(error) if error.kind() == ErrorKind::Denied => return Outcome::Hidden,
            Err(_) => return Outcome::Vanished,
        };
        match self.state(&directory) {
            Ok(Some(mut state)) => {
                let of_other = matches!(wanted.scope, Scope::User(uid) if state.uid != Some(uid));
                if of_other {
                    return Outcome::OutOfScope;
                }
                match self.more(&directory, wanted, &mut state) {
                    Ok(()) => Outcome::Read(Box::new(state), directory),
                    Err(Gone) => Outcome::Vanished,
                }
            }
            Ok(None) => Outcome::Hidden,
            Err(Gone) => Outcome::Vanished,
        }
    }

    /// What every census has; `None` where not even `stat` can be read.
    ///
    /// A process without arguments may be in the middle of exec(2), or have become a zombie while it was
    /// read. It is read again, so that it is told as what it was before or after, not as one half of each.
    fn state(&mut self, directory: &ProcessDir) -> Part<ProcessState> {
        let mut state = self.state_once(directory)?;
        for _ in 0..TRIES {
            let unsure =
                |state: &ProcessState| state.cmdline.is_empty() && crate::has_memory(state);
            if !state.as_ref().is_some_and(unsure) {
                break;
            }
            state = self.state_once(directory)?;
        }
        Ok(state)
    }

    fn state_once(&mut self, directory: &ProcessDir) -> Part<ProcessState> {
        let Some(bytes) = part(directory.read("stat", &mut self.buffer))? else {
            return Ok(None);
        };
        let Ok(stat) = stat::parse(bytes) else {
            return Ok(None);
        };
        let mut state = self.units.process(&stat);
        if let Some(bytes) = part(directory.read("status", &mut self.buffer))?
            && let Ok(status) = status::parse(bytes)
        {
            state.uid = status.uid;
            state.inner_pid = status.innermost_pid.filter(|&inner| inner != state.id.pid);
            // The count in `stat` may lag by a few dozen pages per processor.
            state.rss = status.vm_rss.unwrap_or(state.rss);
        }
        if let Some(bytes) = part(directory.read("cmdline", &mut self.buffer))? {
            state.cmdline = arguments(bytes);
        }
        let wchan = part(directory.read("wchan", &mut self.buffer))?;
        state.wchan = wchan.and_then(single::parse_wchan).map(text::printable);
        Ok(Some(state))
    }

    /// What only some want.
    fn more(
        &mut self,
        directory: &ProcessDir,
        wanted: &Wanted,
        state: &mut ProcessState,
    ) -> Result<(), Gone> {
        if wanted.pss && crate::has_memory(state) {
            state.pss = match part(directory.read("smaps_rollup", &mut self.buffer)) {
                Ok(bytes) => bytes.and_then(|bytes| smaps::parse_rollup(bytes).ok()?.pss),
                // The memory is gone: if the process is still there it is a zombie now.
                Err(Gone) if directory.is_there() => None,
                Err(Gone) => return Err(Gone),
            };
        }
        if wanted.threads && !state.kernel {
            state.each_thread = self.threads(directory)?;
        }
        Ok(())
    }

    fn threads(&mut self, directory: &ProcessDir) -> Result<Vec<ThreadAtRest>, Gone> {
        let mut tids = Vec::new();
        part(directory.for_each_thread(&mut self.listing, |tid| tids.push(tid)))?;
        tids.sort_unstable();
        // A thread that has ended since is no thread any more; the process may well be there.
        let threads = tids
            .into_iter()
            .filter_map(|tid| self.thread(directory, tid));
        Ok(threads.collect())
    }

    fn thread(&mut self, directory: &ProcessDir, tid: Tid) -> Option<ThreadAtRest> {
        let bytes = directory
            .read_of_thread(tid, "stat", &mut self.buffer)
            .ok()?;
        let stat = stat::parse_thread(bytes).ok()?;
        let mut thread = ThreadAtRest {
            id: ThreadId {
                tid,
                start: stat.starttime,
            },
            name: text::printable(stat.comm),
            state: char::from(stat.state),
            wchan: None,
            syscall: None,
            is_timed: false,
            cpu: self.units.ticks(stat.utime.saturating_add(stat.stime)),
        };
        if let Ok(bytes) = directory.read_of_thread(tid, "wchan", &mut self.buffer) {
            thread.wchan = single::parse_wchan(bytes).map(text::printable);
        }
        if let Ok(bytes) = directory.read_of_thread(tid, "syscall", &mut self.buffer)
            && let Ok(Some(call)) = single::parse_syscall(bytes)
        {
            thread.syscall = Some((call.number, call.first));
            thread.is_timed = census::FUTEX_CALLS.contains(&call.number) && call.fourth != 0;
        }
        Some(thread)
    }
}

impl Units {
    /// What `stat` tells.
    fn process(self, stat: &Stat<'_>) -> ProcessState {
        let started = self.ticks(stat.starttime.0);
        ProcessState {
            id: ProcessId {
                pid: stat.pid,
                start: stat.starttime,
            },
            inner_pid: None,
            ppid: stat.ppid,
            pgid: stat.pgrp,
            sid: stat.session,
            uid: None,
            state: char::from(stat.state),
            name: text::printable(stat.comm),
            cmdline: Vec::new(),
            wchan: None,
            age: self.now - started,
            cpu: self.ticks(stat.utime.saturating_add(stat.stime)),
            rss: Bytes(stat.rss_pages.saturating_mul(self.page_size.0)),
            pss: None,
            threads: stat.num_threads,
            min_flt: stat.min_flt,
            // The flag is as old as /proc; kthreadd's children bear it out on trees made by hand.
            kernel: stat.is_kernel_thread()
                || stat.ppid == Pid(2) && stat.vsize == Bytes::ZERO && stat.state != b'Z',
            each_thread: Vec::new(),
        }
    }

    /// Clock ticks as a span of time.
    fn ticks(self, ticks: u64) -> Nanos {
        let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(self.ticks_per_second.max(1));
        Nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The arguments: a NUL ends each, but a program that writes its own title leaves blanks and NULs behind.
fn arguments(bytes: &[u8]) -> Vec<String> {
    let used = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    let used = bytes.get(..used).unwrap_or_default();
    if used.is_empty() {
        return Vec::new();
    }
    used.split(|&byte| byte == 0).map(text::printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_ended_by_nuls() {
        assert!(arguments(b"").is_empty() && arguments(b"\0\0").is_empty());
        assert_eq!(arguments(b"a\0\0b c\0"), ["a", "", "b c"]);
        assert_eq!(
            arguments(b"nginx: worker process\0\0\0\0"),
            ["nginx: worker process"]
        );
        assert_eq!(arguments(b"a\nb\xff\0"), ["a\\x0ab\\xff"]);
    }
}
