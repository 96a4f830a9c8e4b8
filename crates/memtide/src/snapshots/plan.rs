//! When the heap is looked at.

use memtide_model::{Bytes, Nanos};

/// The first interval; each is twice the one before.
const FIRST: Nanos = Nanos::from_secs(10);
/// Anonymous memory that has grown by this share since the last look calls for another.
const GROWN: f64 = 0.25;
/// And by this many bytes: a young process doubles its few pages all the time.
const GROWN_BYTES: Bytes = Bytes(1 << 20);

/// The moments of one recording.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// CPU time over time, 0 to 1.
    share: f64,
    start: Nanos,
    /// How far behind the start the next moment is.
    next: Nanos,
    /// Not before this, for the last look has to be paid for.
    allowed: Nanos,
    /// Anonymous memory at the last look.
    anon: Option<Bytes>,
}

impl Plan {
    pub(crate) const fn new(first: Nanos, share: f64) -> Self {
        Self {
            share,
            start: first,
            next: Nanos(0),
            allowed: first,
            anon: None,
        }
    }

    /// Whether to look now, with so much anonymous memory.
    pub(crate) fn is_due(&self, now: Nanos, anon: Bytes) -> bool {
        let has_grown = self.anon.is_some_and(|before| {
            let growth = anon.saturating_sub(before);
            growth >= GROWN_BYTES && growth.as_f64() >= GROWN * before.as_f64()
        });
        now >= self.allowed && (now >= self.start + self.next || has_grown)
    }

    /// A look begins.
    pub(crate) fn asked(&mut self, now: Nanos, anon: Bytes) {
        self.anon = Some(anon);
        while self.start + self.next <= now {
            self.next = Nanos((self.next.0 * 2).max(FIRST.0));
        }
    }

    /// A look has ended and cost so much CPU time.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive time; the cast saturates"
    )]
    pub(crate) fn took(&mut self, now: Nanos, cpu: Nanos) {
        let pause = cpu.0 as f64 / self.share.max(f64::MIN_POSITIVE);
        self.allowed = Nanos(now.0.saturating_add(pause as u64));
    }

    /// A look has ended, found nothing, and cost so much CPU time all the same. Growth calls for no other: it is
    /// not malloc's, or not to be read.
    pub(crate) fn missed(&mut self, now: Nanos, cpu: Nanos) {
        self.took(now, cpu);
        self.anon = None;
    }

    /// Begins anew, with another program.
    pub(crate) const fn restart(&mut self, first: Nanos) {
        *self = Self::new(first, self.share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// The seconds at which it looks, asked once a second, where memory is `anon(second)`.
    fn looks(seconds: u64, cost: Nanos, anon: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut plan = Plan::new(Nanos::from_secs(100), 0.01);
        (0..seconds)
            .filter(|second| {
                let now = Nanos::from_secs(100 + second);
                let due = plan.is_due(now, Bytes(anon(*second)));
                if due {
                    plan.asked(now, Bytes(anon(*second)));
                    plan.took(now, cost);
                }
                due
            })
            .collect()
    }

    #[test]
    fn a_quiet_heap_is_looked_at_ever_more_rarely() {
        let at = looks(400, Nanos(1_000_000), |_| 50 * MIB);
        assert_eq!(at, [0, 10, 20, 40, 80, 160, 320]);
    }

    #[test]
    fn growth_by_a_quarter_calls_for_another_look() {
        let at = looks(60, Nanos(1_000_000), |second| (100 + 5 * second) * MIB);
        assert_eq!(at, [0, 5, 10, 18, 20, 30, 40, 55]);
    }

    #[test]
    fn looks_in_vain_are_paid_for_and_growth_calls_for_no_more() {
        let mut plan = Plan::new(Nanos::from_secs(100), 0.01);
        let at: Vec<u64> = (0..100)
            .filter(|second| {
                let now = Nanos::from_secs(100 + second);
                let due = plan.is_due(now, Bytes(MIB << second.min(&40)));
                if due {
                    plan.asked(now, Bytes(MIB << second.min(&40)));
                    // 0.15 s at 1 %: not within a quarter of a minute.
                    plan.missed(now, Nanos(150_000_000));
                }
                due
            })
            .collect();
        assert_eq!(at, [0, 15, 30, 45, 80]);
    }

    #[test]
    fn a_costly_look_is_paid_for_before_the_next() {
        // 0.3 s at 1 %: not within half a minute, however it grows.
        let at = looks(100, Nanos(300_000_000), |second| {
            (1 << second.min(30)) * MIB
        });
        assert_eq!(at, [0, 30, 60, 90]);
    }
}
