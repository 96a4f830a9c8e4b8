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

/// The threads that this thread traces.
#[derive(Default)]
pub(super) struct Tracees {
    threads: Vec<Tid>,
    /// Those that were met, zombies among them.
    met: HashSet<u32>,
    buffer: Buffer,
}

/// What became of an attempt to seize a thread.
enum Seized {
    /// It is ours and was interrupted.
    Interrupted,
    /// It has ended, or is about to.
    Ended,
}

impl Tracees {
    /// Stops every thread; returns how many there are. What was stopped stays so after an error.
    pub(super) fn stop_all(&mut self, pid: Pid, deadline: Instant) -> Result<usize, Error> {
        let root = ProcRoot::system().map_err(|error| from_proc(pid, &error))?;
        let process = root.process(pid).map_err(|error| from_proc(pid, &error))?;
        loop {
            let fresh = self.interrupt_new(&process)?;
            self.wait_for_all(&process, deadline)?;
            if fresh == 0 {
                break;
            }
        }
        match self.threads.len() {
            0 => Err(gone(pid)),
            threads => Ok(threads),
        }
    }

    /// Seizes and interrupts the threads that were not met before; returns how many.
    fn interrupt_new(&mut self, process: &ProcessDir) -> Result<usize, Error> {
        let mut listed = Vec::new();
        process
            .for_each_thread(&mut Listing::new(), |tid| listed.push(tid))
            .map_err(|error| from_proc(process.pid(), &error))?;
        let before = self.threads.len();
        for tid in listed {
            if self.met.contains(&tid.0) {
                continue;
            }
            if let Seized::Interrupted = self.interrupt(process, tid)? {
                self.threads.push(tid);
            }
            self.met.insert(tid.0);
        }
        Ok(self.threads.len() - before)
    }

    fn interrupt(&mut self, process: &ProcessDir, tid: Tid) -> Result<Seized, Error> {
        match ptrace::seize(raw(tid), ptrace::Options::empty()) {
            Ok(()) => {}
            Err(Errno::ESRCH) => return Ok(Seized::Ended),
            Err(errno) => return self.why_refused(process, tid, errno),
        }
        // Its number may have gone to another process just before. That one is not interrupted, and
        // let go when this thread ends.
        if self.has_ended(process, tid) {
            return Ok(Seized::Ended);
        }
        match ptrace::interrupt(raw(tid)) {
            Ok(()) => Ok(Seized::Interrupted),
            Err(_) => Ok(Seized::Ended),
        }
    }

    /// A zombie cannot be seized, nor what somebody else traces.
    fn why_refused(
        &mut self,
        process: &ProcessDir,
        tid: Tid,
        errno: Errno,
    ) -> Result<Seized, Error> {
        let bytes = process.read_of_thread(tid, "status", &mut self.buffer);
        let Ok(status) = bytes.and_then(status::parse) else {
            return Ok(Seized::Ended);
        };
        if matches!(status.state, Some(b'Z' | b'X')) {
            return Ok(Seized::Ended);
        }
        let pid = process.pid().0;
        Err(Error::new(
            ErrorKind::Denied,
            match status.tracer.filter(|tracer| tracer.0 != 0) {
                Some(Pid(tracer)) => format!(
                    "process {pid} is being debugged by PID {tracer} (TracerPid): end that first, or \
                     inspect it without --stop"
                ),
                None => format!(
                    "process {pid} cannot be held: thread {}: {}; inspect it without --stop",
                    tid.0,
                    errno.desc()
                ),
            },
        ))
    }

    /// Returns when every thread stands still; those that have ended are forgotten.
    fn wait_for_all(&mut self, process: &ProcessDir, deadline: Instant) -> Result<(), Error> {
        let mut moving = self.threads.clone();
        loop {
            moving.retain(|&tid| !is_stopped(tid));
            let mut ended = HashSet::new();
            moving.retain(|&tid| {
                let is_there = !self.has_ended(process, tid);
                if !is_there {
                    ended.insert(tid.0);
                }
                is_there
            });
            self.threads.retain(|tid| !ended.contains(&tid.0));
            let Some(first) = moving.first() else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(self.too_slow(process, *first));
            }
            std::thread::sleep(PAUSE);
        }
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
        matches!(self.state(process, tid), None | Some(b'Z' | b'X'))
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
fn raw(tid: Tid) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(i32::try_from(tid.0).unwrap_or(i32::MAX))
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
