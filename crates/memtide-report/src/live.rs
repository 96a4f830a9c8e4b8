//! One line of progress while a recording runs.
//!
//! It is drawn again and again over itself, so it never wraps: what does not fit is left out, the
//! least important part first. Until the gate of the verdict is passed the analyzer's summary says
//! "too early", and so does this line; it never says "leak" on its own account.

use crate::sentences;
use crate::terminal::{sparkline, style};
use memtide_model::report::Report;
use memtide_model::{Findings, VerdictKind, text};

/// Columns of the small chart.
const CHART: usize = 16;

/// Time, RSS, a small chart, growth and rate, the account that grew most, the verdict so far. At
/// most `width` columns, no newline, no colour.
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
        (5, main_account(report)),
        (3, verdict(report)),
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
