//! A process whose memory is one curve.

use super::Simulated;
use crate::observe::{PROCESS, looked_at};
use memtide_analyzer::analyze;
use memtide_import::{Known, heap_sample, observations};
use memtide_model::report::Verdict;
use memtide_model::{Bytes, HeapSnapshot, HeapTotals, Limits, Nanos, Sample, VerdictKind};

/// Second 0 on the boot clock.
const ORIGIN: f64 = 100_000.0;
/// Memory comes in pages of so many bytes.
const PAGE: f64 = 4096.0;

/// A sample at a second of the record, with so many bytes in `[heap]`.
pub(super) fn sample(second: f64, bytes: f64) -> Sample {
    let rss = whole((bytes.max(PAGE) / PAGE).round() * PAGE);
    heap_sample(Nanos::from_secs_f64(ORIGIN + second), PROCESS, rss)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive size; the cast saturates"
)]
fn whole(bytes: f64) -> Bytes {
    Bytes(bytes as u64)
}

/// The verdicts on the samples, with looks that find all live and without.
pub(super) fn judge(kind: &'static str, samples: &[Sample]) -> Simulated {
    let verdict = |looks: Option<Vec<HeapSnapshot>>| -> Verdict {
        let known = Known {
            name: "simulated",
            runtime: "none",
            age: Nanos::from_secs(3600),
            limits: Limits::default(),
        };
        analyze(&observations(&known, samples.to_vec(), looks))
            .report
            .verdict
    };
    let looks = looked_at(samples).into_iter().map(all_live).collect();
    let (looked, unlooked) = (verdict(Some(looks)), verdict(None));
    Simulated {
        kind,
        tau: None,
        leaks: false,
        twin: false,
        looked: looked.kind,
        unlooked: unlooked.kind,
        first: (unlooked.candidates.first()).map_or(VerdictKind::Undetermined, |kind| *kind),
        confidence: looked.confidence,
    }
}

/// A look that finds every byte in use.
fn all_live(sample: &Sample) -> HeapSnapshot {
    let rss = sample.memory.rss;
    HeapSnapshot {
        at: sample.at,
        rss,
        layout: "simulated".to_owned(),
        totals: HeapTotals {
            live_blocks: rss.0 / 1024,
            live_bytes: rss,
            live_resident: rss,
            heap_resident: rss,
            ..HeapTotals::default()
        },
        ..HeapSnapshot::default()
    }
}
