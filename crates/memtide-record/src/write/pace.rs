//! How many rows of single mappings, threads and call stacks a recording may have.
//!
//! A process may have ten thousand mappings that all move at every tick. What is written of them is
//! bounded by three rules, none of which depends on the process:
//!
//! - at a tick the [`MOVERS`] that moved most since their last row, and no more than that many a
//!   second however short the interval is;
//! - after the first five minutes of a recording only those that moved much; the smaller ones
//!   wait for every tenth second (nobody needs seconds of a recording that took hours, and a short
//!   one has them all);
//! - once a minute all that changed at all, up to a number that each kind of rows has; as change adds
//!   up since the last row, each gets its turn.
//!
//! New identities (a mapping's address and name, a thread's tid and name) have an [`Allowance`] in
//! bytes, for processes that make and drop mappings or threads all the time.

use memtide_model::Nanos;

/// Rows at a tick and in a second.
pub(super) const MOVERS: usize = 32;
/// Rows of a sweep of mappings, and of threads.
pub(super) const SWEEP: usize = 512;
/// How long every movement counts.
const CLOSE: Nanos = Nanos::from_secs(300);
/// How often small movements count after that.
const SMALL: Nanos = Nanos::from_secs(10);
/// Between two sweeps.
const BETWEEN_SWEEPS: Nanos = Nanos::from_secs(60);
/// Unused rows are kept for so long.
const CREDIT: Nanos = Nanos::from_secs(10);

/// What may be written at a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// All that changed, not only what moved.
    pub(super) sweep: bool,
    /// Only what moved much.
    pub(super) large_only: bool,
    /// At most so many rows.
    pub(super) rows: usize,
}

impl Extent {
    /// Everything that changed: at a sweep, and at the end of a recording.
    pub(super) const fn all(rows: usize) -> Self {
        Self {
            sweep: true,
            large_only: false,
            rows,
        }
    }
}

/// The clockwork of one kind of rows.
#[derive(Debug)]
pub(super) struct Pace {
    start: Nanos,
    sweep: Option<Nanos>,
    small: Nanos,
    last: Nanos,
    credit: Nanos,
    /// Rows of a sweep while every movement counts, and later.
    swept: (usize, usize),
}

impl Pace {
    /// With so many rows at a sweep of the first five minutes, and at later ones.
    pub(super) fn new(start: Nanos, swept: (usize, usize)) -> Self {
        Self {
            start,
            swept,
            sweep: None,
            small: start,
            last: start,
            credit: CREDIT,
        }
    }

    /// What may be written now.
    pub(super) fn extent(&mut self, now: Nanos) -> Extent {
        self.credit = (self.credit + (now - self.last)).min(CREDIT);
        self.last = now;
        let long = now - self.start >= CLOSE;
        if self.sweep.is_none_or(|last| now - last >= BETWEEN_SWEEPS) {
            self.sweep = Some(now);
            self.small = now;
            let (close, later) = self.swept;
            return Extent::all(if long { later } else { close });
        }
        let large_only = long && now - self.small < SMALL;
        if !large_only {
            self.small = now;
        }
        let rows = usize::try_from(self.credit.0 / Self::ROW.0)
            .unwrap_or(MOVERS)
            .min(MOVERS);
        self.credit = self.credit - Nanos(Self::ROW.0 * rows as u64);
        Extent {
            sweep: false,
            large_only,
            rows,
        }
    }

    /// What one row costs of the credit.
    const ROW: Nanos = Nanos(Nanos::SECOND.0 / MOVERS as u64);

    /// Gives back what was not used of an extent.
    pub(super) fn unused(&mut self, rows: usize) {
        self.credit = (self.credit + Nanos(Self::ROW.0 * rows as u64)).min(CREDIT);
    }

    /// The next turn is a sweep, after a transaction that failed.
    pub(super) fn sweep_next(&mut self) {
        self.sweep = None;
    }
}

/// Bytes that new identities may take: 256 KiB at once and 256 in a second.
#[derive(Debug)]
pub(super) struct Allowance {
    bytes: u64,
    last: Nanos,
}

impl Allowance {
    const MOST: u64 = 256 * 1024;
    const PER_SECOND: u64 = 256;

    pub(super) fn new(start: Nanos) -> Self {
        Self {
            bytes: Self::MOST,
            last: start,
        }
    }

    /// Time brings new allowance.
    pub(super) fn refill(&mut self, now: Nanos) {
        let seconds = (now - self.last).0 / Nanos::SECOND.0;
        self.bytes = (self
            .bytes
            .saturating_add(seconds.saturating_mul(Self::PER_SECOND)))
        .min(Self::MOST);
        self.last += Nanos::from_secs(seconds);
    }

    /// Whether there is enough for an identity of so many bytes; takes it.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let need = bytes as u64 + 24;
        let left = self.bytes.checked_sub(need);
        self.bytes = left.unwrap_or(self.bytes);
        left.is_some()
    }
}

/// What decides who is written: two measures of movement, and a number of its own (an address, a
/// tid) that settles ties the same way each time.
pub(super) type Rank = (u64, u64, u64);

/// Cuts `candidates` down to the `rows` with the greatest rank, in no particular order.
pub(super) fn greatest<T>(candidates: &mut Vec<(Rank, T)>, rows: usize) {
    if candidates.len() > rows {
        if let Some(last) = rows.checked_sub(1) {
            candidates.select_nth_unstable_by(last, |a, b| b.0.cmp(&a.0));
        }
        candidates.truncate(rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_in(seconds: u64, per_second: u64) -> (usize, usize) {
        let mut pace = Pace::new(Nanos(0), (SWEEP, SWEEP));
        let (mut swept, mut moved) = (0, 0);
        for tick in 0..seconds * per_second {
            let extent = pace.extent(Nanos(tick * Nanos::SECOND.0 / per_second));
            *(if extent.sweep { &mut swept } else { &mut moved }) += extent.rows;
        }
        (swept, moved)
    }

    #[test]
    fn the_interval_does_not_change_how_many_rows_there_may_be() {
        let (swept, moved) = rows_in(600, 1);
        assert_eq!(swept, 10 * SWEEP);
        assert!((18_000..=19_520).contains(&moved), "{moved}");
        let (swept, moved) = rows_in(600, 20);
        assert_eq!(swept, 10 * SWEEP);
        assert!((18_000..=19_520).contains(&moved), "{moved}");
    }

    #[test]
    fn small_movements_wait_for_ten_seconds_once_a_recording_is_long() {
        let mut pace = Pace::new(Nanos(0), (SWEEP, SWEEP));
        let small = |range: std::ops::Range<u64>, pace: &mut Pace| {
            range
                .filter(|second| !pace.extent(Nanos::from_secs(*second)).large_only)
                .count()
        };
        assert_eq!(small(0..300, &mut pace), 300);
        let later = small(300..900, &mut pace);
        assert!((55..=65).contains(&later), "{later}");
    }

    #[test]
    fn new_names_run_out_and_come_back_with_time() {
        let mut allowance = Allowance::new(Nanos(0));
        let name = "x".repeat(1_000);
        assert_eq!(
            (0..1_000).filter(|_| allowance.take(name.len())).count(),
            256
        );
        allowance.refill(Nanos::from_secs(40));
        assert_eq!(
            (0..1_000).filter(|_| allowance.take(name.len())).count(),
            10
        );
    }
}
