//! The words that the sections share.

use crate::terminal::Page;
use crate::terminal::style::Tone;
use crate::terminal::table::UNKNOWN;
use memtide_model::{ProcessRow, ProcessesReport, text};

/// "looked 2 times in 1.0 s from 2026-…".
pub(super) fn looked(report: &ProcessesReport) -> String {
    let recording = &report.recording;
    let started = match recording.started.parse::<jiff::Timestamp>() {
        Ok(moment) => moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => recording.started.clone(),
    };
    match recording.samples {
        0 | 1 => format!("looked once, {started}"),
        times => {
            format!(
                "looked {times} times in {} from {started}",
                text::duration(recording.seconds)
            )
        }
    }
}

/// The number, with that in its own namespace where it is another.
pub(super) fn pid(row: &ProcessRow) -> String {
    row.inner_pid.map_or_else(
        || row.pid.to_string(),
        |inner| format!("{} ({inner})", row.pid),
    )
}

pub(super) fn user(name: Option<&str>, uid: Option<u32>) -> String {
    match (name, uid) {
        (Some(name), _) => crate::escape::clip(name, 32),
        (None, Some(uid)) => uid.to_string(),
        (None, None) => unknown(),
    }
}

/// The arguments joined by blanks; the name in brackets where there are none, as ps(1) writes it.
pub(super) fn command(cmdline: &[String], name: &str) -> String {
    let joined = if cmdline.is_empty() {
        format!("[{name}]")
    } else {
        cmdline.join(" ")
    };
    crate::escape::plain(&joined).into_owned()
}

pub(super) fn unknown() -> String {
    UNKNOWN.to_owned()
}

/// How many rows are not shown.
pub(super) fn rest(page: &mut Page, all: usize, shown: usize) {
    if all > shown {
        let line = format!("and {} more; --json has all of them", all - shown);
        page.sentence("", Tone::Faint, &line);
    }
}

/// Numbers in rising order, neighbours as a range: "12, 14-17".
pub(super) fn ranges(numbers: &[u32]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    for run in sorted.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
        match run {
            [one] => parts.push(one.to_string()),
            [one, two] => parts.extend([one.to_string(), two.to_string()]),
            [first, .., last] => parts.push(format!("{first}-{last}")),
            [] => {}
        }
    }
    parts.join(", ")
}
