//! Ctrl-C, SIGTERM and SIGHUP end a recording with its verdict; a second one ends it at once.

use anyhow::Context as _;
use memtide_model::Nanos;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Asks to end, by signal.
#[derive(Debug)]
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
    wake: UnixStream,
}

impl Stop {
    /// Takes over SIGINT, SIGTERM and SIGHUP.
    pub(crate) fn install() -> anyhow::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let which = Arc::new(AtomicUsize::new(0));
        let (wake, waker) = UnixStream::pair().context("making a pipe for signals")?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let context = "taking over a signal";
            // Order matters: the shutdown looks at the flag before this signal sets it.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                128 + signal,
                Arc::clone(&asked),
            )
            .context(context)?;
            signal_hook::flag::register(signal, Arc::clone(&asked)).context(context)?;
            let number = usize::try_from(signal).unwrap_or_default();
            signal_hook::flag::register_usize(signal, Arc::clone(&which), number)
                .context(context)?;
            signal_hook::low_level::pipe::register(signal, waker.try_clone().context(context)?)
                .context(context)?;
        }
        Ok(Self { asked, which, wake })
    }

    /// The name of the signal that asked to end.
    pub(crate) fn asked(&self) -> Option<&'static str> {
        let number = i32::try_from(self.which.load(Ordering::Relaxed)).unwrap_or_default();
        self.asked.load(Ordering::Relaxed).then_some(match number {
            SIGTERM => "SIGTERM",
            SIGHUP => "SIGHUP",
            _ => "Ctrl-C",
        })
    }

    /// Sleeps for `span`, or until a signal comes or `other` becomes readable.
    pub(crate) fn sleep(&self, span: Nanos, other: Option<BorrowedFd<'_>>) -> anyhow::Result<()> {
        let wake = PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN);
        let mut fds = vec![wake];
        fds.extend(other.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let second = Nanos::SECOND.0;
        let timeout = Timespec {
            tv_sec: i64::try_from(span.0 / second).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(span.0 % second).unwrap_or_default(),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno).context("waiting for the next tick"),
        }
    }
}
