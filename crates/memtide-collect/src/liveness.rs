//! Whether the process that wrote a region still runs: by its pid, its state and its start time, as a
//! pid alone may belong to somebody else by now.

use memtide_model::Nanos;

/// A region may seem to be this much older than its process: clock ticks are coarse, and both clocks
/// round down.
const SLACK: Nanos = Nanos(50_000_000);

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
