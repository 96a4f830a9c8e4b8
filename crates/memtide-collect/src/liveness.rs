//! Whether the process that wrote a region still runs.
//!
//! By its pid, its state and its start time, as a pid alone may belong to somebody else by now; and by the
//! lock that the shim holds on the region, which needs no pid. Where pids are comparable both must hold,
//! because a child of fork keeps its parent's lock until it begins a region of its own. A process in
//! another pid namespace has the lock alone. Where there is nothing to go by, it counts as running:
//! its region is read on, and never removed.

use crate::namespace::Namespace;
use memtide_model::Nanos;
use memtide_region::reader::Summary;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::File;

/// A region may seem to be this much older than its process: clock ticks are coarse, and both clocks
/// round down.
const SLACK: Nanos = Nanos(50_000_000);

/// After its ordinary end a process has so long for what it does last.
const LAST_MOMENTS: Nanos = Nanos::SECOND;

/// What a region shows of its process's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signs {
    namespace: Namespace,
    /// Whether the lock is held; `None` where none was taken, or that cannot be told.
    is_held: Option<bool>,
    /// When it ended in the ordinary way.
    end: Option<Nanos>,
}

impl Signs {
    /// As they are now.
    pub(crate) fn of(file: &File, summary: &Summary) -> Self {
        Self {
            namespace: Namespace::of(summary.pid_namespace),
            is_held: summary.is_locked.then(|| is_held(file)).flatten(),
            end: (summary.end > 0).then_some(Nanos(summary.end)),
        }
    }

    /// Whether it runs; `by_pid` tells it of a process whose pid is one of those here.
    pub(crate) fn show_life(&self, now: Nanos, by_pid: impl FnOnce() -> bool) -> bool {
        match (self.namespace, self.is_held) {
            (Namespace::Own, Some(false)) => false,
            (Namespace::Own, _) | (Namespace::Unknown, None) => by_pid(),
            (Namespace::Other(_) | Namespace::Unknown, Some(is_held)) => is_held,
            (Namespace::Other(_), None) => self.end.is_none_or(|end| now < end + LAST_MOMENTS),
        }
    }
}

/// Whether anybody holds a lock on a region; `None` where the file system has none.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the constants are below three, and libc has them as another type than its own field"
)]
pub(crate) fn is_held(file: &File) -> Option<bool> {
    // SEEK_SET, from 0 on, to the end: all of it.
    let mut asked = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut asked)).ok()?;
    Some(i32::from(asked.l_type) != libc::F_UNLCK)
}

/// Whether process `pid` runs and is old enough to have made a region at `region_start`
/// (`CLOCK_BOOTTIME`). A zombie does not run. What /proc does not show counts as gone.
pub fn is_running(pid: u32, region_start: Nanos) -> bool {
    // The name of a thread is arbitrary bytes, so text it is not.
    let Ok(stat) = std::fs::read(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let Some((state, started)) = state_and_start(&stat) else {
        return false;
    };
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    let started = Nanos(started.saturating_mul(Nanos::SECOND.0 / ticks_per_second));
    !matches!(state, b'Z' | b'X') && started <= region_start + SLACK
}

/// Fields 3 and 22 of `/proc/PID/stat` (proc(5)).
fn state_and_start(stat: &[u8]) -> Option<(u8, u64)> {
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.bytes().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn fields_are_counted_behind_the_last_parenthesis() {
        let stat = b"7 (a) S 1) R 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 2 3";
        assert_eq!(state_and_start(stat), Some((b'R', 4711)));
        assert_eq!(state_and_start(b"7 (a) R 1 2"), None);
        assert_eq!(state_and_start(b""), None);
    }

    #[test]
    fn a_child_runs_until_it_is_a_zombie_and_never_before_it_started() {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        assert!(is_running(child.id(), Nanos(u64::MAX)));
        let long_ago = "it is younger than the region, so the region is another process's";
        assert!(!is_running(child.id(), Nanos(0)), "{long_ago}");
        drop(child.stdin.take());
        let mut waited = 0;
        while is_running(child.id(), Nanos(u64::MAX)) {
            std::thread::sleep(std::time::Duration::from_millis(5));
            waited += 1;
            assert!(
                waited < 2000,
                "the child ended, and is a zombie until it is waited for"
            );
        }
        child.wait().unwrap();
        assert!(!is_running(child.id(), Nanos(u64::MAX)));
    }
}
