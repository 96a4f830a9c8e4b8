//! Stage 4 by looks into the heap: what growth consists of between the first and the last of them.
//!
//! With G the growth of what is judged between two looks, l the resident part of live blocks, b all bytes of
//! live blocks, k what malloc keeps resident and the program does not use:
//!
//! * G = Δ(RSS of the looks) − Δ(rest), where the rest is what of RSS is not judged, interpolated between
//!   the samples around each look. A look's own RSS is read next to its walk: while a program grows by
//!   25 MB/s, a sample a third of a second away is off by a few percent of the growth;
//! * live share: min(Δl, Δb) / G. Where pages of blocks made long ago are touched, or come back from swap,
//!   l grows and b does not: that is a pool that fills, and no leak;
//! * kept share: Δk / G; the others: what of G is neither Δl nor Δk, memory that is not malloc's.
//!
//! They are used where G is material for the gate, and at least half of the growth that is judged. A
//! look from before the first sample is used where memory grew no faster until then: on a start it saw the
//! loader.
//!
//! Of a series that swings looks meet any phase: its scatter, taken for both ends, is the error.
//! Where what grew since one of the looks has the opposite cause of the whole, nothing is decided.

use super::facts::Facts;
use super::heap::{Owner, Subject};
use super::split::{By, Cause, Parts, scatter};
use crate::record::Track;
use crate::snapshots::Look;
use crate::statistics::Series;
use crate::thresholds::{LOOKS_PART_SHARE, LOOKS_SPAN_SHARE, SAME_ARENAS};
use memtide_model::MappingClass;

/// One-sided 95 % quantile of the normal distribution, for the difference of two values.
const NORMAL_OF_TWO: f64 = 1.645 * core::f64::consts::SQRT_2;

/// What is judged and what the heap held at one look, in bytes.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Second of the recording.
    t: f64,
    /// What is judged.
    judged: f64,
    /// Resident part of live blocks.
    live: f64,
    /// All bytes of live blocks.
    live_bytes: f64,
    /// What malloc keeps.
    kept: f64,
}

/// The parts of the growth of the subject; `None` where there are no two looks that bear it out.
pub(super) fn parts(facts: &Facts, subject: &Subject) -> Option<Parts> {
    let moments = moments(facts, subject)?;
    let (first, last) = (moments.first()?, moments.last()?);
    let grown = last.judged - first.judged;
    let wanted = (facts.record.gate_material()).max(LOOKS_SPAN_SHARE * subject.series.delta());
    if moments.len() < 2 || grown < wanted || subject.series.delta() < facts.material {
        return None;
    }
    let error = match subject.form.period {
        Some(_) => NORMAL_OF_TWO * scatter(&subject.series) / grown,
        None => 0.0,
    };
    let anon = facts.series(Track::Anon).end().max(1.0);
    let looks = facts.record.heap.looks();
    let highest = looks.iter().map(|look| look.live).fold(0.0, f64::max);
    let all = between(first, last, subject);
    let enough = facts.material.max(LOOKS_PART_SHARE * grown);
    Some(Parts {
        error,
        peak: highest / anon,
        by: By::Looks {
            count: moments.len(),
            seconds: last.t - first.t,
            turned: turned(&moments, subject, all.cause(), enough),
        },
        ..all
    })
}

/// The parts of the growth from one moment to another.
fn between(from: &Moment, to: &Moment, subject: &Subject) -> Parts {
    let grown = to.judged - from.judged;
    let touched = to.live - from.live;
    let live = touched.min(to.live_bytes - from.live_bytes);
    let kept = to.kept - from.kept;
    // Pages of a mapping of fixed size are no mappings that were made.
    let mapped = match subject.owner {
        Owner::FirstTouch => 0.0,
        _ => (grown - touched.max(0.0) - kept.max(0.0)).max(0.0),
    };
    Parts {
        grown,
        live: live / grown,
        mapped: mapped / grown,
        kept: kept / grown,
        error: 0.0,
        peak: 0.0,
        by: By::Looks {
            count: 2,
            seconds: to.t - from.t,
            turned: false,
        },
    }
}

/// True where what grew since some look has the opposite cause of the whole, or, where the whole has none,
/// of what grew before it. What grew first and grows no more must not decide about what goes on.
fn turned(moments: &[Moment], subject: &Subject, whole: Cause, enough: f64) -> bool {
    let [first, inner @ .., last] = moments else {
        return false;
    };
    inner.iter().any(|look| {
        let parts = [between(first, look, subject), between(look, last, subject)];
        let [before, since] = parts.map(|part| (part.grown >= enough).then(|| part.cause()));
        let before = match whole {
            Cause::Live | Cause::Kept => Some(whole),
            Cause::Mapped | Cause::Mixed => before,
        };
        matches!(
            (before, since),
            (Some(Cause::Live), Some(Cause::Kept)) | (Some(Cause::Kept), Some(Cause::Live))
        )
    })
}

/// The looks that lie in the record, with what is judged at each.
fn moments(facts: &Facts, subject: &Subject) -> Option<Vec<Moment>> {
    let record = facts.record;
    let series = &subject.series;
    let (start, floor) = (*series.t.first()?, *series.y.first()?);
    let all = record.series_by(|sample| Some(sample.memory.rss.as_f64()));
    let rest = Series::of(all.paired(series).map(|(t, all, judged)| (t, all - judged)));
    let mut moments = Vec::new();
    for look in record.heap.looks() {
        let t = look.at.as_secs_f64() - record.origin.as_secs_f64();
        let judged = match subject.class {
            // Beside a class others swing: what RSS does meanwhile says nothing of it.
            Some(_) => series.at(t)?,
            None => look.rss - rest.at(t)?,
        };
        let moment = Moment {
            t,
            judged,
            ..of_class(look, subject.class)
        };
        let early = start - t;
        let pace = (series.delta() / series.span().max(1e-9)).max(0.0);
        let loading = floor - judged > facts.material + 2.0 * pace * early;
        if early > record.interval.as_secs_f64() && (loading || early > series.span()) {
            continue;
        }
        moments.push(moment);
    }
    let fits = subject
        .class
        .is_none_or(|class| is_its_own(&moments, record.heap.looks(), class));
    fits.then_some(moments)
}

/// What a look saw in the mappings of one class; in all of them without one.
fn of_class(look: &Look, class: Option<MappingClass>) -> Moment {
    let all = Moment {
        t: 0.0,
        judged: 0.0,
        live: look.live,
        live_bytes: look.live_bytes,
        kept: look.kept(),
    };
    match class {
        None => all,
        Some(MappingClass::Anon) => Moment {
            live: look.own,
            live_bytes: look.own,
            kept: 0.0,
            ..all
        },
        Some(_) => Moment {
            live: look.live_in_arenas(),
            live_bytes: look.live_bytes - look.own,
            ..all
        },
    }
}

/// True if the arenas are that class: no arenas beside it that move, and none in anonymous memory.
fn is_its_own(moments: &[Moment], looks: &[Look], class: MappingClass) -> bool {
    let (Some(first), Some(last)) = (moments.first(), moments.last()) else {
        return false;
    };
    let grown = last.judged - first.judged;
    let arenas = |from: &Look, to: &Look| to.arenas() - from.arenas();
    let (Some(from), Some(to)) = (looks.first(), looks.last()) else {
        return false;
    };
    match class {
        MappingClass::Anon => {
            arenas(from, to).abs() < SAME_ARENAS * grown || to.beyond < SAME_ARENAS * grown
        }
        _ => (arenas(from, to) - grown).abs() < SAME_ARENAS * grown.abs(),
    }
}
