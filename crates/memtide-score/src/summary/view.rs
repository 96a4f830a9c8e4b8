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

    /// Those that had looks at a program with a log: what happens in its heap can be read by memtide and is
    /// known otherwise. Interpreters, whose heaps cannot be read yet, are not among them.
    pub(crate) fn logged(&self) -> Self {
        self.only(|answer| answer.looked && answer.truth.live_slope.is_some())
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

    /// Those that name a cause, decided or first among others.
    pub(crate) fn named(&self) -> Self {
        self.only(|answer| !answer.is_too_early())
    }

    /// Mean confidence; 0 of nothing.
    pub(crate) fn confidence(&self) -> f64 {
        let sum: f64 = self.answers.iter().map(|answer| answer.confidence).sum();
        sum / self.answers.len().max(1) as f64
    }

    /// Confidences of answers that name a cause, decided or first among others, with whether that is
    /// right.
    pub(crate) fn outcomes(&self, right: Right) -> Vec<Outcome> {
        (self.named().answers.iter())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Truth;
    use VerdictKind::{Fragmentation, HeapLeak, MmapLeak, NoGrowth, Plateau, Undetermined};
    use memtide_model::Shape;

    fn answer(label: VerdictKind, kind: VerdictKind, candidates: &[VerdictKind]) -> Answer {
        Answer {
            case: String::new(),
            program: String::new(),
            arguments: Vec::new(),
            window: Window {
                from: 0.0,
                to: 48.0,
            },
            looked: true,
            label,
            kind,
            candidates: candidates.to_vec(),
            confidence: 0.8,
            shape: Shape::Linear,
            acceptable: label == kind,
            first_acceptable: label == kind || candidates.first() == Some(&label),
            rate: Some(110.0),
            interval: Some((90.0, 130.0)),
            truth: Truth {
                live_slope: Some(100.0),
                grown_share: 0.5,
            },
            basis: None,
            samples: 192,
            summary: String::new(),
        }
    }

    /// Counted by hand.
    #[test]
    fn figures_count_what_they_say() {
        let answers = [
            answer(HeapLeak, HeapLeak, &[]),
            answer(HeapLeak, Undetermined, &[HeapLeak, Fragmentation]),
            answer(HeapLeak, Undetermined, &[]),
            answer(MmapLeak, HeapLeak, &[]),
            answer(Fragmentation, HeapLeak, &[]),
            answer(Plateau, NoGrowth, &[]),
            answer(Plateau, Plateau, &[]),
        ];
        let view = View::of(&answers);
        let share = |hits, of| Share { hits, of };
        assert_eq!(view.false_leaks(), share(1, 3));
        assert_eq!(view.recall(), share(2, 4));
        assert_eq!(view.strict(), share(2, 7));
        assert_eq!(view.strict_of_decided(), share(2, 5));
        assert_eq!((view.open(), view.too_early()), (share(2, 7), share(1, 7)));
        assert_eq!(view.outcomes(Right::Strict).len(), 6);
        assert_eq!(
            Share::count(view.outcomes(Right::Strict), |o| o.right),
            share(3, 6)
        );
        // Of leaks of blocks alone: three.
        assert_eq!(view.covered(), share(3, 3));
        assert!(
            view.slope_errors()
                .iter()
                .all(|(_, error)| (error - 0.1).abs() < 1e-12)
        );
        assert!(
            view.widths()
                .iter()
                .all(|width| (width - 0.4).abs() < 1e-12)
        );
    }

    #[test]
    fn a_leak_that_hardly_grew_need_not_be_found() {
        let mut small = answer(HeapLeak, NoGrowth, &[]);
        small.truth.grown_share = 0.02;
        assert_eq!(View::of(&[small]).recall(), Share::default());
    }
}
