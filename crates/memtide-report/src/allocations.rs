//! The sentences about call stacks that the text and the page share, so that they cannot disagree.
//!
//! Numbers that are estimates carry a `~`. Nothing here is escaped and nothing is judged: which
//! stacks come first is the report's order.

use crate::sentences::{part, percent};
use memtide_model::report::{Allocations, Report, StackRow};
use memtide_model::stacks::{HeapMode, Lost, StackEnd, StackKind, StackOwner};
use memtide_model::text;

/// What the leak score means.
pub(crate) const LEAK_SCORE: &str = "1 - (frees + 1) / (blocks made + 2), over the older half of a \
     stack's blocks: near 1 where none of them was ever freed, near 0 where all were";

/// The mark of an estimate, or nothing.
pub(crate) const fn about(row: &StackRow) -> &'static str {
    if row.samples.is_some() { "~" } else { "" }
}

/// The stacks to be shown first, with what they have in common: those that grew, or where none
/// did, those that hold memory.
pub(crate) fn foremost(rows: &[StackRow]) -> (Vec<&StackRow>, &'static str) {
    let grown: Vec<_> = rows.iter().filter(|row| row.growth_bytes > 0).collect();
    if !grown.is_empty() {
        return (grown, "by growth");
    }
    let mut holding: Vec<_> = rows.iter().filter(|row| row.live_bytes > 0).collect();
    holding.sort_by_key(|row| std::cmp::Reverse(row.live_bytes));
    (holding, "by live bytes, for none grew")
}

/// Blocks that were never freed and are not suppressed, the greatest first.
pub(crate) fn never_freed(rows: &[StackRow]) -> Vec<&StackRow> {
    let left = rows.iter().filter(|row| {
        row.never_freed && row.suppressed.is_none() && (row.live_bytes > 0 || row.live_blocks > 0)
    });
    let mut left: Vec<_> = left.collect();
    left.sort_by_key(|row| std::cmp::Reverse(row.live_bytes));
    left
}

/// "~+12.3 MiB".
pub(crate) fn growth(row: &StackRow) -> String {
    let growth = text::signed_bytes(row.growth_bytes as f64);
    format!("{}{growth}", about(row))
}

/// "93 %", or a dash.
pub(crate) fn share(row: &StackRow) -> String {
    match row.growth_share.filter(|share| share.is_finite()) {
        None => "-".to_owned(),
        Some(share) => part(share),
    }
}

/// "480 KiB/s", or a dash.
pub(crate) fn rate(row: &StackRow) -> String {
    let rate = row.bytes_per_second.filter(|rate| rate.is_finite());
    rate.map_or_else(
        || "-".to_owned(),
        |rate| format!("{}{}", about(row), text::rate(rate)),
    )
}

/// "470 KiB/s to 490 KiB/s".
pub(crate) fn interval(row: &StackRow) -> Option<String> {
    let (low, high) = (row.low?, row.high?);
    (low.is_finite() && high.is_finite()).then(|| text::rates(low, high))
}

/// "0.99", or a dash.
pub(crate) fn leak_score(row: &StackRow) -> String {
    let score = row.leak_score.filter(|score| score.is_finite());
    score.map_or_else(|| "-".to_owned(), |score| format!("{score:.2}"))
}

/// "~300 blocks", "2 mappings".
pub(crate) fn blocks(row: &StackRow) -> String {
    let noun = match row.kind {
        StackKind::Heap => "block",
        StackKind::Mapping => "mapping",
    };
    format!("{}{}", about(row), text::plural(row.live_blocks, noun))
}

/// "~12.3 MiB".
pub(crate) fn live(row: &StackRow) -> String {
    format!("{}{}", about(row), text::bytes(row.live_bytes as f64))
}

/// "~12.3 MiB".
pub(crate) fn peak(row: &StackRow) -> String {
    format!("{}{}", about(row), text::bytes(row.peak_bytes as f64))
}

/// What it grew by, its share, how fast: one sentence without a full stop.
pub(crate) fn course(row: &StackRow) -> String {
    let mut course = growth(row);
    if row.growth_share.is_some_and(f64::is_finite) {
        course.push_str(", ");
        course.push_str(&share(row));
        course.push_str(match row.owner {
            StackOwner::Target => " of the growth",
            StackOwner::Others => " of their growth",
        });
    }
    if row.bytes_per_second.is_some_and(f64::is_finite) {
        course.push_str(", ");
        course.push_str(&rate(row));
    }
    if let Some(interval) = interval(row) {
        course.push_str(" (90 % interval ");
        course.push_str(&interval);
        course.push(')');
    }
    course
}

/// What it holds: live bytes and blocks, peak, leak score, samples, and whose it is.
pub(crate) fn holding(row: &StackRow) -> String {
    let mut parts = vec![
        if row.growth_bytes > 0 && row.live_bytes == 0 {
            // It grew while the program ran, and its destructors freed it.
            "all freed by the last look".to_owned()
        } else {
            format!("live {} in {}", live(row), blocks(row))
        },
        format!("peak {}", peak(row)),
    ];
    if row.leak_score.is_some_and(f64::is_finite) {
        parts.push(format!("leak score {}", leak_score(row)));
    }
    parts.extend(sampling(row));
    parts.extend(owner(row).map(str::to_owned));
    if let Some(suppression) = &row.suppressed {
        parts.push(format!("suppressed by {suppression}"));
    }
    parts.join(", ")
}

/// "562 samples, give or take 4 %". The relative error of an estimate from n samples is about 1/√n.
pub(crate) fn sampling(row: &StackRow) -> Option<String> {
    let samples = row.samples?;
    let error = match samples {
        0..4 => "too few to tell".to_owned(),
        _ => format!("give or take {}", percent(1.0 / (samples as f64).sqrt())),
    };
    Some(format!("{}, {error}", text::plural(samples, "sample")))
}

/// Whose memory it is, where it is not the target's.
pub(crate) const fn owner(row: &StackRow) -> Option<&'static str> {
    match row.owner {
        StackOwner::Target => None,
        StackOwner::Others => Some("in other processes"),
    }
}

/// Why nothing stands after the last frame, where that is not the thread's beginning.
pub(crate) const fn end(end: StackEnd) -> Option<&'static str> {
    match end {
        StackEnd::Root => None,
        StackEnd::Truncated => Some("deeper than the shim follows"),
        StackEnd::Foreign => Some("beyond it lies a stack that may not be read"),
        StackEnd::Overflow => Some("many stacks together: the table of stacks was full"),
    }
}

/// What was looked at and how: the mode with its interval, and how many stacks there are.
pub(crate) fn mode(report: &Report, sums: &Allocations) -> String {
    let listed = report.stacks.as_ref().map_or(0, Vec::len) as u64;
    let stacks = match sums.stacks.checked_sub(listed) {
        None | Some(0) => text::plural(sums.stacks, "stack"),
        Some(_) => format!(
            "{}, of which the report lists {listed}",
            text::plural(sums.stacks, "stack")
        ),
    };
    let how = match sums.mode {
        HeapMode::Full => "full: every block counted".to_owned(),
        HeapMode::Sampled => format!(
            "sampled: one look per {} on average, numbers with ~ are estimates",
            text::bytes(sums.interval_bytes as f64)
        ),
    };
    format!("{how}; {stacks}")
}

/// Sums of the target: what was made, what is live, what was highest.
pub(crate) fn sums(sums: &Allocations) -> String {
    let about = match sums.mode {
        HeapMode::Full => "",
        HeapMode::Sampled => "~",
    };
    let size = |bytes: u64| format!("{about}{}", text::bytes(bytes as f64));
    let mappings = match sums.mapping_bytes {
        0 => String::new(),
        bytes => format!(" and {} of mappings", size(bytes)),
    };
    format!(
        "made {about}{}, {} in all; live {} in {about}{}{mappings}; highest {}",
        text::plural(sums.allocs, "block"),
        size(sums.allocated_bytes),
        size(sums.live_bytes),
        text::plural(sums.live_blocks, "block"),
        size(sums.peak_bytes)
    )
}

/// "3,123 blocks, 12.3 MiB, were never freed; …"; `None` where the end was not seen.
pub(crate) fn left(sums: &Allocations) -> Option<String> {
    let (blocks, bytes) = (sums.never_freed_blocks?, sums.never_freed_bytes?);
    let about = match sums.mode {
        HeapMode::Full => "",
        HeapMode::Sampled => "~",
    };
    let suppressed = match sums.suppressed_bytes {
        0 => String::new(),
        bytes => format!(", {about}{} of them suppressed", text::bytes(bytes as f64)),
    };
    Some(format!(
        "{about}{}, {about}{}{suppressed}",
        text::plural(blocks, "block"),
        text::bytes(bytes as f64)
    ))
}

/// What was not seen, only the reasons that occurred; `None` where all was seen.
pub(crate) fn lost(lost: &Lost) -> Option<String> {
    let reasons = [
        (
            lost.reentered,
            "block",
            "of signal handlers that came in between",
        ),
        (lost.threadless, "block", "of threads without a slot"),
        (lost.no_room, "block", "for which there was no room"),
        (lost.overflow, "stack", "without a number of its own"),
        (
            lost.ruleless,
            "stack",
            "ended at code without unwinding rules",
        ),
        (lost.truncated, "stack", "deeper than the shim follows"),
        (lost.foreign, "stack", "on memory that may not be walked"),
        (lost.processes, "other process", "not recorded"),
    ];
    let named: Vec<_> = reasons
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, noun, why)| match (*count, *noun) {
            (1, noun) => format!("1 {noun} {why}"),
            (count, "other process") => format!("{count} other processes {why}"),
            (count, noun) => format!("{} {why}", text::plural(count, noun)),
        })
        .collect();
    (!named.is_empty()).then(|| named.join("; "))
}
