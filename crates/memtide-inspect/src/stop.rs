//! Holding a process still for a moment, and letting it go whatever happens.
//!
//! All threads are seized and interrupted first and waited for afterwards: with eight busy threads on
//! two cores that takes a third of what one after the other takes. The list of threads is read again
//! until it brings nothing new. A target that execs meanwhile is met again as what it became.
//!
//! A tracer is a thread, not a process. So each hold has a thread of its own, which waits for the word
//! to let go, at most until the limit. Whoever holds may sleep, crash or forget it: the limit still
//! counts, and where the thread itself dies the kernel lets the target go.
//!
//! No signal is lost. Those that arrive stay pending. One that was on its way when a thread was seized
//! is handed back with the release. Nothing is ever waited for by `waitpid`: that takes the notice from
//! whoever else waits in this process, and makes the kernel forget the signal should we die. (Threads
//! that have ended are the exception: see `reaper`.)
//!
//! **What it refuses to do.** It does not hold what somebody else debugs, never kills or continues what
//! was stopped before, and gives up rather than hold half of the threads.
//!
//! **What it cannot do.** System calls that wait (`epoll_wait`, `sigtimedwait`, `semtimedop`) return
//! `EINTR` after a hold. If memtide itself is stopped (Ctrl-Z) in the middle, its watchdog is, too. And
//! a process that holds its own child must not wait for that child meanwhile (`Child::try_wait`): the
//! kernel would report the stop as if it were the end.

mod reaper;
mod tracees;

use crate::error::{Error, ErrorKind};
use memtide_model::{Nanos, Pid};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tracees::Tracees;

/// A process that is held; it goes on when this is dropped, and at the limit at the latest.
#[derive(Debug)]
pub struct Held {
    threads: usize,
    since: Instant,
    // Dropped to let go; nothing is ever sent.
    release: Option<Sender<()>>,
    tracer: Option<JoinHandle<Release>>,
}

/// How a hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// From before the first thread was stopped until after the last one was let go.
    pub held: Nanos,
    /// False if the limit came first: what was read last may have been read while the target ran.
    pub in_time: bool,
}

/// Stops all threads of a process, for at most `limit` (an hour where it is longer).
///
/// The limit counts from before the first thread is stopped, so the target stands still no longer than
/// that, waiting for its slowest thread included.
///
/// Errors, after which everything runs again: `Gone`; `Denied` where another program debugs it or the
/// kernel refuses; `Io` where a thread does not stop in time, for it waits in the kernel.
pub fn hold(pid: Pid, limit: Duration) -> Result<Held, Error> {
    const LONGEST: Duration = Duration::from_hours(1);
    let since = Instant::now();
    let deadline = since + limit.min(LONGEST);
    let (release, released) = mpsc::channel();
    let (report, reported) = mpsc::sync_channel(1);
    let tracer = thread::Builder::new()
        .name("hold".to_owned())
        .spawn(move || trace(pid, since, deadline, &report, &released))
        .map_err(|error| cannot_start(pid, &error))?;
    let mut held = Held {
        threads: 0,
        since,
        release: Some(release),
        tracer: Some(tracer),
    };
    // After an error its end waits until all is let go.
    held.threads = held.wait_for_report(pid, deadline, &reported)?;
    Ok(held)
}

impl Held {
    /// How many threads were stopped; at least one.
    pub const fn threads(&self) -> usize {
        self.threads
    }

    /// Lets go, and says for how long it was held.
    pub fn release(mut self) -> Release {
        self.let_go()
    }

    /// Waits for the tracing thread, and helps where it cannot help itself.
    fn wait_for_report(
        &mut self,
        pid: Pid,
        deadline: Instant,
        reported: &Receiver<Result<usize, Error>>,
    ) -> Result<usize, Error> {
        const TICK: Duration = Duration::from_millis(10);
        const GRACE: Duration = Duration::from_secs(1);
        loop {
            match reported.recv_timeout(TICK) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(cannot_start(pid, &"it ended early"));
                }
                Err(RecvTimeoutError::Timeout) => reaper::reap(pid),
            }
            if Instant::now() > deadline + GRACE {
                // It lets go when the kernel lets it; nobody should wait for that.
                self.tracer = None;
                return Err(stuck(pid));
            }
        }
    }

    fn let_go(&mut self) -> Release {
        self.release = None;
        let ended = self.tracer.take().and_then(|tracer| tracer.join().ok());
        ended.unwrap_or_else(|| Release {
            held: nanos_since(self.since),
            in_time: false,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// What the tracing thread does. When it returns, the kernel lets go what is not yet.
fn trace(
    pid: Pid,
    since: Instant,
    deadline: Instant,
    report: &SyncSender<Result<usize, Error>>,
    released: &Receiver<()>,
) -> Release {
    let mut tracees = Tracees::default();
    let outcome = tracees.stop_all(pid, deadline);
    let is_held = outcome.is_ok();
    if !is_held {
        tracees.let_go();
    }
    // Who called waits for this; there is room for one.
    let _ = report.send(outcome);
    let left = deadline.saturating_duration_since(Instant::now());
    let in_time = is_held && released.recv_timeout(left) != Err(RecvTimeoutError::Timeout);
    if is_held {
        tracees.let_go();
    }
    Release {
        held: nanos_since(since),
        in_time,
    }
}

fn nanos_since(start: Instant) -> Nanos {
    Nanos(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

fn stuck(pid: Pid) -> Error {
    Error::new(
        ErrorKind::Io,
        format!(
            "process {} was not held: it waits in the kernel while it execs; inspect it without --stop",
            pid.0
        ),
    )
}

fn cannot_start(pid: Pid, why: &dyn std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Io,
        format!("process {} cannot be held: a thread for it: {why}", pid.0),
    )
}
