//! Several causes at once: which of them is the verdict, and which stand beside it.
//!
//! Every cause that is proven says how much of the growth it holds, in bytes. The heap is one of them where it
//! passes its own gate; it is judged without the stacks of threads then, which are another's. The verdict is
//! the cause that holds most, proven or still open between candidates, because the question is where the memory
//! went. Counts hold no memory: they lead only where nothing else grows, and are told beside it otherwise.
//! Of causes that hold as much the order of the stages decides, which is theirs in [`super`].
//!
//! Where the heap's growth is what the units of a count cost, it is theirs: y = a + b x fits much better than a
//! line over time ([`UNIT_FITS_BETTER`](crate::thresholds::UNIT_FITS_BETTER)); or no worse, with a b that the unit's
//! own books take.

use super::answer::Answer;
use super::facts::Facts;
use super::{heap, told, units};
use crate::record::Track;
use crate::statistics::Series;
use crate::statistics::least_squares::line;
use crate::thresholds::{LOAD_BYTES_PER_UNIT, LOAD_COLLINEAR, THREAD_BYTES};
use crate::trail::Trail;
use memtide_model::{MappingClass, Unit, VerdictKind, text};

/// Of causes that counters proved, at least one, the answer, and the others beside it, those that hold most
/// first.
pub(super) fn choose(
    facts: &Facts,
    mut causes: Vec<Answer>,
    trail: &mut Trail,
) -> (Answer, Vec<Answer>) {
    if !causes.iter().any(|cause| explains_heap(cause.kind)) {
        add_heap(facts, &mut causes, trail);
    }
    // Stable: what holds as much stays in the order of the stages.
    causes.sort_by(|a, b| b.holds.total_cmp(&a.holds));
    for cause in &causes {
        let name = format!("held by {}", cause.kind.words());
        trail.tell(&name, cause.holds, Unit::Bytes);
    }
    let answer = causes.remove(0);
    // Load is what descriptors and threads are then, and no further cause.
    causes.retain(|cause| cause.kind != VerdictKind::LoadGrowth);
    told::causes(&answer, &causes, trail);
    (answer, causes)
}

/// True for causes that are growth of the heap, or of anonymous memory, themselves.
fn explains_heap(kind: VerdictKind) -> bool {
    matches!(
        kind,
        VerdictKind::LoadGrowth
            | VerdictKind::ArenaBloat
            | VerdictKind::Retention
            | VerdictKind::ThpBloat
    )
}

/// Adds the heap as a cause of its own, where it passes its gate; or to the units that it is the cost of.
fn add_heap(facts: &Facts, causes: &mut Vec<Answer>, trail: &mut Trail) {
    let memory = without_stacks(facts);
    let rest = (facts.delta(Track::ClassRss(MappingClass::Stack)) > facts.material)
        .then(|| memory.clone());
    let answer = heap::decide(facts, rest, trail);
    if !answer.goes_on || memory.delta() < facts.material {
        return;
    }
    for cause in causes.iter_mut() {
        let Some((track, unit, books)) = units_of(cause.kind) else {
            continue;
        };
        if let Some(each) = cost(&facts.series(track), &memory, books, trail) {
            *cause = cause.clone().holding(cause.holds + memory.delta()).number(
                format!(
                    "The heap grows with them: about {} for each {unit}.",
                    text::bytes(each)
                ),
                each,
                "bytes",
            );
            return;
        }
    }
    causes.push(answer.holding(memory.delta()));
}

/// Anonymous memory but for the stacks of threads.
fn without_stacks(facts: &Facts) -> Series {
    let anon = facts.series(Track::Anon);
    let stacks = facts.series(Track::ClassRss(MappingClass::Stack));
    if stacks.is_empty() {
        return anon;
    }
    Series::of(
        anon.paired(&stacks)
            .map(|(t, all, stacks)| (t, all - stacks)),
    )
}

/// What a cause counts: the track, a unit in words, and the bytes that a unit's own books take at most.
fn units_of(kind: VerdictKind) -> Option<(Track, &'static str, f64)> {
    match kind {
        VerdictKind::ThreadLeak => Some((Track::Threads, "thread", THREAD_BYTES)),
        VerdictKind::FdLeak => Some((Track::Descriptors, "descriptor", LOAD_BYTES_PER_UNIT)),
        VerdictKind::ProcessLeak => Some((Track::Processes, "process", LOAD_BYTES_PER_UNIT)),
        _ => None,
    }
}

/// Bytes for each unit, where the memory is what the units cost.
fn cost(units: &Series, memory: &Series, books: f64, trail: &mut Trail) -> Option<f64> {
    let (mut t, mut x, mut y) = (Vec::new(), Vec::new(), Vec::new());
    for (at, count, bytes) in units.paired(memory) {
        t.push(at);
        x.push(count);
        y.push(bytes);
    }
    let fit = line(&x, &y);
    let (by_time, by_units) = (
        "scatter over time / over units",
        "scatter over units / over time",
    );
    let correlation = "correlation of the heap with the units";
    if !trail.above(correlation, fit.correlation, Unit::Number, LOAD_COLLINEAR) {
        return None;
    }
    let small = trail.at_most("heap for each", fit.slope, Unit::Bytes, books)
        && !units::fits_better(&t, &x, &y, by_time, trail);
    let theirs = small || units::fits_better(&x, &t, &y, by_units, trail);
    theirs.then_some(fit.slope)
}
