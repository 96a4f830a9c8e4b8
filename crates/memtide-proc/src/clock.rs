//! Clocks and constants of the system.

use memtide_model::{Bytes, Nanos};
use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_BOOTTIME`: since boot, suspended time counted in. The clock of every recording.
pub fn boottime() -> Nanos {
    read(ClockId::Boottime)
}

/// `CLOCK_MONOTONIC`: since boot, suspended time left out.
pub fn monotonic() -> Nanos {
    read(ClockId::Monotonic)
}

/// `CLOCK_REALTIME`: nanoseconds since 1970; a clock that was never set may lie before.
pub fn realtime() -> i64 {
    let time = clock_gettime(ClockId::Realtime);
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec)
}

/// CPU time that the calling thread has used so far, user and system.
pub fn thread_cpu() -> Nanos {
    read(ClockId::ThreadCPUTime)
}

/// CPU time that this process has used so far, user and system, of all threads.
pub fn process_cpu() -> Nanos {
    read(ClockId::ProcessCPUTime)
}

/// Size of a page, by the auxiliary vector.
pub fn page_size() -> Bytes {
    Bytes(rustix::param::page_size() as u64)
}

/// Clock ticks per second: the unit of CPU times and start times in `stat`.
pub fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

fn read(clock: ClockId) -> Nanos {
    let time = clock_gettime(clock);
    // None of these clocks is ever negative.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_agree_with_the_standard_library_and_go_forward() {
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let off = i128::from(realtime()) - i128::try_from(wall.as_nanos()).unwrap();
        assert!(off.abs() < 1_000_000_000, "realtime is off by {off} ns");
        let earlier = monotonic();
        assert!(
            boottime() >= earlier,
            "boottime counts suspended time in, monotonic does not"
        );
        let before = thread_cpu();
        let mut spun = 0_u64;
        while thread_cpu() == before {
            spun += 1;
        }
        assert!(spun < 1_000_000_000 && process_cpu() >= thread_cpu());
    }

    #[test]
    fn uptime_is_boottime() {
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
        assert!((boottime().as_secs_f64() - uptime).abs() < 1.0);
    }
}
