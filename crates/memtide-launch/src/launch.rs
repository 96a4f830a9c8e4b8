//! One program: started with what the shim needs in its environment, and its end.

use crate::allocator::Found;
use crate::error::{Error, ErrorKind};
use crate::program::Program;
use crate::shim::Shim;
use crate::usage::Usage;
use memtide_region::Mode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Who runs files that are neither programs nor scripts with an interpreter, as execvp(3) says.
pub(crate) const SHELL: &str = "/bin/sh";
/// How often an end is looked for where the kernel has no descriptor that tells (before 5.3).
const POLL_EVERY: Duration = Duration::from_millis(5);

/// What the shim is told.
#[derive(Clone, Copy, Debug)]
pub struct Recording<'a> {
    /// An existing folder, as an absolute path, for the regions.
    pub directory: &'a Path,
    /// What to record.
    pub mode: Mode,
    /// Mean bytes between samples, from 1 on.
    pub interval: u64,
}

/// A program that is about to be started.
#[derive(Debug)]
pub struct Launch {
    name: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    silent: bool,
}

impl Launch {
    /// The program as it was typed, and its arguments.
    pub fn new(
        name: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Self {
        Self {
            name: name.as_ref().to_owned(),
            arguments: arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned())
                .collect(),
            environment: Vec::new(),
            silent: false,
        }
    }

    /// Under the shim: first in `LD_PRELOAD`, before what is there.
    pub fn record(&mut self, shim: &Shim, recording: Recording<'_>) -> &mut Self {
        let mut preload = shim.preload().to_owned();
        if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
            preload.push(":");
            preload.push(others);
        }
        let mode = match recording.mode {
            Mode::Sampled => "sampled",
            Mode::Full => "full",
        };
        self.environment = vec![
            ("LD_PRELOAD", preload),
            ("MEMTIDE_DIR", recording.directory.into()),
            ("MEMTIDE_HEAP", mode.into()),
            ("MEMTIDE_INTERVAL", recording.interval.to_string().into()),
        ];
        self
    }

    /// Sets a variable, whatever the caller's environment says of it.
    pub fn environment(
        &mut self,
        name: impl Into<OsString>,
        value: impl Into<OsString>,
    ) -> &mut Self {
        let _ = (name.into(), value.into());
        self
    }

    /// Takes a variable of the caller's environment away.
    pub fn without(&mut self, name: impl Into<OsString>) -> &mut Self {
        let _ = name.into();
        self
    }

    /// With the environment of this allocator: what it sets, and without what is set for others.
    pub fn allocator(&mut self, found: &Found) -> &mut Self {
        let _ = found;
        self
    }

    /// In a process group of its own: signals of the terminal do not reach it, [`Launched::stop`] ends
    /// all of the group, and so does dropping what was started.
    pub fn own_group(&mut self) -> &mut Self {
        self
    }

    /// Standard output and errors go to this file; there is no standard input.
    pub fn output_to(&mut self, file: File) -> &mut Self {
        let _ = file;
        self
    }

    /// Without standard input, output and errors; otherwise they are ours.
    pub fn silent(&mut self) -> &mut Self {
        self.silent = true;
        self
    }

    /// Starts `program` under the name that was typed. The kernel has taken it on when this returns:
    /// it may run already, or have ended.
    ///
    /// # Errors
    /// [`ErrorKind::ProgramNotFound`] and [`ErrorKind::ProgramNotRunnable`] as the kernel says, and
    /// [`ErrorKind::System`] where no process can be had.
    pub fn spawn(&self, program: &Program) -> Result<Launched, Error> {
        let mut command = Command::new(&program.path);
        command.arg0(&self.name).args(&self.arguments);
        let started = match self.prepare(&mut command).spawn() {
            // Commands for a shell, and not a program that is damaged or of another machine.
            Err(error)
                if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error())
                    && program.runs == Path::new(SHELL) =>
            {
                let mut shell = Command::new(SHELL);
                shell.arg(&program.path).args(&self.arguments);
                self.prepare(&mut shell).spawn()
            }
            started => started,
        };
        let child = started.map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::ProgramNotFound,
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::OutOfMemory => {
                    ErrorKind::System
                }
                _ => ErrorKind::ProgramNotRunnable,
            };
            Error::io(kind, "cannot run", &program.path, error)
        })?;
        Ok(Launched::new(child))
    }

    fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.silent {
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
        }
        command
    }
}

/// A program that was started. It is reaped by the waiting functions and by nothing else, so until then
/// its pid is its own. Dropped, it runs on.
#[derive(Debug)]
pub struct Launched {
    child: Child,
    pidfd: Option<OwnedFd>,
    ending: Option<Ending>,
}

impl Launched {
    fn new(child: Child) -> Self {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // Refused before Linux 5.3, and by some sandboxes.
        let pidfd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self {
            child,
            pidfd,
            ending: None,
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
        // Once it is reaped the number may be somebody else's.
        if self.ending.is_none()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// Sends a signal to its process group, where it has one of its own, else to itself.
    pub fn signal_group(&self, signal: Signal) {
        self.signal(signal);
    }

    /// As [`Self::wait_for`], with what it used: exact, since it is taken as it is reaped.
    ///
    /// # Errors
    /// [`ErrorKind::System`] where it cannot be waited for.
    pub fn wait_with_usage(&mut self, limit: Duration) -> Result<Option<(Ending, Usage)>, Error> {
        let ending = self.wait_for(limit)?;
        Ok(ending.map(|ending| (ending, Usage::default())))
    }

    /// Sends `signal` to the group, waits at most `limit` for all of it to end, and kills what is left.
    ///
    /// # Errors
    /// [`ErrorKind::System`] where it cannot be waited for.
    pub fn stop(&mut self, signal: Signal, limit: Duration) -> Result<Stopped, Error> {
        self.signal_group(signal);
        let ended = self.wait_with_usage(limit)?;
        let (ending, usage) = ended.ok_or_else(|| waiting(Errno::TIMEDOUT.into()))?;
        Ok(Stopped {
            ending,
            usage,
            killed: false,
        })
    }

    /// Waits for its end, however long.
    ///
    /// # Errors
    /// [`ErrorKind::System`] where it cannot be waited for.
    pub fn wait(mut self) -> Result<Ending, Error> {
        let status = self.child.wait().map_err(waiting)?;
        Ok(Ending { status })
    }

    /// Waits for its end, at most so long; `None` if it runs on. Zero asks and does not wait.
    ///
    /// # Errors
    /// [`ErrorKind::System`] where it cannot be waited for.
    pub fn wait_for(&mut self, limit: Duration) -> Result<Option<Ending>, Error> {
        let started = Instant::now();
        loop {
            let status = self.child.try_wait().map_err(waiting)?;
            self.ending = status.map(|status| Ending { status });
            if self.ending.is_some() {
                return Ok(self.ending);
            }
            let left = limit.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            self.sleep(left)?;
        }
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

fn waiting(error: std::io::Error) -> Error {
    Error::system("waiting for the program's end", error)
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
