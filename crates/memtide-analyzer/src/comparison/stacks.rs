//! Call stacks of two recordings, matched by what their frames are called.
//!
//! Addresses move from release to release, and so do lines. A frame is the same if its function and the name of its
//! file of code are; the program's own file is the same whatever it is called (`shop-1.2`, `shop-1.3`); one without a function only at the same address. Stacks that are alike by that are added up.
//!
//! A report lists its foremost stacks alone ([`MOST_STACKS`](crate::thresholds::MOST_STACKS)), so a stack that is
//! missing in one may stand there behind them, and is counted as none. Suppressed stacks and those of other processes
//! are left out.

use crate::thresholds::MOST_DIFFERENCES;
use memtide_model::comparison::StackDifference;
use memtide_model::report::{FrameRow, StackRow};
use memtide_model::{StackKind, StackOwner};
use std::collections::BTreeMap;

type Key = (StackKind, Vec<(String, String)>);

/// The stacks of one recording, and the program's file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed<'a> {
    pub(super) rows: &'a [StackRow],
    pub(super) exe: &'a str,
}

/// What the rows of one key come to.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    live_bytes: u64,
    bytes_per_second: Option<f64>,
}

impl Sum {
    fn add(&mut self, row: &StackRow) {
        self.live_bytes = self.live_bytes.saturating_add(row.live_bytes);
        if let Some(rate) = row.bytes_per_second.filter(|rate| rate.is_finite()) {
            self.bytes_per_second = Some(self.bytes_per_second.unwrap_or(0.0) + rate);
        }
    }
}

/// Stacks that differ in rate or live bytes, those first whose rates do most.
pub(super) fn differences(baseline: Listed<'_>, here: Listed<'_>) -> Vec<StackDifference> {
    let mut pairs: BTreeMap<Key, (Sum, Sum, &[FrameRow])> = BTreeMap::new();
    for row in baseline.rows.iter().filter(|row| counts(row)) {
        let (before, ..) = pairs.entry(key(row, baseline.exe)).or_insert((
            Sum::default(),
            Sum::default(),
            &row.frames,
        ));
        before.add(row);
    }
    for row in here.rows.iter().filter(|row| counts(row)) {
        let (_, now, frames) = pairs.entry(key(row, here.exe)).or_insert((
            Sum::default(),
            Sum::default(),
            &row.frames,
        ));
        now.add(row);
        // Lines and addresses are those of the recording that is shown.
        *frames = &row.frames;
    }
    let mut differences: Vec<StackDifference> = (pairs.into_iter())
        .map(|((kind, _), (before, now, frames))| difference(kind, before, now, frames))
        .filter(|row| row.difference != 0.0 || row.live_bytes != row.baseline_live_bytes)
        .collect();
    differences.sort_by(|a, b| {
        let moved = |row: &StackDifference| row.live_bytes.abs_diff(row.baseline_live_bytes);
        (b.difference.abs().total_cmp(&a.difference.abs())).then(moved(b).cmp(&moved(a)))
    });
    differences.truncate(MOST_DIFFERENCES);
    differences
}

fn counts(row: &StackRow) -> bool {
    row.suppressed.is_none() && row.owner == StackOwner::Target
}

fn difference(kind: StackKind, before: Sum, now: Sum, frames: &[FrameRow]) -> StackDifference {
    StackDifference {
        kind,
        baseline_live_bytes: before.live_bytes,
        live_bytes: now.live_bytes,
        baseline_bytes_per_second: before.bytes_per_second,
        bytes_per_second: now.bytes_per_second,
        difference: now.bytes_per_second.unwrap_or(0.0) - before.bytes_per_second.unwrap_or(0.0),
        frames: frames.to_vec(),
    }
}

fn key(row: &StackRow, exe: &str) -> Key {
    let frame = |frame: &FrameRow| {
        let module = frame.module.as_deref().unwrap_or_default();
        let module = if module == exe { "" } else { module };
        let module = module.rsplit('/').next().unwrap_or_default().to_owned();
        let function = frame.function.as_ref().unwrap_or(&frame.address);
        (function.clone(), module)
    };
    (row.kind, row.frames.iter().map(frame).collect())
}
