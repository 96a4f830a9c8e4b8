//! Whose growth it is among threads, and how much of that is known.
//!
//! The kernel counts for each thread the pages that it touched first (`min_flt`). That thread need not be the one
//! that keeps them: one that maps, touches and unmaps touches any number of pages and keeps none. So a thread is
//! called the owner of growth only where the growth of an arena agrees: with p the bytes of pages that a thread
//! touched and g the growth of an arena between the same two moments, exactly one thread has |p − g| ≤ .2 g, and
//! exactly one arena; all other threads and arenas are farther off than .5. Looks into the heap give g, and say how
//! many threads allocate in the arena; without them the mappings of arenas do, and nobody knows whose they are.
//!
//! A thread without such an arena is named only if it touched most of the new pages and not more of them than
//! memory grew by, and the sentence says that no more is known. It refuses to guess from names or CPU time.

use super::answer::Answer;
use super::facts::Facts;
use super::heap::Subject;
use crate::snapshots;
use crate::thresholds::{FOREMOST_SHARE, SAME_SIZE_FAR, SAME_SIZE_NEAR, TOUCHED_SHARE};
use memtide_model::{ArenaTotals, MappingClass, Nanos, ThreadHistory, text};

/// How an arena grew.
#[derive(Clone, Copy, Debug)]
struct Arena {
    /// Resident bytes.
    grown: f64,
    /// `Some` where a look told: whether it is the main one, and how many threads allocate in it.
    seen: Option<(bool, u64)>,
}

/// A thread and the bytes of pages that it touched first.
struct Toucher<'a> {
    thread: &'a ThreadHistory,
    bytes: f64,
}

/// With the thread whose growth it is, or that touched most of the new pages, where there are several.
pub(super) fn told(facts: &Facts, subject: &Subject, answer: Answer) -> Answer {
    if facts.observations.threads.len() < 2 {
        return answer;
    }
    let (arenas, from, to) = seen(facts).unwrap_or_else(|| mapped(facts));
    let touchers = touchers(facts, from, to);
    let all: f64 = touchers.iter().map(|one| one.bytes).sum();
    let judged = |at: Nanos| subject.series.at(facts.record.second_of(at));
    let grown = match (judged(from), judged(to)) {
        (Some(start), Some(end)) => end - start,
        _ => subject.series.delta(),
    };
    let top = (touchers.iter()).max_by(|a, b| a.bytes.total_cmp(&b.bytes));
    let said = owner(facts, &arenas, &touchers, grown).or_else(|| {
        let top = top.filter(|top| top.bytes >= TOUCHED_SHARE * all.max(grown))?;
        let kept = top.bytes <= (1.0 + SAME_SIZE_NEAR) * grown;
        kept.then_some((top, "first; whether it keeps them is not known".to_owned()))
    });
    let Some((toucher, rest)) = said else {
        return answer;
    };
    let share = 100.0 * toucher.bytes / all.max(1.0);
    let last = &toucher.thread.last;
    answer.number(
        format!(
            "Thread {} ({}) touched {share:.0} % of the new pages{}{rest}.",
            last.name,
            last.id.tid,
            if rest.starts_with("first") {
                " "
            } else {
                ", and "
            },
        ),
        share,
        "%",
    )
}

/// The one thread that touched as many bytes as the one arena grew by that has most of the growth.
fn owner<'a>(
    facts: &Facts,
    arenas: &[Arena],
    touchers: &'a [Toucher<'a>],
    grown: f64,
) -> Option<(&'a Toucher<'a>, String)> {
    let arena = (arenas.iter()).max_by(|a, b| a.grown.total_cmp(&b.grown))?;
    if arena.grown < facts.material.max(FOREMOST_SHARE * grown) {
        return None;
    }
    let off = |bytes: f64| (bytes / arena.grown - 1.0).abs();
    let mut nearest: Vec<&Toucher> = touchers.iter().collect();
    nearest.sort_by(|a, b| off(a.bytes).total_cmp(&off(b.bytes)));
    let (first, others) = nearest.split_first()?;
    let alone = others.iter().all(|other| off(other.bytes) > SAME_SIZE_FAR);
    let of_its_size = |other: &&Arena| (other.grown / first.bytes - 1.0).abs() <= SAME_SIZE_FAR;
    let single = arenas.iter().filter(of_its_size).count() == 1;
    if off(first.bytes) > SAME_SIZE_NEAR || !alone || !single {
        return None;
    }
    let by = text::bytes(arena.grown);
    let is_first = first.thread.last.id.tid.0 == facts.observations.target.id.pid.0;
    match arena.seen {
        Some((main, 1)) if main == is_first => {
            Some((first, format!("its arena grew by as much ({by})")))
        }
        // Another thread's arena, or one that several share: the sizes agree by chance.
        Some((_, 1..)) => None,
        Some((_, 0)) | None => Some((
            first,
            format!("one arena of malloc grew by as much ({by}), which no other thread explains"),
        )),
    }
}

/// Arenas between the first and the last look, and when these were; `None` without two looks that tell of arenas.
fn seen(facts: &Facts) -> Option<(Vec<Arena>, Nanos, Nanos)> {
    let looks = facts.record.heap.looks();
    let (first, last) = (looks.first()?.at, looks.last()?.at);
    let all = snapshots::conclusive(facts.observations);
    let at = |moment: Nanos| {
        let here = all.iter().find(|look| snapshots::middle(look) == moment);
        here.map(|look| &look.arenas)
            .filter(|arenas| !arenas.is_empty())
    };
    let (before, after) = (at(first)?, at(last).filter(|_| first < last)?);
    let grown = |arena: &ArenaTotals| {
        let same = before.iter().find(|other| other.address == arena.address);
        let start = same.map_or(0.0, |arena| arena.resident.as_f64());
        Arena {
            grown: arena.resident.as_f64() - start,
            seen: Some((arena.is_main, arena.threads)),
        }
    };
    Some((after.iter().map(grown).collect(), first, last))
}

/// Arenas by the mappings of their heaps over the record.
fn mapped(facts: &Facts) -> (Vec<Arena>, Nanos, Nanos) {
    let samples = &facts.record.samples;
    let from = samples.first().map_or(Nanos(0), |sample| sample.at);
    let to = samples.last().map_or(from, |sample| sample.at);
    let arenas = (facts.observations.mappings.iter())
        .filter(|history| {
            matches!(
                history.mapping.class,
                MappingClass::Heap | MappingClass::Arena
            )
        })
        .map(|history| {
            let at = |moment: Nanos| {
                let point = history.points.iter().rfind(|point| point.at <= moment);
                point.map_or(0.0, |point| point.rss.as_f64())
            };
            Arena {
                grown: at(to) - at(from),
                seen: None,
            }
        });
    (arenas.collect(), from, to)
}

/// What each thread touched first between two moments, in bytes.
fn touchers<'a>(facts: &Facts<'a>, from: Nanos, to: Nanos) -> Vec<Toucher<'a>> {
    let threads = &facts.observations.threads;
    let page = facts.observations.recording.page_size.as_f64();
    let first_points = threads.iter().filter_map(|thread| thread.points.first());
    let first_sweep = first_points.map(|point| point.at).min();
    let touched = |thread: &ThreadHistory| {
        let at = |moment: Nanos| faults(thread, moment, first_sweep);
        page * (at(to) - at(from)).max(0.0)
    };
    (threads.iter())
        .map(|thread| Toucher {
            thread,
            bytes: touched(thread),
        })
        .collect()
}

/// Minor faults of a thread up to a moment, on the line between two reads. Before the first read a thread that
/// was there at the first sweep had as many, one that came later none.
fn faults(thread: &ThreadHistory, moment: Nanos, first_sweep: Option<Nanos>) -> f64 {
    let points = &thread.points;
    let behind = points.partition_point(|point| point.at <= moment);
    match (points.get(behind.wrapping_sub(1)), points.get(behind)) {
        (Some(before), Some(after)) => {
            let way = moment.seconds_since(before.at) / after.at.seconds_since(before.at);
            let more = after.min_flt.saturating_sub(before.min_flt) as f64;
            before.min_flt as f64 + way * more
        }
        (Some(last), None) => last.min_flt as f64,
        (None, Some(first)) if Some(first.at) == first_sweep => first.min_flt as f64,
        (None, _) => 0.0,
    }
}
