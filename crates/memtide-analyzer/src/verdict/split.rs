//! Stage 4: what growth consists of, where the preload shim counted live blocks, or where looks into the
//! heap saw them ([`super::between`]).
//!
//! The shim decides first, for it has totals at every tick; where its sums leave the cause open (too few
//! samples, blocks touched long after they were made) and the looks do not, the looks decide.
//!
//! By the shim, with a the anonymous memory, l the live blocks with what the allocator adds to them, m the live
//! mappings that the program made itself, and D the growth that is judged:
//!
//! * live share: Δl / D, or 1 − Δ(a − l) / D, whichever of l and a − l scatters less. Under a sawtooth of
//!   blocks the difference is the quiet one, because the swings cancel; under one of mappings l is;
//! * mapped share: Δm / D, at most what is not live;
//! * kept share: the greater of Δ max(0, h − l) and Δ max(0, a − l − m), over D, with h the heap's own
//!   mappings. Nothing but malloc has memory there, so the first stands beside any mappings; the second
//!   serves where large blocks lie elsewhere, and where the allocator's heap is anonymous memory like
//!   any other. With glibc it is at most Δh: what it keeps lies there, large blocks it gives back. Both
//!   are clipped at zero: where more is live than is resident, blocks made long ago are being touched.
//!
//! A live share of .6 is a leak, one of .4 with a kept share of .6 fragmentation; leaks had .97 to 1.02,
//! fragmentation 0 to .01. In sampled mode the live share must also be on the right side of the other
//! limit by its 90 % error: a block of s bytes is drawn with probability p = 1 − e^(−s/interval) and
//! weighs s/p, which has variance s²(1 − p)/p; to the sum of these over the growth comes what the
//! series itself scatters by.

use super::between;
use super::facts::Facts;
use super::heap::Subject;
use crate::record::Track;
use crate::statistics::quantile::robust_deviation;
use crate::statistics::{Series, blocks, theil_sen};
use crate::thresholds::{BLOCKS, FORECAST_SLACK, FREE_SHARE, LIVE_SHARE};
use crate::trail::Trail;
use memtide_model::{HeapMode, MappingClass, Slope, Unit};

/// One-sided 95 % quantile of the normal distribution.
const NORMAL: f64 = 1.645;

/// What growth consists of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Parts {
    /// The growth, in bytes.
    pub(super) grown: f64,
    /// Share of live blocks.
    pub(super) live: f64,
    /// Share of mappings that the program made itself.
    pub(super) mapped: f64,
    /// Share of free memory that the allocator keeps.
    pub(super) kept: f64,
    /// Half of the 90 % interval of the live share; 0 where every block was counted.
    pub(super) error: f64,
    /// The highest live bytes so far over what is resident at the end.
    pub(super) peak: f64,
    /// Who tells.
    pub(super) by: By,
}

/// Who tells what growth consists of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum By {
    /// The preload shim, which counted all blocks.
    Shim,
    /// Looks into the heap.
    Looks {
        /// How many.
        count: usize,
        /// Seconds from the first to the last.
        seconds: f64,
        /// True if what grew since one of them has the opposite cause of what grew before.
        turned: bool,
    },
}

/// What the parts say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Live blocks.
    Live,
    /// Mappings of the program's own.
    Mapped,
    /// Memory that was freed and is kept.
    Kept,
    /// None of them alone.
    Mixed,
}

impl Parts {
    /// The parts of the growth of the subject; `None` where nobody knows of live blocks or nothing grew.
    pub(super) fn of(facts: &Facts, subject: &Subject) -> Option<Self> {
        let counted = Self::counted(facts, &subject.series);
        let seen = between::parts(facts, subject);
        let is_open = |parts: &Self| parts.cause() == Cause::Mixed;
        if counted.is_none_or(|parts| is_open(&parts)) && seen.is_some_and(|parts| !is_open(&parts))
        {
            return seen;
        }
        counted.or(seen)
    }

    /// The parts by the shim's sums.
    fn counted(facts: &Facts, series: &Series) -> Option<Self> {
        let grown = series.delta();
        let anon = facts.series(Track::Anon);
        let live = facts.series(Track::LiveWithOverhead);
        let mapped = facts.series(Track::Mapped);
        if live.len() < BLOCKS || grown < facts.material {
            return None;
        }
        let (heap, rest) = (heap(facts), less(&anon, &live));
        let by_blocks = scatter(&live) <= scatter(&rest);
        let of_blocks = if by_blocks {
            live.delta()
        } else {
            grown - rest.delta()
        };
        let mut left = clipped(&less(&rest, &mapped)).delta();
        if facts.record.shim.is_glibc() {
            left = left.min(heap.delta());
        }
        let kept = clipped(&less(&heap, &live)).delta().max(left);
        let quiet = if by_blocks { &live } else { &rest };
        let totals = facts
            .record
            .shim
            .totals_at(facts.record.samples.last()?.at)?;
        Some(Self {
            grown,
            live: of_blocks / grown,
            mapped: mapped.delta().min(grown - of_blocks).max(0.0) / grown,
            kept: kept / grown,
            error: NORMAL * error(facts, scatter(quiet)) / grown,
            peak: totals.peak_bytes.as_f64() / anon.end().max(1.0),
            by: By::Shim,
        })
    }

    /// What they say.
    pub(super) fn cause(&self) -> Cause {
        self.cause_told(&mut Trail::unheard())
    }

    /// The same, with the shares and their limits in the trail.
    pub(super) fn cause_told(&self, trail: &mut Trail) -> Cause {
        if matches!(self.by, By::Looks { turned: true, .. }) {
            return Cause::Mixed;
        }
        let (live, error) = (self.live, self.error);
        if trail.at_least("live share", live, Unit::Share, LIVE_SHARE)
            && trail.above(
                "live share less its error",
                live - error,
                Unit::Share,
                FREE_SHARE,
            )
        {
            return Cause::Live;
        }
        let little = trail.at_most("live share", live, Unit::Share, FREE_SHARE)
            && trail.below(
                "live share and its error",
                live + error,
                Unit::Share,
                LIVE_SHARE,
            );
        if little && trail.at_least("kept share", self.kept, Unit::Share, LIVE_SHARE) {
            Cause::Kept
        } else if little && trail.at_least("mapped share", self.mapped, Unit::Share, LIVE_SHARE) {
            Cause::Mapped
        } else {
            Cause::Mixed
        }
    }
}

/// The rate at which live blocks grow, by the rate of what is judged and the share of it that they are. Resident memory
/// differs from them by whole pages, headers and unused ends, .4 to 2.3 % of the growth in records that are so
/// quiet that the interval of RSS is a tenth of that: hence the relative slack of forecasts in its half width. Where
/// blocks were sampled the share's own error comes to it.
///
/// Looks at what swings are another matter: they meet any phase of it, and know the share less well than RSS knows
/// the rate. That of the whole is told then.
pub(super) fn live_rate(of_subject: Slope, parts: &Parts) -> Slope {
    let (share, error) = match parts.by {
        By::Looks { .. } if parts.error > 0.0 => (1.0, 0.0),
        By::Looks { .. } | By::Shim => (parts.live, parts.error),
    };
    let per_second = share * of_subject.per_second;
    let half = FORECAST_SLACK * per_second.abs() + error * of_subject.per_second.abs();
    Slope {
        per_second,
        low: share * of_subject.low - half,
        high: share * of_subject.high + half,
    }
}

/// Resident memory of malloc's own mappings.
fn heap(facts: &Facts) -> Series {
    facts
        .series(Track::ClassRss(MappingClass::Heap))
        .plus(&facts.series(Track::ClassRss(MappingClass::Arena)))
}

fn less(a: &Series, b: &Series) -> Series {
    Series::of(a.paired(b).map(|(t, a, b)| (t, a - b)))
}

fn clipped(series: &Series) -> Series {
    Series::of((series.t.iter().zip(&series.y)).map(|(&t, &y)| (t, y.max(0.0))))
}

/// How far a series lies from its own line.
pub(super) fn scatter(series: &Series) -> f64 {
    robust_deviation(&blocks::residuals(series, theil_sen::slope(series)))
}

/// Standard error of the growth of live bytes; zero where every block is counted.
fn error(facts: &Facts, scatter: f64) -> f64 {
    let Some(stacks) = &facts.observations.stacks else {
        return 0.0;
    };
    if stacks.mode == HeapMode::Full {
        return 0.0;
    }
    let interval = stacks.interval.as_f64().max(1.0);
    let ends = |value: fn(&memtide_model::StackTotals) -> f64| {
        let at = |sample: Option<&memtide_model::Sample>| {
            sample.and_then(|sample| facts.record.shim.totals_at(sample.at))
        };
        let samples = &facts.record.samples;
        at(samples.last()).map_or(0.0, value) - at(samples.first()).map_or(0.0, value)
    };
    let bytes = ends(|totals| totals.live_bytes.as_f64()).max(0.0);
    let block = bytes / ends(|totals| totals.live_blocks as f64).max(1.0);
    let drawn = -(-block / interval).exp_m1();
    let each = if drawn > 0.0 {
        block * (1.0 - drawn) / drawn
    } else {
        interval
    };
    (each * bytes + scatter * scatter).sqrt()
}
