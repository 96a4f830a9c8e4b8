//! When the next tick is due, and how many were missed.
//!
//! Ticks lie on a fixed grid, so that a late one does not push all later ones; a grid point that
//! has passed is skipped and counted, never made up for in a burst.

use memtide_model::Nanos;

/// A grid of ticks.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    every: Nanos,
    next: Nanos,
}

impl Schedule {
    /// A grid with a tick each `every` from `start` on; `every` of zero counts as 1 ns.
    pub fn new(start: Nanos, every: Nanos) -> Self {
        Self {
            every: every.max(Nanos(1)),
            next: start,
        }
    }

    /// When the next tick is due.
    pub fn next(&self) -> Nanos {
        self.next
    }

    /// How far grid points are apart.
    pub fn every(&self) -> Nanos {
        self.every
    }

    /// Another grid, with its first point `every` after `now`; nothing where it is that grid already.
    pub fn repace(&mut self, now: Nanos, every: Nanos) {
        let every = every.max(Nanos(1));
        if every != self.every {
            *self = Self::new(now + every, every);
        }
    }

    /// A tick was taken at `now`: moves on to the first grid point after it and returns how many
    /// grid points had passed unused.
    pub fn taken(&mut self, now: Nanos) -> u64 {
        let late = (now - self.next).0 / self.every.0;
        self.next = Nanos(
            self.next
                .0
                .saturating_add((late + 1).saturating_mul(self.every.0)),
        );
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stay_on_the_grid_and_missed_ones_are_counted() {
        let s = Nanos::from_secs;
        let mut schedule = Schedule::new(s(10), s(1));
        assert_eq!(schedule.taken(s(10)), 0);
        assert_eq!(schedule.next(), s(11));
        // Half a second late: nothing is lost, the grid stays.
        assert_eq!(schedule.taken(Nanos(11_500_000_000)), 0);
        assert_eq!(schedule.next(), s(12));
        // The machine slept for an hour.
        assert_eq!(schedule.taken(Nanos(3_612_200_000_000)), 3600);
        assert_eq!(schedule.next(), s(3613));
        schedule.repace(s(3613), Nanos(200_000_000));
        assert_eq!(schedule.next(), Nanos(3_613_200_000_000));
        assert_eq!(schedule.taken(Nanos(3_613_700_000_000)), 2);
        schedule.repace(s(3614), Nanos(200_000_000));
        assert_eq!(
            schedule.next(),
            Nanos(3_613_800_000_000),
            "the same grid stays"
        );
    }
}
