//! Stage 1, continued: memory that comes by the unit of load.
//!
//! Load: with x the descriptors (or threads) and y the anonymous memory, y = a + b x + c t. If x moves
//! with time (|r| ≥ .9) only the cost per unit can be told, and memory that follows it is load. If
//! not, c says what grows at equal load, and the rest y − b x is judged in place of y.

use super::answer::{Answer, Standing};
use super::facts::Facts;
use super::threads;
use crate::record::Track;
use crate::statistics::Series;
use crate::statistics::least_squares::{line, plane};
use crate::statistics::quantile::robust_deviation;
use crate::thresholds::{
    LOAD_BYTES_PER_UNIT, LOAD_COLLINEAR, LOAD_CORRELATION, LOAD_REST_SHARE, LOAD_SWING,
    UNIT_FITS_BETTER,
};
use crate::trail::{Trail, is_shaped};
use crate::trend;
use memtide_model::{Stage, Unit, VerdictKind, text};

/// Names in the trail.
const BY_LOAD: &str = "correlation of memory with them";
const EACH: &str = "memory for each";

/// What load explains.
pub(super) enum Load {
    /// All of it.
    Explains(Box<Answer>),
    /// Not all: this is left of anonymous memory at equal load, and it grows.
    Leaves(Series),
    /// It plays a part, but explains nothing by itself.
    Coupled,
}

/// Whether memory follows descriptors or threads.
pub(super) fn load(facts: &Facts, trail: &mut Trail) -> Option<Load> {
    let stacks_grow = threads::stacks_grow(facts);
    let tracks = [
        (Track::Sockets, "socket"),
        (Track::Descriptors, "descriptor"),
        (Track::Threads, "thread"),
    ];
    (tracks.into_iter())
        .filter(|(track, _)| *track != Track::Threads || !stacks_grow)
        .find_map(|(track, unit)| {
            let load = load_of(facts, track, unit, trail);
            let question = format!("Does memory follow the number of {unit}s?");
            match &load {
                Some(Load::Explains(answer)) => trail.answer(Stage::Load, &question, Some(answer)),
                Some(Load::Leaves(_)) => {
                    trail.pass(
                        Stage::Load,
                        &question,
                        "In part: at equal load it grows as well, and that is judged.",
                    );
                }
                Some(Load::Coupled) => {
                    trail.pass(
                        Stage::Load,
                        &question,
                        "In part, but that explains nothing by itself.",
                    );
                }
                None => trail.answer(Stage::Load, &question, None),
            }
            load
        })
}

fn load_of(facts: &Facts, track: Track, unit: &str, trail: &mut Trail) -> Option<Load> {
    let (load, memory) = (facts.series(track), facts.series(Track::Anon));
    if !trail.at_least("their swing", load.range(), Unit::Count, LOAD_SWING) {
        return None;
    }
    let (mut t, mut x, mut y) = (Vec::new(), Vec::new(), Vec::new());
    for (at, units, bytes) in load.paired(&memory) {
        t.push(at);
        x.push(units);
        y.push(bytes);
    }
    let with_time = line(&t, &x).correlation;
    let alone = line(&x, &y);
    let explain = |per_unit: f64| {
        Load::Explains(Box::new(explanation(
            facts,
            track,
            unit,
            per_unit,
            alone.correlation,
        )))
    };
    let by_time = "their correlation with time";
    if trail.at_least(by_time, with_time.abs(), Unit::Number, LOAD_COLLINEAR) {
        // Of two even ramps the one whose small steps the memory takes is its cause.
        let follows = trail.above(BY_LOAD, alone.correlation, Unit::Number, LOAD_COLLINEAR)
            && trail.at_least(EACH, alone.slope, Unit::Bytes, LOAD_BYTES_PER_UNIT)
            && trail.above(
                "growth of anonymous memory",
                facts.anon,
                Unit::Bytes,
                facts.material,
            )
            && !fits_better(&t, &x, &y, "scatter over time / over them", trail);
        return follows.then(|| explain(alone.slope));
    }
    let (per_unit, per_second) = plane(&x, &t, &y)?;
    if !trail.at_least(EACH, per_unit, Unit::Bytes, LOAD_BYTES_PER_UNIT) {
        return None;
    }
    let (range, at_equal_load) = (memory.range(), per_second * memory.span());
    let least = facts.material.max(LOAD_REST_SHARE * range);
    if trail.above("growth at equal load", at_equal_load, Unit::Bytes, least) {
        let rest = Series::of(
            t.iter()
                .zip(&x)
                .zip(&y)
                .map(|((t, x), y)| (*t, y - per_unit * x)),
        );
        let form = trend::form(&rest, facts.material);
        trail.note(is_shaped(form.shape()));
        if form.is_unbounded() {
            return Some(Load::Leaves(rest));
        }
    }
    let alone_explains = trail.above(BY_LOAD, alone.correlation, Unit::Number, LOAD_CORRELATION);
    Some(if alone_explains {
        explain(per_unit)
    } else {
        Load::Coupled
    })
}

/// True if y is much nearer to its line over x than to its line over z; by that name in the trail.
pub(super) fn fits_better(x: &[f64], z: &[f64], y: &[f64], name: &str, trail: &mut Trail) -> bool {
    let off = |over: &[f64]| {
        let fit = line(over, y);
        let rest = over.iter().zip(y);
        robust_deviation(
            &rest
                .map(|(x, y)| y - fit.intercept - fit.slope * x)
                .collect::<Vec<f64>>(),
        )
    };
    trail.below(name, off(x) / off(z), Unit::Number, 1.0 / UNIT_FITS_BETTER)
}

fn explanation(facts: &Facts, track: Track, unit: &str, per_unit: f64, correlation: f64) -> Answer {
    let each = text::bytes(per_unit);
    Answer::decided(
        VerdictKind::LoadGrowth,
        Standing::Counted,
        format!("Memory follows the load: about {each} for each open {unit}"),
    )
    .number(format!("{each} for each {unit}; correlation of memory with {unit}s {correlation:.2}."), per_unit, "bytes")
    .number(format!("Number of {unit}s {} in {}.", facts.ends(track), facts.time()), facts.rate(track), "per second")
    .number(format!("Anonymous memory {} in the same time.", text::signed_bytes(facts.anon)), facts.anon, "bytes")
    .holding(facts.anon)
    .advise(format!("If the {unit}s are wanted, plan {each} for each of them; if not, find out why they stay open (for sockets: ss -tanp, idle ones and CLOSE-WAIT)."))
    .advise(format!("To tell load from a slow growth beside it, record a time in which the load goes down as well: memtide attach {} --for 10m", facts.observations.target.id.pid))
}
