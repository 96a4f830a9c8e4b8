//! The sentences about the malloc heap that the text and the page share, so that they cannot
//! disagree.
//!
//! Sizes are resident bytes wherever they are parts of the heap's resident bytes: only these add up,
//! to each other and to RSS. Nothing here is escaped and nothing is judged: whether a snapshot counts,
//! and why not, comes with the report.

mod rows;

pub(crate) use rows::{
    arena_name, arena_sum, arenas, classes, count_growth, growth_cell, size_name, sizes,
};

use crate::sentences::{cpu_time, part};
use memtide_model::report::Heap;
use memtide_model::text;

/// The words for what malloc keeps, and what they mean.
pub(crate) const WORDS: [(&str, &str); 4] = [
    (
        "cached",
        "freed blocks that a thread's cache or a fastbin keeps for the next request of their size",
    ),
    (
        "trim",
        "malloc_trim(0) gives whole free pages back to the kernel, and the main arena's unused end",
    ),
    (
        "stuck",
        "free bytes on pages that also hold a live block: no trim gives them back",
    ),
    (
        "unused ends",
        "what the arenas took from the kernel and have not cut into blocks yet",
    ),
];

/// A part of the heap's resident bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Blocks that the program has not freed.
    Live,
    /// Freed blocks that are kept ready for the same size.
    Cached,
    /// What a trim would give back.
    Trimmable,
    /// Free chunks on pages that something else needs.
    Stuck,
    /// Unused ends of arenas that no trim shortens.
    Top,
    /// Malloc's own structures, and what was not understood.
    Overhead,
}

impl Part {
    /// What it is called in a legend.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Cached => "cached for the next request",
            Self::Trimmable => "free, a trim would give it back",
            Self::Stuck => "free, stuck between live blocks",
            Self::Top => "unused ends of arenas",
            Self::Overhead => "overhead and not understood",
        }
    }
}

/// The parts that hold something, with their bytes. They add up to the resident bytes of the heap:
/// where reads raced and the parts hold more than the whole, the later ones are cut.
pub(crate) fn parts(heap: &Heap) -> Vec<(Part, u64)> {
    let trimmable_in_bins = heap.free_resident_bytes.saturating_sub(heap.stuck_bytes);
    let trimmable_ends = heap.trimmable_bytes.saturating_sub(trimmable_in_bins);
    let mut rest = heap.resident_bytes;
    let mut parts = Vec::new();
    for (part, bytes) in [
        (Part::Live, heap.live_resident_bytes),
        (Part::Cached, heap.cached_bytes),
        (Part::Trimmable, heap.trimmable_bytes),
        (Part::Stuck, heap.stuck_bytes),
        (
            Part::Top,
            heap.top_resident_bytes.saturating_sub(trimmable_ends),
        ),
        (Part::Overhead, u64::MAX),
    ] {
        let bytes = bytes.min(rest);
        rest -= bytes;
        if bytes > 0 {
            parts.push((part, bytes));
        }
    }
    parts
}

/// True where malloc holds nothing at all: nothing was ever asked of it.
pub(crate) const fn is_empty(heap: &Heap) -> bool {
    heap.resident_bytes == 0 && heap.live_bytes == 0 && heap.free_bytes == 0
}

/// What malloc keeps resident and the program does not use.
const fn kept(heap: &Heap) -> u64 {
    heap.resident_bytes.saturating_sub(heap.live_resident_bytes)
}

/// "heap 190 MiB: 24.0 MiB live in 31204 blocks, 166 MiB free but kept".
pub(crate) fn in_short(heap: &Heap) -> String {
    if is_empty(heap) {
        return "an empty heap".to_owned();
    }
    format!(
        "heap {}: {}, {} free but kept",
        size(heap.resident_bytes),
        live(heap),
        size(kept(heap))
    )
}

/// "24.0 MiB live in 31204 blocks"; an imported log knows their bytes alone.
fn live(heap: &Heap) -> String {
    let bytes = size(heap.live_resident_bytes);
    match heap.live_blocks {
        0 if heap.live_bytes > 0 => format!("{bytes} live"),
        blocks => format!("{bytes} live in {}", text::plural(blocks, "block")),
    }
}

/// What the heap holds: its resident bytes, their share of RSS, and what they consist of.
pub(crate) fn holds(heap: &Heap) -> String {
    if is_empty(heap) {
        return "nothing: no block was ever asked of malloc".to_owned();
    }
    let share = match heap.rss_bytes {
        0 => String::new(),
        rss => format!(
            ", {} of RSS ({})",
            part(heap.resident_bytes as f64 / rss as f64),
            size(rss)
        ),
    };
    let mut sentence = format!(
        "{} resident{share}: {}",
        size(heap.resident_bytes),
        live(heap),
    );
    for part in kept_parts(heap) {
        sentence.push_str(", ");
        sentence.push_str(&part);
    }
    sentence
}

/// What malloc keeps, in the words of its own structures; parts that hold nothing are left out.
fn kept_parts(heap: &Heap) -> Vec<String> {
    let mut rest = kept(heap);
    [
        (heap.cached_bytes, "cached"),
        (heap.free_resident_bytes, "free"),
        (heap.top_resident_bytes, "of unused ends"),
        (u64::MAX, "of overhead"),
    ]
    .into_iter()
    .filter_map(|(bytes, words)| {
        let bytes = bytes.min(rest);
        rest -= bytes;
        (bytes > 0).then(|| format!("{} {words}", size(bytes)))
    })
    .collect()
}

/// What of the heap lies elsewhere or is not in memory; `None` where there is nothing of the kind.
pub(crate) fn elsewhere(heap: &Heap) -> Option<String> {
    let mut notes = Vec::new();
    if heap.mmapped_blocks > 0 {
        let blocks = match heap.mmapped_blocks {
            1 => "1 block with a mapping of its own".to_owned(),
            blocks => format!("{blocks} blocks with mappings of their own"),
        };
        notes.push(format!(
            "{} of the live bytes in {blocks}",
            size(heap.mmapped_bytes)
        ));
    }
    let absent = heap.live_bytes.saturating_sub(heap.live_resident_bytes);
    if absent > 0 {
        notes.push(format!(
            "{} of the live blocks not in memory: never touched or swapped out",
            size(absent)
        ));
    }
    if heap.swapped_bytes > 0 {
        notes.push(format!(
            "{} of the heap swapped out and therefore not read",
            size(heap.swapped_bytes)
        ));
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// What a trim would do; `None` for an empty heap, and where it is not known.
pub(crate) fn trim(heap: &Heap) -> Option<String> {
    if is_empty(heap) || !heap.knows_trim() {
        return None;
    }
    let back = match heap.trimmable_bytes {
        0 => "nothing".to_owned(),
        bytes => size(bytes),
    };
    let stuck = match heap.stuck_bytes {
        0 => "nothing is stuck between live blocks".to_owned(),
        bytes => format!("{} are stuck between live blocks", size(bytes)),
    };
    Some(format!("malloc_trim would give back {back}; {stuck}"))
}

/// What changed since the first snapshot; `None` where there is one alone.
pub(crate) fn growth(heap: &Heap) -> Option<String> {
    let live = text::signed_bytes(heap.live_growth_bytes? as f64);
    let blocks = heap
        .live_growth_blocks
        .map(|blocks| match blocks.unsigned_abs() {
            1 => format!(" in {blocks:+} block"),
            0 => " in as many blocks".to_owned(),
            _ => format!(" in {blocks:+} blocks"),
        });
    let kept = heap.retained_growth_bytes.map(|bytes| {
        let kept = text::signed_bytes(bytes as f64);
        format!(", free but kept {kept}")
    });
    Some(format!(
        "since the first of {}: live {live}{}{}",
        text::plural(heap.snapshots, "snapshot"),
        blocks.unwrap_or_default(),
        kept.unwrap_or_default()
    ))
}

/// How it was looked at: how often, with which layout, for how much.
pub(crate) fn how(heap: &Heap) -> String {
    let often = match heap.snapshots {
        0 | 1 => "1 snapshot".to_owned(),
        several => format!(
            "{several} snapshots, the last after {}",
            text::duration(heap.t_seconds)
        ),
    };
    let layout = match (heap.layout.as_str(), heap.untested_layout) {
        ("", false) => String::new(),
        ("", true) => "; layout not tested with this library, but all its checks hold".to_owned(),
        (layout, false) => format!("; layout of {layout}"),
        (layout, true) => {
            format!("; layout of {layout}, not tested with this library, but all its checks hold")
        }
    };
    let held = match heap.held_seconds.filter(|seconds| seconds.is_finite()) {
        None => "the process ran on".to_owned(),
        Some(seconds) => format!("the process was held for {}", cpu_time(seconds)),
    };
    format!(
        "{often}{layout}; {} of CPU time; {held}",
        cpu_time(heap.cost_cpu_seconds)
    )
}

/// What was not understood; `None` where all of it was.
pub(crate) fn lost(heap: &Heap) -> Option<String> {
    if heap.skipped_bytes == 0 && heap.bad_headers == 0 {
        return None;
    }
    let all = heap.parsed_bytes.saturating_add(heap.skipped_bytes);
    let share = match (heap.skipped_bytes, all) {
        (0, _) | (_, 0) => String::new(),
        (skipped, all) => format!(" ({})", part(skipped as f64 / all as f64)),
    };
    Some(format!(
        "{} of {}{share} not understood; {} made no sense",
        size(heap.skipped_bytes),
        size(all),
        text::plural(heap.bad_headers, "header")
    ))
}

/// That nothing follows from it; why stands in the report's doubts. `None` where it counts.
pub(crate) const fn doubt(heap: &Heap) -> Option<&'static str> {
    if heap.conclusive {
        None
    } else {
        Some("inconclusive: not used for the verdict")
    }
}

fn size(bytes: u64) -> String {
    text::bytes(bytes as f64)
}
