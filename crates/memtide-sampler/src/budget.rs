//! The sampler's budget: what a read costs decides how often it is done.
//!
//! Each kind of read owns a share of the budget (a fraction of one core). After a read that cost
//! `c` seconds of CPU it is not due again before `c / share` seconds have passed, so the kind can
//! never use more than its share, whatever the target looks like. Reads that hold the target's
//! mmap lock are held to a second bound of the same form on their wall-clock time, because it is
//! the time and not the CPU that the target waits for. The shares add up to the whole, so the sum
//! holds without any bookkeeping between the kinds.
//!
//! `statm`, `stat` and `status` are read at every tick: that is the cadence the user asked for.

use memtide_model::{Nanos, ReadCost, ReadKind};

/// Default for all reads together, as a fraction of one core.
pub const DEFAULT_SHARE: f64 = 0.01;

/// Bound on the wall-clock time of reads that hold the target's mmap lock (smaps, `smaps_rollup`),
/// as a fraction of time. `smaps_rollup` was seen to hold the lock of a process with 60,000
/// mappings for 20 ms.
pub const LOCK_DUTY: f64 = 0.01;

/// Where smaps is so dear that it is due less often than this, `smaps_rollup` is read in between.
pub const ROLLUP_WHEN_SMAPS_EVERY: Nanos = Nanos::from_secs(30);

/// The part of the budget that belongs to each kind. They add up to less than one: what is left
/// pays for the basics and for writing the recording.
const fn share_of(kind: ReadKind, near_limit: bool) -> f64 {
    match kind {
        // Near a limit what the group uses is worth more than where exactly it is.
        ReadKind::Smaps if near_limit => 0.21,
        ReadKind::Cgroup if near_limit => 0.30,
        // Never asked: the basics are not governed.
        ReadKind::Basics => 1.0,
        ReadKind::Smaps => 0.48,
        ReadKind::Threads => 0.15,
        ReadKind::SmapsRollup | ReadKind::Descriptors | ReadKind::Children => 0.07,
        ReadKind::Session | ReadKind::Cgroup | ReadKind::Host | ReadKind::Queues => 0.03,
        ReadKind::Wchan => 0.02,
        ReadKind::Tmpfs => 0.015,
    }
}

const fn holds_mmap_lock(kind: ReadKind) -> bool {
    matches!(kind, ReadKind::Smaps | ReadKind::SmapsRollup)
}

/// What one read cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// CPU time of the reading thread.
    pub cpu: Nanos,
    /// Wall-clock time.
    pub wall: Nanos,
}

#[derive(Clone, Copy, Debug)]
struct Meter {
    cost: ReadCost,
    due: Nanos,
    interval: Nanos,
}

/// Decides what is due and keeps the account of costs.
#[derive(Clone, Debug)]
pub struct Budget {
    share: f64,
    near_limit: bool,
    meters: [Meter; ReadKind::ALL.len()],
}

impl Budget {
    /// A budget of `share` of one core, 0 < `share` ≤ 1 (values outside are brought inside).
    pub fn new(share: f64) -> Self {
        let meter = |kind| Meter {
            cost: ReadCost {
                kind,
                reads: 0,
                skipped: 0,
                failed: 0,
                cpu: Nanos(0),
                longest: Nanos(0),
            },
            due: Nanos(0),
            interval: Nanos(0),
        };
        Self {
            share: share.clamp(1e-4, 1.0),
            near_limit: false,
            meters: ReadKind::ALL.map(meter),
        }
    }

    /// Whether `kind` may be read at `now`. A refusal is counted as a read that was put off.
    pub fn admits(&mut self, kind: ReadKind, now: Nanos) -> bool {
        let meter = self.meter(kind);
        let due = now >= meter.due;
        if !due {
            meter.cost.skipped += 1;
        }
        due
    }

    /// Notes a read that began at `began`, and when the next may be.
    pub fn charge(&mut self, kind: ReadKind, began: Nanos, spent: Spent) {
        let share = self.share * share_of(kind, self.near_limit);
        let meter = self.meter(kind);
        meter.cost.reads += 1;
        meter.cost.cpu += spent.cpu;
        meter.cost.longest = meter.cost.longest.max(spent.wall);
        if kind == ReadKind::Basics {
            return;
        }
        let mut interval = spent.cpu.as_secs_f64() / share;
        if holds_mmap_lock(kind) {
            interval = interval.max(spent.wall.as_secs_f64() / LOCK_DUTY);
        }
        meter.interval = Nanos::from_secs_f64(interval);
        meter.due = began + meter.interval;
    }

    /// Says whether the target is near a limit of memory: then its group is read more often, and its mappings
    /// less often.
    pub fn near_limit(&mut self, is_near: bool) {
        self.near_limit = is_near;
    }

    /// Makes `kind` due at once, whatever its last read cost; for the first reads of a program.
    pub fn due_now(&mut self, kind: ReadKind) {
        self.meter(kind).due = Nanos(0);
    }

    /// Notes a read that failed.
    pub fn failed(&mut self, kind: ReadKind) {
        self.meter(kind).cost.failed += 1;
    }

    /// The interval that the last read of `kind` earned; zero before the first.
    pub fn interval(&self, kind: ReadKind) -> Nanos {
        self.meters
            .iter()
            .find(|meter| meter.cost.kind == kind)
            .map_or(Nanos(0), |m| m.interval)
    }

    /// What each kind cost so far; kinds that were never read are left out.
    pub fn costs(&self) -> Vec<ReadCost> {
        let used = |cost: &ReadCost| cost.reads + cost.skipped + cost.failed > 0;
        self.meters
            .iter()
            .map(|meter| meter.cost)
            .filter(used)
            .collect()
    }

    fn meter(&mut self, kind: ReadKind) -> &mut Meter {
        let at = self.meters.iter().position(|meter| meter.cost.kind == kind);
        at.and_then(|at| self.meters.get_mut(at))
            .expect("there is a meter for each kind")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend(kind: ReadKind, cpu_ms: f64, wall_ms: f64, seconds: u64) -> (f64, u64) {
        let mut budget = Budget::new(DEFAULT_SHARE);
        let spent = Spent {
            cpu: Nanos::from_secs_f64(cpu_ms / 1e3),
            wall: Nanos::from_secs_f64(wall_ms / 1e3),
        };
        for tick in 0..seconds {
            let now = Nanos::from_secs(1000 + tick);
            if budget.admits(kind, now) {
                budget.charge(kind, now, spent);
            }
        }
        let cost = *budget.costs().first().unwrap();
        assert_eq!(cost.reads + cost.skipped, seconds);
        (cost.cpu.as_secs_f64() / seconds as f64, cost.reads)
    }

    #[test]
    fn a_cheap_read_is_done_at_every_tick() {
        assert_eq!(spend(ReadKind::Smaps, 0.3, 0.3, 600).1, 600);
    }

    #[test]
    fn a_dear_read_stays_within_its_share() {
        // 10,000 mappings: 100 ms a read.
        let (duty, reads) = spend(ReadKind::Smaps, 100.0, 100.0, 3600);
        assert!(
            duty <= DEFAULT_SHARE * share_of(ReadKind::Smaps, false) * 1.01,
            "{duty}"
        );
        assert_eq!(reads, 3600_u64.div_ceil(21));
    }

    #[test]
    fn a_read_that_waits_is_held_to_its_wall_clock_time() {
        // Little CPU, but the lock is held for half a second.
        let (_, reads) = spend(ReadKind::SmapsRollup, 0.1, 500.0, 1000);
        assert_eq!(reads, 1000 / 50);
    }

    #[test]
    fn the_shares_leave_room_for_the_basics() {
        for near_limit in [false, true] {
            let sum: f64 = ReadKind::ALL
                .into_iter()
                .filter(|k| *k != ReadKind::Basics)
                .map(|kind| share_of(kind, near_limit))
                .sum();
            assert!(sum < 1.0, "{sum}");
        }
    }
}
