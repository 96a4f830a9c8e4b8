//! What becomes of the target: another program, an end, another owner of its number. The sentences
//! for it, and how an end is known.
//!
//! How a process ended is told by field 52 of a zombie's `stat` to whoever may trace it, and after it
//! was reaped by its pidfd (Linux 6.15 and newer). Where neither does, it is not known, and said so.

use crate::basics::Pulse;
use memtide_model::{Event, EventKind, Nanos, Pid, ProcessId};
use memtide_proc::{Buffer, ExitStatus, PidFd, ProcRoot, parse::stat};

/// SIGKILL, signal(7).
const SIGKILL: u8 = 9;

/// How an end is reported.
pub(crate) struct End {
    pub(crate) at: Nanos,
    pub(crate) id: ProcessId,
    pub(crate) name: String,
    /// Its last `stat`, of a zombie.
    pub(crate) zombie: Option<Pulse>,
    /// Whether the zombie's wait status may be believed: without ptrace access it reads as zero.
    pub(crate) may_read_status: bool,
    /// Whether its cgroup's count of OOM kills rose since the last tick.
    pub(crate) group_was_killed_in: bool,
}

impl End {
    /// The events, in order: the end, the OOM killer, the zombie, the pid's new owner.
    pub(crate) fn events(
        &self,
        root: &ProcRoot,
        pidfd: Option<&PidFd>,
        buffer: &mut Buffer,
    ) -> Vec<Event> {
        let of_zombie = self.zombie.filter(|_| self.may_read_status);
        let status = of_zombie.and_then(|pulse| pulse.exit_code).or_else(|| {
            pidfd
                .and_then(|pidfd| pidfd.exit_status().ok().flatten())
                .map(raw)
        });
        let mut events = vec![self.event(EventKind::Exit, self.sentence(status), status)];
        let killed = status.map(ExitStatus::from_wait_status);
        let by_sigkill = matches!(
            killed,
            None | Some(ExitStatus::Signal {
                signal: SIGKILL,
                ..
            })
        );
        if self.group_was_killed_in && by_sigkill {
            let text = format!(
                "the OOM killer was at work in its control group as it ended: the group's oom_kill counter rose \
                 (pid {})",
                self.id.pid
            );
            events.push(self.event(EventKind::GroupOom, text, None));
        }
        if let Some(pulse) = self.zombie {
            let text = format!(
                "it is a zombie until its parent, pid {}, reaps it",
                pulse.parent
            );
            events.push(self.event(EventKind::Zombie, text, None));
        } else if let Some(text) = self.successor(root, buffer) {
            events.push(self.event(EventKind::PidReused, text, None));
        }
        events
    }

    fn event(&self, kind: EventKind, text: String, status: Option<i32>) -> Event {
        Event {
            at: self.at,
            kind,
            pid: self.id.pid,
            text,
            value: status.map(i64::from),
        }
    }

    fn sentence(&self, status: Option<i32>) -> String {
        let (pid, name) = (self.id.pid, &self.name);
        match status.map(ExitStatus::from_wait_status) {
            Some(ExitStatus::Code(code)) => {
                format!("pid {pid} ({name}) ended with exit code {code}")
            }
            Some(ExitStatus::Signal { signal, core }) => {
                let core = if core { ", core dumped" } else { "" };
                format!("pid {pid} ({name}) was ended by signal {signal}{core}")
            }
            None => format!("pid {pid} ({name}) has ended; how is not known"),
        }
    }

    fn successor(&self, root: &ProcRoot, buffer: &mut Buffer) -> Option<String> {
        let pid = self.id.pid;
        let process = root.process(pid).ok()?;
        let now = stat::parse(process.read("stat", buffer).ok()?).ok()?;
        (now.starttime != self.id.start).then(|| {
            let name = memtide_model::text::printable(now.comm);
            format!("pid {pid} now belongs to another process, {name}")
        })
    }
}

/// As waitpid(2) would encode it.
fn raw(status: ExitStatus) -> i32 {
    match status {
        ExitStatus::Code(code) => i32::from(code) << 8,
        ExitStatus::Signal { signal, core } => i32::from(signal) | i32::from(core) << 7,
    }
}

/// The event of an exec.
pub(crate) fn exec(at: Nanos, pid: Pid, before: &str, now: &str) -> Event {
    let text = if before == now {
        format!("pid {pid} started its program {now} again (exec)")
    } else {
        format!("pid {pid} now runs {now}; before it was {before} (exec)")
    };
    Event {
        at,
        kind: EventKind::Exec,
        pid,
        text,
        value: None,
    }
}
