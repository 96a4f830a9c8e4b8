//! Rows of threads, by the pages that they touched first.

use memtide_model::report::ThreadRow;
use memtide_model::{Observations, ThreadHistory};

/// Rows that are shown at most.
const MOST: usize = 20;

/// The threads with the most minor faults during the recording; `None` if no thread was ever read.
pub(crate) fn rows(observations: &Observations) -> Option<Vec<ThreadRow>> {
    if observations.threads.is_empty() {
        return None;
    }
    let recording = &observations.recording;
    let seconds = recording.ended.seconds_since(recording.started);
    let mut threads: Vec<&ThreadHistory> = observations.threads.iter().collect();
    threads.sort_by_key(|thread| {
        let id = thread.last.id;
        (core::cmp::Reverse(growth(thread)), id.tid, id.start)
    });
    let row = |thread: &ThreadHistory| ThreadRow {
        tid: thread.last.id.tid.0,
        name: thread.last.name.to_string(),
        state: char::from(thread.last.state).to_string(),
        min_flt: thread.last.min_flt,
        min_flt_per_second: if seconds > 0.0 {
            growth(thread) as f64 / seconds
        } else {
            0.0
        },
        wchan: thread.last.wchan.as_deref().map(str::to_owned),
        alive: thread.alive,
    };
    Some(threads.into_iter().take(MOST).map(row).collect())
}

/// Minor faults during the recording.
fn growth(thread: &ThreadHistory) -> u64 {
    let first = thread
        .points
        .first()
        .map_or(thread.last.min_flt, |point| point.min_flt);
    thread.last.min_flt.saturating_sub(first)
}
