//! All processes by growth: the slope of each one's RSS, from the cheapest read there is (`statm`).
//!
//! The rate is the robust slope of every other series in memtide ([`blocks`]); with fewer samples than that
//! needs there is a difference and no rate. No verdict: RSS alone does not tell a leak from a warm-up, and
//! `memtide attach` does.

use crate::statistics::{Series, blocks};
use memtide_model::{Bytes, Nanos, ProcessId, ProcessesReport, text};
use std::collections::HashMap;

/// RSS of one process over time.
#[derive(Clone, Debug)]
pub struct Pulsed {
    /// Which.
    pub id: ProcessId,
    /// When and how much, in order of time.
    pub points: Vec<(Nanos, Bytes)>,
}

/// Writes growth and rate into the rows of a report, and puts those that grew most first.
pub fn rising(report: &mut ProcessesReport, pulsed: &[Pulsed]) {
    let by_id: HashMap<(u32, u64), &Pulsed> = pulsed
        .iter()
        .map(|one| ((one.id.pid.0, one.id.start.0), one))
        .collect();
    for row in &mut report.processes {
        let Some(one) = by_id.get(&(row.pid, row.start_ticks)) else {
            row.growth_bytes = None;
            continue;
        };
        let ends = one.points.first().zip(one.points.last());
        row.growth_bytes = ends
            .filter(|_| one.points.len() > 1)
            .map(|((_, first), (_, last))| {
                i64::try_from(i128::from(last.0) - i128::from(first.0)).unwrap_or_default()
            });
        row.bytes_per_second = rate(one);
    }
    report.processes.sort_by(|a, b| {
        let rate = |row: &memtide_model::ProcessRow| row.bytes_per_second.unwrap_or(0.0);
        rate(b)
            .total_cmp(&rate(a))
            .then(b.growth_bytes.cmp(&a.growth_bytes))
            .then(a.pid.cmp(&b.pid))
    });
    report.summary = summary(report);
}

fn rate(one: &Pulsed) -> Option<f64> {
    let points = one
        .points
        .iter()
        .map(|(at, rss)| (at.as_secs_f64(), rss.as_f64()));
    blocks::slope_with_interval(&Series::of(points)).map(|slope| slope.per_second)
}

fn summary(report: &ProcessesReport) -> String {
    let grown =
        |row: &&memtide_model::ProcessRow| row.bytes_per_second.is_some_and(|rate| rate > 0.0);
    let growing = report.processes.iter().filter(grown).count();
    let Some(first) = report
        .processes
        .first()
        .filter(|row| growing > 0 && row.pid > 0)
    else {
        return format!("No process of {} grows.", report.processes.len());
    };
    let rate = text::rate(first.bytes_per_second.unwrap_or(0.0));
    let others = match growing - 1 {
        0 => "no other one grows".to_owned(),
        1 => "1 other grows".to_owned(),
        several => format!("{several} others grow"),
    };
    format!(
        "{} (pid {}) grows most, by {rate}; {others}.",
        first.name, first.pid
    )
}
