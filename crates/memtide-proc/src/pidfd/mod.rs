//! A descriptor that stands for a process: tells its end, and with newer kernels how it ended, even
//! of a process that is nobody's child here.

mod info;

use crate::error::{Error, Subject};
use memtide_model::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open};

/// A process, whatever becomes of its number (since Linux 5.3).
#[derive(Debug)]
pub struct PidFd {
    fd: OwnedFd,
    pid: Pid,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(u8),
    /// By this signal; whether it wrote a core.
    Signal {
        /// The signal's number.
        signal: u8,
        /// True where a core was written.
        core: bool,
    },
}

impl ExitStatus {
    /// What a wait status (waitpid(2); field 52 of `stat`) says: the code in bits 8 to 15, the
    /// signal in bits 0 to 6, the core mark in bit 7.
    pub const fn from_wait_status(status: i32) -> Self {
        let [low, code, ..] = status.to_le_bytes();
        match low & 0x7f {
            0 => Self::Code(code),
            signal => Self::Signal {
                signal,
                core: low & 0x80 != 0,
            },
        }
    }
}

impl PidFd {
    /// Opens it. The number may have been given away between the look at /proc and this call: compare
    /// the start time after it.
    ///
    /// # Errors
    /// [`Gone`](crate::ErrorKind::Gone) where there is no such process,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) before Linux 5.3.
    pub fn open(pid: Pid) -> Result<Self, Error> {
        let error = |errno| Error::system("pidfd", Subject::Process(pid), errno);
        let raw = i32::try_from(pid.0).map_err(|_| error(Errno::SRCH))?;
        let raw = rustix::process::Pid::from_raw(raw).ok_or_else(|| error(Errno::SRCH))?;
        let fd = pidfd_open(raw, PidfdFlags::empty()).map_err(error)?;
        Ok(Self { fd, pid })
    }

    /// True when the process has ended: it is a zombie or was reaped.
    ///
    /// # Errors
    /// Where the system refuses to poll.
    pub fn has_ended(&self) -> Result<bool, Error> {
        self.wait(Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        })
    }

    /// Waits for its end, at most for `timeout`; true when it has ended. A signal ends the wait early.
    ///
    /// # Errors
    /// Where the system refuses to poll.
    pub fn wait(&self, timeout: Timespec) -> Result<bool, Error> {
        let mut polled = [PollFd::new(&self.fd, PollFlags::IN)];
        match poll(&mut polled, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(self.error(errno)),
        }
    }

    /// How it ended, by `PIDFD_GET_INFO` (since Linux 6.15). `None` while it runs, and while it is a
    /// zombie: the kernel notes it when the parent has reaped it. (Of a zombie, field 52 of `stat`
    /// tells readers with ptrace access.)
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) before Linux 6.13; between that and 6.15
    /// [`Gone`](crate::ErrorKind::Gone) of a process that was reaped.
    pub fn exit_status(&self) -> Result<Option<ExitStatus>, Error> {
        let status = info::exit_status(self.fd.as_fd()).map_err(|errno| self.error(errno))?;
        Ok(status.map(ExitStatus::from_wait_status))
    }

    /// Whose it is.
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    const fn error(&self, errno: Errno) -> Error {
        Error::system("pidfd", Subject::Process(self.pid), errno)
    }
}

impl AsFd for PidFd {
    /// To wait for it together with other things: readable when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses_are_taken_apart() {
        assert_eq!(ExitStatus::from_wait_status(0), ExitStatus::Code(0));
        assert_eq!(ExitStatus::from_wait_status(7 << 8), ExitStatus::Code(7));
        let signal = |signal, core| ExitStatus::Signal { signal, core };
        assert_eq!(ExitStatus::from_wait_status(15), signal(15, false));
        assert_eq!(ExitStatus::from_wait_status(0x8b), signal(11, true));
    }
}
