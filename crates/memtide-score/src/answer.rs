//! What the engine said of one record, and what is true of it.

use crate::manifest::{Case, is_leak};
use memtide_model::report::{Evidence, Report};
use memtide_model::{Shape, VerdictKind};

/// A part of a record, in seconds since it began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    /// Its start.
    pub(crate) from: f64,
    /// Its end.
    pub(crate) to: f64,
}

/// What is known of a record without the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Truth {
    /// Slope of the live bytes of the program's own log, bytes per second (Theil and Sen).
    pub(crate) live_slope: Option<f64>,
    /// What grew over the record as a share of the median RSS: live bytes of a leak of blocks with a
    /// log, else RSS.
    pub(crate) grown_share: f64,
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    /// Of which case.
    pub(crate) case: String,
    /// Its source file.
    pub(crate) program: String,
    /// Arguments, where they were drawn.
    pub(crate) arguments: Vec<String>,
    /// Of which part of the record.
    pub(crate) window: Window,
    /// True if looks into the heap were had.
    pub(crate) looked: bool,
    /// What is true of the case.
    pub(crate) label: VerdictKind,
    /// The answer.
    pub(crate) kind: VerdictKind,
    /// What it may be, likeliest first.
    pub(crate) candidates: Vec<VerdictKind>,
    /// How sure.
    pub(crate) confidence: f64,
    /// The shape of the growth of RSS.
    pub(crate) shape: Shape,
    /// In the case's list of what may be said, or open with the truth among the candidates.
    pub(crate) acceptable: bool,
    /// True if the first candidate may be said: what the confidence is about.
    pub(crate) first_acceptable: bool,
    /// The rate that the verdict stands on, bytes per second.
    pub(crate) rate: Option<f64>,
    /// The 90 % interval of that rate, bytes per second.
    pub(crate) interval: Option<(f64, f64)>,
    /// What is true of this part of the record.
    pub(crate) truth: Truth,
    /// What was known to the engine of how steady its answer is; `None` where that was not asked.
    pub(crate) basis: Option<Basis>,
    /// Samples that the record holds.
    pub(crate) samples: u64,
    /// Its sentence.
    pub(crate) summary: String,
}

/// What a confidence is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Basis {
    /// Proven by a counter, measured, by shape, or open.
    pub(crate) standing: &'static str,
    /// How many of the shorter parts of the record give the same answer.
    pub(crate) agreeing: usize,
}

/// Labels of growth that ends: what grew before a window is level within it.
const ENDED: [VerdictKind; 4] = [
    VerdictKind::Plateau,
    VerdictKind::Retention,
    VerdictKind::ArenaBloat,
    VerdictKind::FileMapping,
];
/// Growth below this share of RSS is no growth that a record shows; the engine's own limit of what is
/// material.
const LEVEL_SHARE: f64 = 0.015;

impl Answer {
    /// The answer that a report gives.
    pub(crate) fn of(case: &Case, window: Window, truth: Truth, report: &Report) -> Self {
        let verdict = &report.verdict;
        let growth = &report.growth;
        let level =
            window.from > 0.0 && (ENDED.contains(&case.label) || met_its_limit(case, truth));
        let may_be_said = |kind: VerdictKind| {
            let ended = matches!(kind, VerdictKind::NoGrowth | VerdictKind::Plateau);
            kind != VerdictKind::Undetermined && case.outside.contains(&kind) || level && ended
        };
        let open = verdict.kind == VerdictKind::Undetermined;
        let first = verdict.candidates.first();
        Self {
            case: case.name.clone(),
            program: case.program.clone(),
            arguments: Vec::new(),
            window,
            looked: report.heap.as_ref().is_some_and(|heap| heap.conclusive),
            label: case.label,
            kind: verdict.kind,
            candidates: if open {
                verdict.candidates.clone()
            } else {
                Vec::new()
            },
            confidence: verdict.confidence,
            shape: growth.shape,
            acceptable: may_be_said(verdict.kind)
                || open && verdict.candidates.contains(&case.label),
            first_acceptable: first.is_some_and(|&kind| may_be_said(kind) || kind == case.label),
            rate: rate(report),
            interval: interval(report),
            truth,
            basis: None,
            samples: report.recording.samples,
            summary: verdict.summary.clone(),
        }
    }

    /// True if the answer leaves it open.
    pub(crate) fn is_open(&self) -> bool {
        self.kind == VerdictKind::Undetermined
    }

    /// True if no cause is named at all: the record was too short.
    pub(crate) fn is_too_early(&self) -> bool {
        self.is_open() && self.candidates.is_empty()
    }

    /// True if it is the label.
    pub(crate) fn is_strict(&self) -> bool {
        self.kind == self.label
    }

    /// True if the first candidate is the label.
    pub(crate) fn first_is_label(&self) -> bool {
        self.is_strict() || self.is_open() && self.candidates.first() == Some(&self.label)
    }

    /// True if the case is no leak of blocks or mappings.
    pub(crate) fn is_of_no_leak(&self) -> bool {
        !is_leak(self.label)
    }

    /// True if it says leak where there is none. Fragmentation is no leak.
    pub(crate) fn is_false_leak(&self) -> bool {
        self.is_of_no_leak() && is_leak(self.kind)
    }
}

/// True of a leak that does not grow any more, by its own log.
fn met_its_limit(case: &Case, truth: Truth) -> bool {
    case.label == VerdictKind::HeapLeak
        && truth.live_slope.is_some()
        && truth.grown_share < LEVEL_SHARE
}

/// The rate that the verdict names; where it names none, that of RSS.
fn rate(report: &Report) -> Option<f64> {
    named(report)
        .and_then(|evidence| evidence.value)
        .or(report.growth.rss_bytes_per_second)
}

/// The interval of the same rate.
fn interval(report: &Report) -> Option<(f64, f64)> {
    let of_rss = report.growth.low.zip(report.growth.high);
    named(report).map_or(of_rss, |evidence| evidence.low.zip(evidence.high))
}

/// The fact with the rate that the verdict stands on.
fn named(report: &Report) -> Option<&Evidence> {
    (report.verdict.evidence.iter()).find(|evidence| evidence.unit.as_deref() == Some("bytes/s"))
}
