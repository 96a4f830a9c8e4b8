//! What looks into the malloc heap from outside add to the samples: few, exact, each at its own moment.
//!
//! Only conclusive snapshots after the last exec count. At the moment of one (the middle of its walk)
//! are known: A, the resident bytes of the arenas; l, those of them that live blocks take; m, the
//! resident bytes of chunks with a mapping of their own, which are live by nature. With h and a the
//! resident bytes of the sampler's classes of heap and of other anonymous memory, a tick at t is divided
//! by three numbers. A, l, m and A − h are interpolated between the two snapshots around it; outside of
//! them those of the nearest one hold:
//!
//! ```text
//! share  = l / A       live part of the arenas: exact where both grow evenly, and what grows by leaps
//!                      is divided like what lies around it
//! beyond = A − h       arenas that lie in anon (brk was blocked); below 0: what of [heap] is not malloc's,
//!                      or what came between two reads
//! own    = m
//!
//! own'    = min(own, a)                           moves from anon to live
//! R       = h + beyond, within 0 and h + a − own'   malloc's arenas at t
//! excess  = max(0, R − h)                         moves from anon to the heap
//! live    = own' + share · R
//! retained = h + excess − share · R
//! anon'   = a − own' − excess                     live + retained + anon' = h + a, always
//! ```
//!
//! At a snapshot's own moment h + beyond = A, so its own figures come out. It refuses to guess between
//! snapshots: a burst that comes and goes unseen moves the heap's classes, not the live share.

use crate::record::class_maps;
use crate::statistics::Series;
use memtide_model::{Account, Bytes, HeapSnapshot, Nanos, Observations};

/// What the snapshots tell of the time of a record; empty where nobody looked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshots {
    /// In order of time.
    looks: Vec<Look>,
}

/// One conclusive snapshot in numbers, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Look {
    /// The middle of its walk.
    pub at: Nanos,
    /// RSS then.
    pub rss: f64,
    /// Resident part of live blocks, those with a mapping of their own included.
    pub live: f64,
    /// All of their bytes, resident or not.
    pub live_bytes: f64,
    /// Resident part of those with a mapping of their own.
    pub own: f64,
    /// All resident bytes of malloc's memory.
    pub resident: f64,
    /// Resident bytes of the arenas less those of the sampler's heap classes at that moment.
    pub beyond: f64,
}

/// Heap and anonymous memory of a tick, divided; the sum is what it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Division {
    /// Live blocks.
    pub live: Bytes,
    /// What malloc keeps, and its overhead.
    pub retained: Bytes,
    /// Anonymous memory that is not malloc's.
    pub anon: Bytes,
}

impl Look {
    fn of(snapshot: &HeapSnapshot, heap: &Series) -> Self {
        let totals = &snapshot.totals;
        let at = middle(snapshot);
        let resident = totals.heap_resident.as_f64();
        let own = totals.mmapped_resident.as_f64().min(resident);
        let here = heap.at(at.as_secs_f64()).unwrap_or(resident - own);
        Self {
            at,
            rss: snapshot.rss.as_f64(),
            // Hostile or raced books: no more is live than is there, and mapped chunks are live.
            live: totals.live_resident.as_f64().clamp(own, resident),
            live_bytes: totals.live_bytes.as_f64(),
            own,
            resident,
            beyond: resident - own - here,
        }
    }

    /// Resident bytes of the arenas.
    pub fn arenas(&self) -> f64 {
        self.resident - self.own
    }

    /// Of them live.
    pub fn live_in_arenas(&self) -> f64 {
        self.live - self.own
    }

    /// What malloc keeps and the program does not use.
    pub fn kept(&self) -> f64 {
        self.resident - self.live
    }
}

impl Snapshots {
    /// What the observations hold of them after the last exec.
    pub fn of(observations: &Observations) -> Self {
        let exec = crate::record::last_exec(observations);
        let heap = Series::of((observations.samples.iter()).filter_map(|sample| {
            let maps = class_maps(sample).filter(|_| Some(sample.at) > exec)?;
            Some((
                sample.at.as_secs_f64(),
                maps.account(Account::Heap).as_f64(),
            ))
        }));
        Self {
            looks: (conclusive(observations).into_iter())
                .map(|snapshot| Look::of(snapshot, &heap))
                .collect(),
        }
    }

    /// They, in order of time.
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// Those up to a moment.
    #[must_use]
    pub fn until(&self, at: Nanos) -> Self {
        let looks = self.looks.iter().filter(|look| look.at <= at);
        Self {
            looks: looks.copied().collect(),
        }
    }

    /// Divides the resident bytes of the heap classes and of anonymous memory at a moment; `None` where
    /// nobody looked at any time.
    pub fn divide(&self, at: Nanos, heap: Bytes, anon: Bytes) -> Option<Division> {
        let behind = self.looks.partition_point(|look| look.at <= at);
        let before = self.looks.get(behind.wrapping_sub(1));
        let (from, to) = match (before, self.looks.get(behind)) {
            (Some(from), Some(to)) => (from, to),
            (Some(only), None) | (None, Some(only)) => (only, only),
            (None, None) => return None,
        };
        let way = (at.seconds_since(from.at) / to.at.seconds_since(from.at).max(1e-9)).min(1.0);
        let between = |value: fn(&Look) -> f64| value(from) + way * (value(to) - value(from));
        let own = whole(between(|look| look.own)).min(anon);
        let anon = anon.saturating_sub(own);
        let beyond = between(|look| look.beyond);
        let excess = whole(beyond).min(anon);
        let arenas = heap.saturating_sub(whole(-beyond)) + excess;
        let malloc = heap + excess;
        let seen = between(Look::arenas);
        let share = if seen > 0.0 {
            between(Look::live_in_arenas) / seen
        } else {
            0.0
        };
        let live = whole(share * arenas.as_f64()).min(malloc);
        Some(Division {
            live: own + live,
            retained: malloc.saturating_sub(live),
            anon: anon.saturating_sub(excess),
        })
    }
}

/// The snapshots that say something of the program that runs now, in order of time.
pub(crate) fn conclusive(observations: &Observations) -> Vec<&HeapSnapshot> {
    let mut all = of_program(observations);
    all.retain(|snapshot| snapshot.quality.is_conclusive());
    all
}

/// All snapshots after the last exec, in order of time.
pub(crate) fn of_program(observations: &Observations) -> Vec<&HeapSnapshot> {
    let exec = crate::record::last_exec(observations);
    let heap = observations.heap.as_ref();
    let mut all: Vec<&HeapSnapshot> = (heap.iter().flat_map(|heap| &heap.snapshots))
        .filter(|snapshot| Some(snapshot.at) > exec)
        .collect();
    all.sort_by_key(|snapshot| snapshot.at);
    all
}

/// The moment that a snapshot speaks of: the middle of its walk.
pub(crate) fn middle(snapshot: &HeapSnapshot) -> Nanos {
    snapshot.at + Nanos(snapshot.took.0 / 2)
}

/// A size that is computed as bytes; what is below zero is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, at zero, too"
)]
fn whole(bytes: f64) -> Bytes {
    Bytes(bytes.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(second: u64, live: f64, own: f64, resident: f64, beyond: f64) -> Look {
        Look {
            at: Nanos::from_secs(second),
            live,
            own,
            resident,
            beyond,
            ..Look::default()
        }
    }

    fn divide(looks: &[Look], second: u64, heap: u64, anon: u64) -> [u64; 3] {
        let snapshots = Snapshots {
            looks: looks.to_vec(),
        };
        let divided = snapshots
            .divide(Nanos::from_secs(second), Bytes(heap), Bytes(anon))
            .unwrap();
        assert_eq!(
            divided.live + divided.retained + divided.anon,
            Bytes(heap + anon)
        );
        [divided.live.0, divided.retained.0, divided.anon.0]
    }

    #[test]
    fn own_figures_come_out_and_shares_move_evenly_between() {
        // 1,000 resident, of them 200 with a mapping of their own; 400 of 800, then 600 of 800 are live.
        let two = [
            look(10, 600.0, 200.0, 1000.0, 0.0),
            look(20, 800.0, 200.0, 1000.0, 0.0),
        ];
        assert_eq!(divide(&two, 10, 800, 300), [600, 400, 100]);
        assert_eq!(divide(&two, 20, 800, 300), [800, 200, 100]);
        assert_eq!(divide(&two, 15, 800, 300), [700, 300, 100]);
        // Outside of them the nearest holds, and what is not there is not taken.
        assert_eq!(divide(&two, 1, 400, 100), [300, 200, 0]);
        assert_eq!(divide(&two, 99, 1600, 300), [1400, 400, 100]);
    }

    #[test]
    fn arenas_beyond_the_heap_come_from_anon_and_strangers_in_it_are_kept() {
        // brk was blocked: all 900 of the arenas lie in anon.
        let blocked = [look(10, 300.0, 0.0, 900.0, 900.0)];
        assert_eq!(divide(&blocked, 10, 0, 1000), [300, 600, 100]);
        assert_eq!(divide(&blocked, 10, 0, 300), [100, 200, 0]);
        // Of 1,000 in [heap] 400 were taken by somebody else's sbrk.
        let foreign = [look(10, 300.0, 0.0, 600.0, -400.0)];
        assert_eq!(divide(&foreign, 10, 1000, 50), [300, 700, 50]);
        assert_eq!(divide(&foreign, 10, 200, 50), [0, 200, 50]);
    }
}
