//! Signals to memtide: they end a recording with its verdict, or are passed on to the program that was
//! started.
//!
//! [`Stop`] is for a process that others started: Ctrl-C, SIGTERM and SIGHUP end the recording, a second
//! one ends memtide at once; and for comparisons, which end their programs by themselves. [`Relay`] is for a program of our own: Ctrl-C and Ctrl-\ reach it from the
//! terminal and are its affair, SIGTERM and SIGHUP are for passing on. Where all that it has started is to end with it,
//! the keys are for passing on, too: who lives in a session of its own does not hear them.

use crate::exit::Code;
use anyhow::Context as _;
use memtide_model::Nanos;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a failure to install a handler is called.
const TAKING_OVER: &str = "taking over a signal";

/// Asks to end, by signal.
#[derive(Debug)]
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
    wake: UnixStream,
}

impl Stop {
    /// Takes over SIGINT, SIGTERM and SIGHUP; a second one ends memtide at once.
    pub(crate) fn install() -> anyhow::Result<Self> {
        Self::taking_over(|signal, asked| {
            // Order matters: the shutdown looks at the flag before this signal sets it.
            let asked = Arc::clone(asked);
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, asked)
                .context(TAKING_OVER)?;
            Ok(())
        })
    }

    /// The same where programs of ours run, which must be ended first: a second signal changes nothing.
    pub(crate) fn install_lasting() -> anyhow::Result<Self> {
        Self::taking_over(|_, _| Ok(()))
    }

    fn taking_over(
        before: impl Fn(i32, &Arc<AtomicBool>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let which = Arc::new(AtomicUsize::new(0));
        let (wake, waker) = UnixStream::pair().context("making a pipe for signals")?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            before(signal, &asked)?;
            signal_hook::flag::register(signal, Arc::clone(&asked)).context(TAKING_OVER)?;
            wake_by(signal, &which, &waker)?;
        }
        Ok(Self { asked, which, wake })
    }

    /// The name of the signal that asked to end.
    pub(crate) fn asked(&self) -> Option<&'static str> {
        let name = name(self.which.load(Ordering::Relaxed));
        self.asked.load(Ordering::Relaxed).then_some(name)
    }

    /// Sleeps for `span`, or until a signal comes or `other` becomes readable, and says whether that one
    /// did.
    pub(crate) fn sleep(&self, span: Nanos, other: Option<BorrowedFd<'_>>) -> anyhow::Result<bool> {
        sleep(&self.wake, span, other)
    }
}

/// Signals for a program that memtide started.
#[derive(Debug)]
pub(crate) struct Relay {
    which: Arc<AtomicUsize>,
    wake: UnixStream,
}

impl Relay {
    /// Takes over SIGTERM and SIGHUP, and outlives SIGINT and SIGQUIT, which are taken over as well where they end
    /// more than whom they reach (`with_keys`). A signal that is ignored already (nohup, a job in the background of a
    /// script) stays so, here and in the program.
    pub(crate) fn install(with_keys: bool) -> anyhow::Result<Self> {
        let which = Arc::new(AtomicUsize::new(0));
        let (wake, waker) = UnixStream::pair().context("making a pipe for signals")?;
        wake.set_nonblocking(true).context(TAKING_OVER)?;
        let ignored = ignored_signals();
        let is_free = |signal: &i32| ignored >> (signal - 1) & 1 == 0;
        for signal in [SIGTERM, SIGHUP].into_iter().filter(is_free) {
            wake_by(signal, &which, &waker)?;
        }
        // A handler, not SIG_IGN: a program that is started gets the default back.
        for signal in [SIGINT, SIGQUIT].into_iter().filter(is_free) {
            if with_keys {
                wake_by(signal, &which, &waker)?;
                continue;
            }
            let nobody = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal, nobody).context(TAKING_OVER)?;
        }
        Ok(Self { which, wake })
    }

    /// The signal that came since the last call, if one did; of several the last.
    pub(crate) fn taken(&self) -> Option<Passed> {
        let mut bytes = [0_u8; 64];
        let came = (&self.wake).read(&mut bytes).is_ok_and(|length| length > 0);
        came.then(|| Passed(self.which.load(Ordering::Relaxed)))
    }

    /// As [`Stop::sleep`].
    pub(crate) fn sleep(&self, span: Nanos, other: Option<BorrowedFd<'_>>) -> anyhow::Result<bool> {
        sleep(&self.wake, span, other)
    }
}

/// A signal to be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed(usize);

impl Passed {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        name(self.0)
    }

    /// The process group that a key of the terminal has told already: ours, in the foreground. A program that is
    /// cleaning up would not live through being asked twice.
    pub(crate) fn has_reached(self) -> Option<i64> {
        let is_key = [number(SIGINT), number(SIGQUIT)].contains(&self.0);
        let own = rustix::process::getpgrp();
        let terminal = File::open("/dev/tty").ok().filter(|_| is_key)?;
        let foreground = rustix::termios::tcgetpgrp(terminal).ok()?;
        (foreground == own).then(|| i64::from(own.as_raw_nonzero().get()))
    }

    /// What a program ends with that it ends.
    pub(crate) fn code(self) -> Code {
        Code::Program(u8::try_from(128 + self.0).unwrap_or(u8::MAX))
    }

    /// Itself, for sending.
    pub(crate) fn signal(self) -> rustix::process::Signal {
        if self.0 == number(SIGHUP) {
            rustix::process::Signal::HUP
        } else {
            rustix::process::Signal::TERM
        }
    }
}

fn wake_by(signal: i32, which: &Arc<AtomicUsize>, waker: &UnixStream) -> anyhow::Result<()> {
    signal_hook::flag::register_usize(signal, Arc::clone(which), number(signal))
        .context(TAKING_OVER)?;
    let waker = waker.try_clone().context(TAKING_OVER)?;
    signal_hook::low_level::pipe::register(signal, waker).context(TAKING_OVER)?;
    Ok(())
}

fn number(signal: i32) -> usize {
    usize::try_from(signal).unwrap_or_default()
}

fn name(signal: usize) -> &'static str {
    match i32::try_from(signal) {
        Ok(SIGTERM) => "SIGTERM",
        Ok(SIGHUP) => "SIGHUP",
        Ok(SIGQUIT) => "SIGQUIT",
        _ => "Ctrl-C",
    }
}

/// Bit n - 1 is set where signal n is ignored; none where /proc does not tell.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

fn sleep(wake: &UnixStream, span: Nanos, other: Option<BorrowedFd<'_>>) -> anyhow::Result<bool> {
    let wake = PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN);
    let mut fds = vec![wake];
    fds.extend(other.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
    let second = Nanos::SECOND.0;
    let timeout = Timespec {
        tv_sec: i64::try_from(span.0 / second).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(span.0 % second).unwrap_or_default(),
    };
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) => Ok(fds.get(1).is_some_and(|fd| !fd.revents().is_empty())),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno).context("waiting for the next tick"),
    }
}
