//! A choice of the answers, and the figures that are taken of one.

use crate::answer::{Answer, Window};
use crate::manifest::is_leak;
use crate::measure::calibration::Outcome;
use crate::measure::share::Share;
use memtide_model::VerdictKind;

/// A leak that grew by less than this share of RSS need not be found.
const GROWN_SHARE: f64 = 0.03;

/// Some of the answers.
#[derive(Clone, Debug)]
pub(crate) struct View<'a> {
    /// They.
    pub(crate) answers: Vec<&'a Answer>,
}

impl<'a> View<'a> {
    /// All of them.
    pub(crate) fn of(answers: &'a [Answer]) -> Self {
        Self {
            answers: answers.iter().collect(),
        }
    }

    /// Those for which `is` holds.
    pub(crate) fn only(&self, is: impl Fn(&Answer) -> bool) -> Self {
        Self {
            answers: (self.answers.iter().copied())
                .filter(|answer| is(answer))
                .collect(),
        }
    }

    /// Those of a window.
    pub(crate) fn over(&self, window: Window) -> Self {
        self.only(|answer| answer.window == window)
    }

    /// Those without looks into the heap.
    pub(crate) fn without_looks(&self) -> Self {
        self.only(|answer| !answer.looked)
    }

    /// Those with looks into the heap where they can be had, else without: what a user gets.
    pub(crate) fn with_looks(&self) -> Self {
        self.only(|answer| answer.looked || answer.truth.live_slope.is_none())
    }

    /// Those that had looks.
    pub(crate) fn looked(&self) -> Self {
        self.only(|answer| answer.looked)
    }

    /// Acceptable answers.
    pub(crate) fn acceptable(&self) -> Share {
        Share::count(&self.answers, |answer| answer.acceptable)
    }

    /// Answers that are the label.
    pub(crate) fn strict(&self) -> Share {
        Share::count(&self.answers, |answer| answer.is_strict())
    }

    /// Answers that are the label, among those that decide.
    pub(crate) fn strict_of_decided(&self) -> Share {
        self.only(|answer| !answer.is_open()).strict()
    }

    /// Answers that decide nothing.
    pub(crate) fn open(&self) -> Share {
        Share::count(&self.answers, |answer| answer.is_open())
    }

    /// Answers that name no cause at all: the record was too short.
    pub(crate) fn too_early(&self) -> Share {
        Share::count(&self.answers, |answer| answer.is_too_early())
    }

    /// Leaks that are none, among what is no leak.
    pub(crate) fn false_leaks(&self) -> Share {
        let none = self.only(Answer::is_of_no_leak);
        Share::count(&none.answers, |answer| answer.is_false_leak())
    }

    /// Leaks that are called one, among those that grew enough.
    pub(crate) fn recall(&self) -> Share {
        let leaks =
            self.only(|answer| !answer.is_of_no_leak() && answer.truth.grown_share >= GROWN_SHARE);
        Share::count(&leaks.answers, |answer| is_leak(answer.kind))
    }

    /// Leaks of blocks with a slope by their own log, which grew enough.
    fn with_slope(&self) -> impl Iterator<Item = (&'a Answer, f64)> {
        (self.answers.iter())
            .filter(|answer| answer.label == VerdictKind::HeapLeak)
            .filter(|answer| answer.truth.grown_share >= GROWN_SHARE)
            .filter_map(|answer| Some((*answer, answer.truth.live_slope?)))
            .filter(|(_, slope)| *slope > 0.0)
    }

    /// Relative errors of the rates that verdicts name, with whose they are.
    pub(crate) fn slope_errors(&self) -> Vec<(&'a Answer, f64)> {
        self.with_slope()
            .filter_map(|(answer, slope)| Some((answer, (answer.rate? / slope - 1.0).abs())))
            .collect()
    }

    /// 90 % intervals that hold the true slope.
    pub(crate) fn covered(&self) -> Share {
        let with_interval =
            (self.with_slope()).filter_map(|(answer, slope)| Some((answer.interval?, slope)));
        Share::count(with_interval, |((low, high), slope)| {
            (*low..=*high).contains(slope)
        })
    }

    /// Widths of the 90 % intervals as shares of the true slope.
    pub(crate) fn widths(&self) -> Vec<f64> {
        self.with_slope()
            .filter_map(|(answer, slope)| {
                let (low, high) = answer.interval?;
                Some((high - low) / slope)
            })
            .collect()
    }

    /// Mean confidence; 0 of nothing.
    pub(crate) fn confidence(&self) -> f64 {
        let sum: f64 = self.answers.iter().map(|answer| answer.confidence).sum();
        sum / self.answers.len().max(1) as f64
    }

    /// Confidences of answers that name a cause, decided or first among others, with whether that is
    /// right.
    pub(crate) fn outcomes(&self, right: Right) -> Vec<Outcome> {
        (self.answers.iter())
            .filter(|answer| !answer.is_too_early())
            .map(|answer| Outcome {
                confidence: answer.confidence,
                right: right.is(answer),
            })
            .collect()
    }
}

/// What counts as right when a confidence is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// The cause that is named may be said of the case from outside.
    Acceptable,
    /// It is the label.
    Strict,
}

impl Right {
    /// Whether the answer is right.
    pub(crate) fn is(self, answer: &Answer) -> bool {
        match self {
            Self::Acceptable => answer.first_acceptable,
            Self::Strict => answer.first_is_label(),
        }
    }

    /// In a heading.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Acceptable => "acceptable",
            Self::Strict => "the label",
        }
    }
}
