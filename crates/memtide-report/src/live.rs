//! One line of progress while a recording runs.
//!
//! It is drawn again and again over itself, so it never wraps: what does not fit is left out, the
//! least important part first. Until the gate of the verdict is passed the analyzer's summary says
//! "too early", and so does this line; it never says "leak" on its own account.

use crate::terminal::{sparkline, style};
use crate::{frames, names, sentences};
use memtide_model::report::Report;
use memtide_model::{Findings, VerdictKind, text};

/// Columns of the small chart.
const CHART: usize = 16;

/// Columns of the name of a function.
const PLACE: usize = 32;

/// Time, RSS, a small chart, growth and rate, the account that grew most, the verdict so far, and
/// for a heap leak the function that asked for most of it. At most `width` columns, no newline, no colour.
pub fn line(findings: &Findings, width: usize) -> String {
    let report = &findings.report;
    let points = &findings.timeline.points;
    let Some(last) = points.last() else {
        return style::cut("no sample yet", width);
    };
    // In the order in which they are shown, with the order in which they are dropped: highest first.
    let mut parts = vec![
        (1, text::duration(last.seconds)),
        (0, format!("RSS {}", text::bytes(last.rss.as_f64()))),
        (4, sparkline::render(points, CHART).trim_end().to_owned()),
        (2, growth(report)),
        (6, main_account(report)),
        (3, verdict(report)),
        (5, leading_stack(report)),
    ];
    parts.retain(|(_, part)| !part.is_empty());
    while joined(&parts).len() > 1 && style::columns(&joined(&parts)) > width && parts.len() > 1 {
        let highest = parts.iter().map(|(rank, _)| *rank).max();
        parts.retain(|(rank, _)| Some(*rank) != highest);
    }
    style::cut(&joined(&parts), width)
}

fn joined(parts: &[(u8, String)]) -> String {
    parts
        .iter()
        .map(|(_, part)| part.as_str())
        .collect::<Vec<_>>()
        .join("  ")
}

fn growth(report: &Report) -> String {
    let grown = text::signed_bytes(report.growth.rss_bytes as f64);
    match sentences::single_rate(&report.growth) {
        Some(rate) => format!("{grown} ({})", text::rate(rate)),
        None => grown,
    }
}

fn main_account(report: &Report) -> String {
    let most = report.ledger.iter().max_by_key(|row| row.growth_bytes);
    most.filter(|row| row.growth_bytes > 0)
        .map_or_else(String::new, |row| {
            format!(
                "{} {}",
                row.account.name(),
                text::signed_bytes(row.growth_bytes as f64)
            )
        })
}

/// Where a leak of the heap is, as far as stacks are known: the first own frame of the stack that
/// grew most.
fn leading_stack(report: &Report) -> String {
    let leak = report.verdict.kind == VerdictKind::HeapLeak;
    let first = report.stacks.iter().flatten().next();
    let first = first.filter(|row| leak && row.growth_bytes > 0);
    let frame = first.and_then(|row| row.frames.get(frames::own(&row.frames)?));
    let name = frame.and_then(|frame| {
        let brief = names::brief(&frames::label(frame));
        names::fitted(&brief, |text| style::columns(text) <= PLACE)
    });
    name.map_or_else(String::new, |name| format!("in {name}"))
}

/// A rate is what passes the gate: without one the record is too short for any answer.
fn verdict(report: &Report) -> String {
    let verdict = &report.verdict;
    let too_early = verdict.kind == VerdictKind::Undetermined
        && (report.growth.rss_bytes_per_second.is_none()
            || verdict.summary.to_lowercase().contains("too early"));
    if too_early {
        return "too early".to_owned();
    }
    match verdict.kind {
        VerdictKind::Undetermined => "undetermined so far".to_owned(),
        kind => format!(
            "{} ({} sure)",
            kind.words(),
            sentences::percent(verdict.confidence)
        ),
    }
}
