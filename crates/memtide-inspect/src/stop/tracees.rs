//! The threads of a process under ptrace: seized, stopped, let go. All by the one thread that traces.
//!
//! Whether a thread stands still is asked of the thread (`PTRACE_GETSIGINFO` succeeds only then). The
//! same answer tells why: our own interruption, or a signal that was about to be delivered.

use crate::error::{Error, ErrorKind};
use memtide_model::{Pid, Tid};
use memtide_proc::parse::status;
use memtide_proc::{Buffer, Listing, ProcRoot, ProcessDir};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How long it is waited between two questions.
const PAUSE: Duration = Duration::from_micros(100);

/// How often a thread is tried that is refused for no reason that can be seen: while it ends or execs
/// it is, and a moment later it is something else.
const ATTEMPTS: u32 = 3;

/// The threads that this thread traces.
#[derive(Default)]
pub(super) struct Tracees {
    threads: Vec<Tid>,
    buffer: Buffer,
}

impl Tracees {
    /// Stops every thread; returns how many there are. What was stopped stays so after an error.
    ///
    /// A thread that has ended may have become another one by an exec, so a round in which one ended
    /// is not the last.
    pub(super) fn stop_all(&mut self, pid: Pid, deadline: Instant) -> Result<usize, Error> {
        let root = ProcRoot::system().map_err(|error| from_proc(pid, &error))?;
        let process = root.process(pid).map_err(|error| from_proc(pid, &error))?;
        let mut empty_rounds = 0;
        loop {
            let fresh = self.interrupt_new(&process)?;
            let ended = self.wait_for_all(&process, deadline)?;
            if fresh > 0 || ended > 0 {
                continue;
            }
            if !self.threads.is_empty() {
                return Ok(self.threads.len());
            }
            // No thread was listed under the number that an exec gave it.
            empty_rounds += 1;
            if empty_rounds == ATTEMPTS {
                return Err(gone(pid));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Seizes and interrupts the threads that are not ours yet; returns how many. All are seized first:
    /// that may take long where one execs, and stops nobody.
    fn interrupt_new(&mut self, process: &ProcessDir) -> Result<usize, Error> {
        let mut listed = Vec::new();
        process
            .for_each_thread(&mut Listing::new(), |tid| listed.push(tid))
            .map_err(|error| from_proc(process.pid(), &error))?;
        let ours: HashSet<u32> = self.threads.iter().map(|tid| tid.0).collect();
        let mut seized = Vec::new();
        for tid in listed {
            if !ours.contains(&tid.0) && self.seize(process, tid)? {
                seized.push(tid);
            }
        }
        let before = self.threads.len();
        for tid in seized {
            // Its number may have gone to another process just before it was seized. That one is not
            // interrupted, and let go when this thread ends.
            if !self.has_ended(process, tid) && ptrace::interrupt(raw(tid)).is_ok() {
                self.threads.push(tid);
            }
        }
        Ok(self.threads.len() - before)
    }

    /// False for a thread that has ended.
    fn seize(&mut self, process: &ProcessDir, tid: Tid) -> Result<bool, Error> {
        for attempt in 1.. {
            let errno = match ptrace::seize(raw(tid), ptrace::Options::empty()) {
                Ok(()) => return Ok(true),
                Err(Errno::ESRCH) => return Ok(false),
                Err(errno) => errno,
            };
            // A zombie cannot be seized, nor what somebody else traces.
            let bytes = process.read_of_thread(tid, "status", &mut self.buffer);
            let Ok(status) = bytes.and_then(status::parse) else {
                return Ok(false);
            };
            if is_end(status.state) {
                return Ok(false);
            }
            match status.tracer {
                Some(tracer) if is_this_thread(tracer) => return Ok(true),
                Some(tracer) => return Err(debugged(process.pid(), tracer)),
                None if attempt == ATTEMPTS => return Err(refused(process.pid(), tid, errno)),
                None => std::thread::sleep(PAUSE),
            }
        }
        Ok(false)
    }

    /// Returns when every thread stands still; forgets those that have ended, and returns how many.
    fn wait_for_all(&mut self, process: &ProcessDir, deadline: Instant) -> Result<usize, Error> {
        let mut moving = self.threads.clone();
        let mut ended = HashSet::new();
        loop {
            moving.retain(|&tid| !is_stopped(tid));
            moving.retain(|&tid| {
                let has_ended = self.has_ended(process, tid);
                if has_ended {
                    ended.insert(tid.0);
                }
                !has_ended
            });
            let Some(first) = moving.first() else {
                break;
            };
            if Instant::now() >= deadline {
                return Err(self.too_slow(process, *first));
            }
            std::thread::sleep(PAUSE);
        }
        self.threads.retain(|tid| !ended.contains(&tid.0));
        Ok(ended.len())
    }

    /// Lets every thread that stands still run on.
    ///
    /// One that stands at a signal gets it now. Signals that have no name here (real-time ones) are
    /// given by the kernel when this thread ends, which is next.
    pub(super) fn let_go(&mut self) {
        for tid in self.threads.drain(..) {
            let Ok(info) = ptrace::getsiginfo(raw(tid)) else {
                continue;
            };
            // It may be dead by now; then there is nothing to let go.
            let _ = if info.si_code >> 8 == ptrace::Event::PTRACE_EVENT_STOP as i32 {
                ptrace::detach(raw(tid), None)
            } else if let Ok(signal) = Signal::try_from(info.si_signo) {
                ptrace::detach(raw(tid), signal)
            } else {
                Ok(())
            };
        }
    }

    /// True for a thread that is not there any more, or only waits to be reaped.
    fn has_ended(&mut self, process: &ProcessDir, tid: Tid) -> bool {
        let state = self.state(process, tid);
        state.is_none() || is_end(state)
    }

    fn state(&mut self, process: &ProcessDir, tid: Tid) -> Option<u8> {
        let bytes = process
            .read_of_thread(tid, "status", &mut self.buffer)
            .ok()?;
        status::parse(bytes).ok()?.state
    }

    fn too_slow(&mut self, process: &ProcessDir, tid: Tid) -> Error {
        let state = self.state(process, tid).unwrap_or(b'?');
        Error::new(
            ErrorKind::Io,
            format!(
                "process {} was not held: its thread {} did not stop in time (state {}); inspect it \
                 without --stop",
                process.pid().0,
                tid.0,
                state.escape_ascii()
            ),
        )
    }
}

fn is_stopped(tid: Tid) -> bool {
    !matches!(ptrace::getsiginfo(raw(tid)), Err(Errno::ESRCH))
}

/// Linux has no thread numbers above 2^22.
pub(super) fn raw(tid: Tid) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(i32::try_from(tid.0).unwrap_or(i32::MAX))
}

fn is_end(state: Option<u8>) -> bool {
    matches!(state, Some(b'Z' | b'X'))
}

/// A thread that we traced may have become another one by an exec.
fn is_this_thread(tracer: Pid) -> bool {
    u32::try_from(nix::unistd::gettid().as_raw()) == Ok(tracer.0)
}

fn debugged(pid: Pid, tracer: Pid) -> Error {
    Error::new(
        ErrorKind::Denied,
        format!(
            "process {} is being debugged by PID {} (TracerPid): end that first, or inspect it without \
             --stop",
            pid.0, tracer.0
        ),
    )
}

fn refused(pid: Pid, tid: Tid, errno: Errno) -> Error {
    Error::new(
        ErrorKind::Denied,
        format!(
            "process {} cannot be held: thread {}: {}; inspect it without --stop",
            pid.0,
            tid.0,
            errno.desc()
        ),
    )
}

fn gone(pid: Pid) -> Error {
    Error::new(ErrorKind::Gone, format!("process {} has ended", pid.0))
}

fn from_proc(pid: Pid, error: &memtide_proc::Error) -> Error {
    match error.kind() {
        memtide_proc::ErrorKind::Gone => gone(pid),
        memtide_proc::ErrorKind::Denied => Error::new(ErrorKind::Denied, error.to_string()),
        _ => Error::new(ErrorKind::Io, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    /// A shell that says which signals it got; it has no children, whose ends would be signals, too.
    struct Shell(Child);

    impl Shell {
        fn start() -> Self {
            let script = "trap 'echo usr1' 10; trap 'echo real-time' 35; trap 'echo end' 37; \
                          echo ready; while :; do :; done";
            let child = Command::new("sh")
                .args(["-c", script])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            Self(child)
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn send(signal: &str, to: Tid) {
        let status = Command::new("kill")
            .args([signal, &to.0.to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// The moment between seizing and interrupting, which is too short to be met by chance.
    #[test]
    fn a_signal_on_its_way_is_handed_back() {
        for (number, name) in [("-10", "usr1"), ("-35", "real-time")] {
            let mut shell = Shell::start();
            let mut lines = BufReader::new(shell.0.stdout.take().unwrap()).lines();
            assert_eq!(lines.next().unwrap().unwrap(), "ready");
            let tid = Tid(shell.0.id());
            let seize_and_let_go = move || {
                let mut tracees = Tracees::default();
                ptrace::seize(raw(tid), ptrace::Options::empty()).unwrap();
                tracees.threads.push(tid);
                send(number, tid);
                while !is_stopped(tid) {
                    std::thread::sleep(PAUSE);
                }
                let info = ptrace::getsiginfo(raw(tid)).unwrap();
                assert_eq!(-info.si_signo, number.parse::<i32>().unwrap());
                tracees.let_go();
            };
            std::thread::spawn(seize_and_let_go).join().unwrap();
            send("-37", tid);
            assert_eq!(lines.next().unwrap().unwrap(), name);
            assert_eq!(lines.next().unwrap().unwrap(), "end");
        }
    }
}
