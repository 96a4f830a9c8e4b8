//! Stage 1, continued: memory that comes by the unit. Load, threads, arenas.
//!
//! Load: with x the descriptors (or threads) and y the anonymous memory, y = a + b x + c t. If x moves
//! with time (|r| ≥ .9) only the cost per unit can be told, and memory that follows it is load. If
//! not, c says what grows at equal load, and the rest y − b x is judged in place of y.

use super::answer::{Answer, Standing};
use super::facts::Facts;
use crate::record::Track;
use crate::statistics::Series;
use crate::statistics::least_squares::{line, plane};
use crate::statistics::quantile::robust_deviation;
use crate::thresholds::{
    ARENA_SHARE, ARENA_TOP_SHARE, ARENAS, LOAD_BYTES_PER_UNIT, LOAD_COLLINEAR, LOAD_CORRELATION,
    LOAD_REST_SHARE, LOAD_SWING, STACK_BYTES, STACKS, THREADS, UNIT_FITS_BETTER,
};
use crate::trail::{Trail, is_shaped};
use crate::trend;
use memtide_model::{Account, MappingClass, Shape, Stage, Unit, VerdictKind, text};

const STACK_COUNT: Track = Track::ClassCount(MappingClass::Stack);
const STACK_SPACE: Track = Track::ClassSize(MappingClass::Stack);
const ARENA_COUNT: Track = Track::ClassCount(MappingClass::Arena);
const ARENA_RSS: Track = Track::ClassRss(MappingClass::Arena);
/// Names in the trail.
const STACKS_NAME: &str = "mappings of thread stacks";
const SPACE_NAME: &str = "their address space";
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
    let unheard = &mut Trail::unheard();
    let stacks_grow = facts.count(STACKS_NAME, STACK_COUNT, STACKS, unheard).grown
        || (facts.count(SPACE_NAME, STACK_SPACE, STACK_BYTES, unheard)).sustained;
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
    let by_time = "their correlation with time, not to be told apart";
    if trail.at_least(by_time, with_time.abs(), Unit::Number, LOAD_COLLINEAR) {
        // Of two even ramps the one whose small steps the memory takes is its cause.
        let follows = trail.above(BY_LOAD, alone.correlation, Unit::Number, LOAD_COLLINEAR)
            && trail.at_least(EACH, alone.slope, Unit::Bytes, LOAD_BYTES_PER_UNIT)
            && trail.above(
                "anonymous memory, growth",
                facts.anon,
                Unit::Bytes,
                facts.material,
            )
            && !fits_better(
                &t,
                &x,
                &y,
                "scatter about a line over time, of that over them",
                trail,
            );
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
    .advise(format!("To tell load from a slow growth beside it, record a time in which the load goes down as well: memtide attach {} --for 10m.", facts.observations.target.id.pid))
}

/// Threads that never end or are never joined, or arenas that come with them.
pub(super) fn threads(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let threads = facts.count("threads", Track::Threads, THREADS, trail);
    let stacks = facts.count(STACKS_NAME, STACK_COUNT, STACKS, trail);
    let space = facts.count(SPACE_NAME, STACK_SPACE, STACK_BYTES, trail);
    let arenas = facts.count("malloc arenas", ARENA_COUNT, ARENAS, trail);
    let arenas_instead =
        arenas.grown && arenas.delta > 0.6 * threads.delta && arenas.delta >= stacks.delta;
    if !(threads.sustained || space.sustained && !arenas_instead) {
        return None;
    }
    if arenas.sustained && arenas.delta > 0.5 * threads.delta {
        return Some(bloat(facts));
    }
    Some(thread_leak(facts, threads.sustained))
}

fn thread_leak(facts: &Facts, alive: bool) -> Answer {
    let track = if alive { Track::Threads } else { STACK_COUNT };
    let rate = facts.rate(track);
    let words = text::count_rate(rate);
    let headline = if alive {
        format!("Threads pile up: {words} more, none of them ends")
    } else {
        format!("Stacks of ended threads stay mapped ({words} more): they are never joined")
    };
    let mut answer = Answer::decided(VerdictKind::ThreadLeak, Standing::Counted, headline).number(
        format!(
            "Threads {} in {}.",
            facts.ends(Track::Threads),
            facts.time()
        ),
        facts.rate(Track::Threads),
        "threads/s",
    );
    if !facts.series(STACK_COUNT).is_empty() {
        let space = facts.delta(STACK_SPACE);
        answer = answer
            .number(
                format!(
                    "Thread stacks {} in {}, {} of address space.",
                    facts.ends(STACK_COUNT),
                    facts.time(),
                    text::signed_bytes(space)
                ),
                facts.rate(STACK_COUNT),
                "stacks/s",
            )
            .of_account(Account::Stacks);
    }
    if !alive {
        // What the headline speaks of stands first.
        answer.evidence.reverse();
    }
    let limits = &facts.observations.target.limits;
    if let Some(time) = facts
        .until(Track::Threads, limits.processes)
        .filter(|_| alive)
    {
        answer = answer.fact(format!(
            "The limit of {} processes and threads is reached in {time}.",
            limits.processes.unwrap_or_default()
        ));
    }
    let group = facts.thread_group();
    if let Some((name, count)) = &group {
        answer = answer.number(
            format!("{count} live threads are called {name}."),
            *count as f64,
            "threads",
        );
    }
    let which = group.map_or_else(String::new, |(name, _)| format!(" called {name}"));
    let advice = if alive {
        format!(
            "End the threads{which} when their work is done, or keep them in a pool of fixed size; ps -L -o tid,stat,wchan:20,comm -p {} shows what they wait for.",
            facts.observations.target.id.pid
        )
    } else {
        "Join each thread (pthread_join) or detach it (pthread_detach): an ended thread keeps its stack until then.".to_owned()
    };
    (answer.advise(advice).going_on()).holding(facts.delta(Track::ClassRss(MappingClass::Stack)))
}

/// Many arenas that each grew, none of which carries the growth alone.
pub(super) fn arenas(facts: &Facts, shape: Shape, trail: &mut Trail) -> Option<Answer> {
    let grown = facts.delta(ARENA_RSS);
    let level = matches!(shape, Shape::Sawtooth | Shape::Fluctuating | Shape::Flat);
    let name = "memory of arenas, growth";
    if level
        || !trail.above(name, grown, Unit::Bytes, facts.material)
        || !trail.above(name, grown, Unit::Bytes, ARENA_SHARE * facts.anon)
    {
        return None;
    }
    let last = facts.record.samples.iter().rev().find_map(|s| s.maps)?;
    let totals = last.classes.get(MappingClass::Arena);
    let most = facts.series(ARENA_COUNT).greatest();
    let (top, limit) = (totals.max_growth.as_f64(), ARENA_TOP_SHARE * grown);
    let many = trail.at_least("arenas that grew", totals.grown as f64, Unit::Count, ARENAS)
        && trail.at_least("arenas", most, Unit::Count, ARENAS)
        && trail.below("growth of the foremost", top, Unit::Bytes, limit);
    many.then(|| {
        bloat(facts).number(
            format!(
                "{} arenas grew by 128 KiB or more; the one that grew most has {}.",
                totals.grown,
                text::bytes(totals.max_growth.as_f64())
            ),
            totals.max_growth.as_f64(),
            "bytes",
        )
    })
}

fn bloat(facts: &Facts) -> Answer {
    let grown = facts.delta(ARENA_RSS);
    Answer::decided(
        VerdictKind::ArenaBloat,
        Standing::Shaped,
        format!("Malloc keeps memory in many arenas, one for each thread: {} more", text::bytes(grown)),
    )
    .number(format!("Resident memory of arenas grew by {} in {}.", text::bytes(grown), facts.time()), facts.rate(ARENA_RSS), "bytes/s")
    .of_account(Account::Heap)
    .holding(grown)
    .number(format!("Malloc arenas {}.", facts.ends(ARENA_COUNT)), facts.rate(ARENA_COUNT), "arenas/s")
    .advise("Bound the arenas: MALLOC_ARENA_MAX=4 in the environment, or mallopt(M_ARENA_MAX, 4); or use an allocator that shares memory between threads (jemalloc, tcmalloc, mimalloc).")
}
