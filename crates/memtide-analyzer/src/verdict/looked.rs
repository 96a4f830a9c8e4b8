//! What looks into the heap found, in words: whose the live blocks are, and what a trim would give back.

use super::advice::{self, kept};
use super::answer::Answer;
use super::facts::Facts;
use super::split::{By, Cause, Parts};
use crate::heap;
use crate::record::Track;
use crate::thresholds::{FOREMOST_SHARE, KEPT_SHARE, NAMED_CLASS_SHARE, NOT_MALLOC_SHARE};
use memtide_model::report::{ArenaRow, Heap};
use memtide_model::{Account, text};

/// Characters of a class's name that a sentence holds: templates of C++ fill pages.
const LONGEST_NAME: usize = 80;

/// With what is live of the growth between the looks as a fact.
pub(super) fn share(parts: &Parts, answer: Answer) -> Answer {
    let (count, seconds, turned) = match parts.by {
        By::Looks {
            count,
            seconds,
            turned,
        } => (count, seconds, turned),
        By::Shim => return answer,
    };
    // Pages of blocks that are older than the first look make more than all of it.
    let share = parts.live.clamp(0.0, 1.0);
    let live = share * parts.grown;
    let error = if parts.error > 0.0 {
        format!(", give or take {:.0} %", 100.0 * parts.error)
    } else {
        String::new()
    };
    let other = if parts.mapped >= NOT_MALLOC_SHARE {
        format!(
            ", {} none of malloc's memory",
            text::bytes(parts.mapped * parts.grown)
        )
    } else {
        String::new()
    };
    let answer = answer
        .number(
            format!(
                "Of {} growth between {count} looks at the heap in {} {} ({:.0} %{error}) are blocks that the program has not freed, {} free memory that malloc keeps{other}.",
                text::bytes(parts.grown),
                text::duration(seconds),
                text::bytes(live),
                100.0 * share,
                text::bytes((parts.kept * parts.grown).max(0.0)),
            ),
            live,
            "bytes",
        )
        .of_account(Account::HeapLive);
    if turned {
        answer.fact("The looks disagree: in one part of that time live blocks grew, in the other free memory that malloc keeps.".to_owned())
    } else {
        answer
    }
}

/// How to have a look where there was none that serves, or not enough of them.
pub(super) fn look(facts: &Facts) -> Option<String> {
    let target = &facts.observations.target;
    let pid = target.id.pid;
    if facts.record.heap.looks().len() >= 2 || !target.allocator.starts_with("glibc") {
        return None;
    }
    let heap = facts.observations.heap.as_ref();
    if let Some(why) = heap.and_then(|heap| heap.unavailable.as_ref()) {
        let why = why.trim_end_matches('.');
        return Some(format!(
            "A look into its heap from outside would decide, but could not be had: {why}."
        ));
    }
    let tried = heap.is_some_and(|heap| !heap.snapshots.is_empty());
    Some(if tried && facts.record.heap.looks().is_empty() {
        format!(
            "Look into its heap while it is held for a moment, calls of the program may return EINTR then: memtide inspect {pid} --interval 30s --stop"
        )
    } else {
        format!(
            "Look into its heap from outside, which decides: memtide inspect {pid} --interval 30s"
        )
    })
}

/// With what else the looks tell of growth of that cause.
pub(super) fn found(facts: &Facts, answer: Answer, cause: Cause) -> Answer {
    let Some(heap) = conclusive(facts) else {
        return answer;
    };
    match cause {
        Cause::Live => foremost(facts, &heap, answer),
        Cause::Kept => forecast(&heap, answer),
        Cause::Mapped => answer,
        Cause::Mixed => forecast(&heap, foremost(facts, &heap, answer)),
    }
}

/// The class of objects that most of the growth of live blocks is, for a headline: "mostly
/// `shop::Cart`".
pub(super) fn class(facts: &Facts, parts: &Parts) -> Option<String> {
    let rows = heap::classes(facts.observations)?;
    let row = rows.first()?;
    let most = FOREMOST_SHARE * parts.live * parts.grown;
    (row.growth_bytes? as f64 >= most).then(|| name(&row.name))
}

/// With the class, else the size of blocks, and the arena that grew most, where they are most of it.
fn foremost(facts: &Facts, heap: &Heap, answer: Answer) -> Answer {
    let grown = heap.live_growth_bytes.unwrap_or(0) as f64;
    if grown < facts.material {
        return answer;
    }
    let most = |bytes: i64| bytes as f64 >= FOREMOST_SHARE * grown;
    let class = (heap::classes(facts.observations)
        .unwrap_or_default()
        .into_iter()
        .next())
    .and_then(|row| Some((name(&row.name), row.growth_count?, row.growth_bytes?)));
    let answer = match class.filter(|(_, _, bytes)| *bytes as f64 >= NAMED_CLASS_SHARE * grown) {
        Some((name, count, bytes)) => answer.number(
            format!(
                "{name} grew most of all classes: {count:+} objects, {}.",
                text::signed_bytes(bytes as f64)
            ),
            bytes as f64,
            "bytes",
        ),
        None => size(heap, grown, answer),
    };
    let arena = (heap.arenas.iter().enumerate())
        .filter_map(|(index, arena)| Some((index, arena, arena.live_growth_bytes?)))
        .max_by_key(|(_, _, bytes)| *bytes);
    match arena.filter(|(_, _, bytes)| heap.arenas.len() > 1 && most(*bytes)) {
        Some((index, arena, bytes)) => answer.number(
            format!(
                "{} of {} has {} of the growth of live blocks; {} in it.",
                if arena.main {
                    "The main arena".to_owned()
                } else {
                    format!("Arena {index}")
                },
                heap.arenas.len(),
                text::bytes(bytes as f64),
                threads(arena),
            ),
            bytes as f64,
            "bytes",
        ),
        None => answer,
    }
}

fn threads(arena: &ArenaRow) -> String {
    let verb = if arena.threads == 1 {
        "allocates"
    } else {
        "allocate"
    };
    format!("{} {verb}", text::plural(arena.threads, "thread"))
}

/// With the size of blocks that grew most, where nothing has a class.
fn size(heap: &Heap, grown: f64, answer: Answer) -> Answer {
    let row = (heap.size_classes.iter())
        .filter_map(|row| Some((row, row.live_growth_bytes?)))
        .max_by_key(|(_, bytes)| *bytes);
    match row.filter(|(_, bytes)| *bytes as f64 >= FOREMOST_SHARE * grown) {
        Some((row, bytes)) => answer.number(
            format!(
                "Blocks of {} {} grew most of all sizes: {}.",
                text::bytes(row.size as f64),
                if row.size > 1024 {
                    "and a little more"
                } else {
                    "with their header"
                },
                text::signed_bytes(bytes as f64)
            ),
            bytes as f64,
            "bytes",
        ),
        None => answer,
    }
}

/// With what a trim would give back.
fn forecast(heap: &Heap, answer: Answer) -> Answer {
    if !heap.knows_trim() {
        return answer;
    }
    answer
        .number(
            format!(
                "malloc_trim(0) would give back {}; {} are stuck between live blocks, threads' caches hold {}.",
                text::bytes(heap.trimmable_bytes as f64),
                text::bytes(heap.stuck_bytes as f64),
                text::bytes(heap.cached_bytes as f64),
            ),
            heap.trimmable_bytes as f64,
            "bytes",
        )
        .of_account(Account::HeapRetained)
}

/// Level memory of which the looks tell more: live blocks that grow inside of it, or free memory that is
/// most of it.
pub(super) fn level(facts: &Facts, answer: Answer) -> Answer {
    let Some(heap) = conclusive(facts) else {
        return answer;
    };
    let answer = match rising(facts) {
        Some(grown) => foremost(
            facts,
            &heap,
            answer
                .number(
                    format!(
                        "But live blocks grew by {} between {} looks at the heap, inside memory that malloc already holds; RSS will follow when that is used up.",
                        text::bytes(grown),
                        facts.record.heap.looks().len()
                    ),
                    grown,
                    "bytes",
                )
                .of_account(Account::HeapLive),
        ),
        None => answer,
    };
    let most = kept(&heap) >= KEPT_SHARE * heap.rss_bytes as f64;
    if !most || kept(&heap) < facts.record.gate_material() {
        return answer;
    }
    let told = forecast(
        &heap,
        answer
            .number(
                format!(
                    "Malloc keeps {} of {} RSS as free memory.",
                    text::bytes(kept(&heap)),
                    text::bytes(heap.rss_bytes as f64)
                ),
                kept(&heap),
                "bytes",
            )
            .of_account(Account::HeapRetained),
    );
    (advice::against_kept(facts, &[]).into_iter()).fold(told, Answer::advise)
}

/// Growth of live blocks, in bytes, that every look of three or more confirms.
fn rising(facts: &Facts) -> Option<f64> {
    let looks = facts.record.heap.looks();
    let grown = looks.last()?.live - looks.first()?.live;
    let every = looks.windows(2).all(|pair| pair[0].live < pair[1].live);
    let counted = !facts.series(Track::Live).is_empty();
    (looks.len() >= 3 && every && !counted && grown >= facts.record.gate_material())
        .then_some(grown)
}

/// The heap at the last look, if that may be used.
fn conclusive(facts: &Facts) -> Option<Heap> {
    heap::heap(facts.observations).filter(|heap| heap.conclusive)
}

/// A class's name as a sentence holds it.
fn name(name: &str) -> String {
    if name.chars().count() <= LONGEST_NAME {
        return name.to_owned();
    }
    let start: String = name.chars().take(LONGEST_NAME).collect();
    format!("{start}…")
}
