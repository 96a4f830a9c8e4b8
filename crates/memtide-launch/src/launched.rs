//! One program that was started: its signals, its end, and what it used until then.
//!
//! The idea: the end is noticed by `waitid(WNOWAIT)` and a pidfd, which leave the process what it is; it
//! is reaped in a step of its own. Until then its number, and that of its group, is nobody else's: so the
//! group can still be signalled, and what it used can be had exactly.

use crate::error::{Error, ErrorKind};
use crate::group;
use crate::usage::{self, Usage};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, pidfd_open,
    waitid,
};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How often an end is looked for where the kernel has no descriptor that tells (before 5.3), and how often
/// the rest of a group.
const POLL_EVERY: Duration = Duration::from_millis(5);
/// What was killed ends in so long, unless the kernel is stuck with it.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// A program that was started. It is reaped by the waiting functions and by nothing else, so until then
/// its pid is its own. Dropped, it runs on; with a group of its own it is killed with all of it.
#[derive(Debug)]
pub struct Launched {
    child: Child,
    /// `None` for a number that no process has, which cannot be.
    pid: Option<Pid>,
    pidfd: Option<OwnedFd>,
    own_group: bool,
    ended: Option<(Ending, Usage)>,
}

impl Launched {
    pub(crate) fn new(child: Child, own_group: bool) -> Self {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // Refused before Linux 5.3, and by some sandboxes.
        let pidfd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self {
            child,
            pid,
            pidfd,
            own_group,
            ended: None,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A descriptor that becomes readable when it ends, where the kernel has such.
    pub fn end(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(OwnedFd::as_fd)
    }

    /// Sends a signal; a program that has ended takes it silently.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.unreaped() {
            let _ = kill_process(pid, signal);
        }
    }

    /// Sends a signal to its process group, where it has one of its own, else to itself.
    pub fn signal_group(&self, signal: Signal) {
        match self.unreaped() {
            Some(pid) if self.own_group => {
                let _ = kill_process_group(pid, signal);
            }
            _ => self.signal(signal),
        }
    }

    /// Its number, as long as it is not somebody else's.
    fn unreaped(&self) -> Option<Pid> {
        self.pid.filter(|_| self.ended.is_none())
    }

    /// Waits for its end, however long.
    ///
    /// # Errors
    /// [`ErrorKind::System`] where it cannot be waited for.
    pub fn wait(mut self) -> Result<Ending, Error> {
        loop {
            if let Some(ending) = self.wait_for(Duration::MAX)? {
                return Ok(ending);
            }
        }
    }

    /// Waits for its end, at most so long; `None` if it runs on. Zero asks and does not wait.
    ///
    /// # Errors
    /// [`ErrorKind::System`] where it cannot be waited for.
    pub fn wait_for(&mut self, limit: Duration) -> Result<Option<Ending>, Error> {
        let ended = self.wait_with_usage(limit)?;
        Ok(ended.map(|(ending, _)| ending))
    }

    /// As [`Self::wait_for`], with what it and the children that it waited for used: exact, since it is
    /// taken as it is reaped.
    ///
    /// # Errors
    /// [`ErrorKind::System`] where it cannot be waited for.
    pub fn wait_with_usage(&mut self, limit: Duration) -> Result<Option<(Ending, Usage)>, Error> {
        if self.ended.is_some() || !self.is_over_within(limit)? {
            return Ok(self.ended);
        }
        self.reap().map(Some)
    }

    /// Sends `signal` to the group, or to the program where it has none of its own, and waits at most
    /// `limit` until it has ended; then kills what has not.
    ///
    /// # Errors
    /// [`ErrorKind::System`] where it cannot be waited for, or does not even end by SIGKILL.
    pub fn stop(&mut self, signal: Signal, limit: Duration) -> Result<Stopped, Error> {
        let mut killed = false;
        if self.ended.is_none() {
            let started = Instant::now();
            self.signal_group(signal);
            let in_time = self.is_over_within(limit)?;
            killed = !in_time || !self.others_end_within(limit.saturating_sub(started.elapsed()));
            if killed {
                self.signal_group(Signal::KILL);
                self.others_end_within(KILLED_WITHIN);
            }
        }
        let ended = self.wait_with_usage(KILLED_WITHIN)?;
        let (ending, usage) = ended.ok_or_else(|| {
            let text = format!("pid {} does not end, not even by SIGKILL", self.pid());
            Error::new(ErrorKind::System, text)
        })?;
        Ok(Stopped {
            ending,
            usage,
            killed,
        })
    }

    /// Whether the rest of its own group, if it has one, ends in this time.
    fn others_end_within(&self, limit: Duration) -> bool {
        let started = Instant::now();
        let others =
            || self.own_group && self.unreaped().is_some() && group::has_others(self.pid());
        while others() {
            if started.elapsed() >= limit {
                return false;
            }
            std::thread::sleep(POLL_EVERY);
        }
        true
    }

    /// Whether it ends in this time; it is not reaped by that.
    fn is_over_within(&self, limit: Duration) -> Result<bool, Error> {
        let started = Instant::now();
        loop {
            if self.is_over()? {
                return Ok(true);
            }
            let left = limit.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            self.sleep(left)?;
        }
    }

    fn is_over(&self) -> Result<bool, Error> {
        let Some(pid) = self.unreaped() else {
            return Ok(true);
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        match waitid(WaitId::Pid(pid), options) {
            // Where a thread of ours traces it, its stops show up here, and are that thread's.
            Ok(status) => {
                Ok(status
                    .is_some_and(|status| status.exited() || status.killed() || status.dumped()))
            }
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(waiting(errno.into())),
        }
    }

    /// Of a program that is over: kills what it left of its own group, and takes it off the kernel.
    fn reap(&mut self) -> Result<(Ending, Usage), Error> {
        if self.own_group {
            self.signal_group(Signal::KILL);
        }
        let (status, usage) = usage::of_reaping(&mut self.child).map_err(waiting)?;
        let ended = (Ending { status }, usage);
        self.ended = Some(ended);
        Ok(ended)
    }

    fn sleep(&self, span: Duration) -> Result<(), Error> {
        let Some(pidfd) = &self.pidfd else {
            std::thread::sleep(span.min(POLL_EVERY));
            return Ok(());
        };
        let timeout = Timespec {
            tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(span.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(waiting(errno.into())),
        }
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        if self.own_group && self.ended.is_none() {
            self.signal_group(Signal::KILL);
            if self.is_over_within(KILLED_WITHIN).unwrap_or_default() {
                // Nobody is left to be told of a failure.
                let _ = self.reap();
            }
        }
    }
}

fn waiting(error: std::io::Error) -> Error {
    Error::system("waiting for the program's end", error)
}

/// What came of [`Launched::stop`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// How the program ended.
    pub ending: Ending,
    /// What it used.
    pub usage: Usage,
    /// Whether it, or another of its group, had to be killed because it did not end in time.
    pub killed: bool,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    status: ExitStatus,
}

impl Ending {
    /// What memtide ends with in its place: its own code, or 128 and the number of the signal that ended
    /// it, as shells have it.
    pub fn exit_code(self) -> u8 {
        let code = self.status.code();
        let code = code.or_else(|| self.status.signal().map(|signal| 128 + signal));
        // Codes are of 8 bits and signals below 65: nothing is cut off.
        code.and_then(|code| u8::try_from(code).ok())
            .unwrap_or(u8::MAX)
    }

    /// The wait status as of waitpid(2).
    pub fn wait_status(self) -> i32 {
        self.status.into_raw()
    }

    /// The signal that ended it.
    pub fn signal(self) -> Option<i32> {
        self.status.signal()
    }
}
