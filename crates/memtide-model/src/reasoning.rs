//! How a verdict came about: every question that was asked, with the numbers and thresholds that
//! answered it.
//!
//! The steps stand in the order in which they were asked, so they read as an argument: each passes
//! the question on or decides it, and the last names the verdict. A number is the very one that was
//! compared, its threshold the very one that it was compared with.
//!
//! Refuses to hold what is not finite: a value that does not exist is `null`.

use crate::text;
use crate::verdict::VerdictKind;
use serde::{Deserialize, Serialize};

/// The steps to a verdict, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reasoning {
    /// At least one; the last is of [`Stage::Verdict`].
    pub steps: Vec<Step>,
}

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Where it belongs.
    pub stage: Stage,
    /// What was asked, as a sentence.
    pub question: String,
    /// What was measured, in the order in which it was compared; a comparison that fails ends most
    /// questions, so what was not needed is absent.
    pub numbers: Vec<Number>,
    /// The answer, as one or two sentences.
    pub decision: String,
    /// What it meant for the verdict.
    pub outcome: Outcome,
    /// The cause that it found; `null` where it found none.
    pub verdict: Option<VerdictKind>,
}

/// The parts of the engine in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Whether the record is long enough to judge growth by.
    Record,
    /// Causes that a counter of the kernel proves.
    Counters,
    /// Whether memory follows descriptors or threads.
    Load,
    /// Causes that come by the unit, which load may explain: threads, descriptors, address space.
    Units,
    /// How memory moves, and whose it is.
    Shape,
    /// Whether growth may be called growth without bound.
    Gate,
    /// What the growth consists of, where live blocks were counted.
    Live,
    /// Which of several causes holds most of the growth.
    Causes,
    /// How sure the answer is.
    Confidence,
    /// When growth meets a limit.
    Forecast,
    /// The verdict.
    Verdict,
}

impl Stage {
    /// As the heading of its steps.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Record => "The record",
            Self::Counters => "Stage 1: counters of the kernel",
            Self::Load => "Load",
            Self::Units => "Stage 1, once load is known: threads, descriptors, address space",
            Self::Shape => "Stage 2: the shape of memory",
            Self::Gate => "Stage 3: the gate before growth without bound",
            Self::Live => "Stage 4: what it consists of",
            Self::Causes => "Several causes",
            Self::Confidence => "Confidence",
            Self::Forecast => "Forecast",
            Self::Verdict => "Verdict",
        }
    }
}

/// What a step meant for the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The next question was asked.
    PassedOn,
    /// It found a cause.
    Decided,
    /// It found a reason to leave the answer open.
    Doubted,
}

impl Outcome {
    /// In a word or two.
    pub const fn words(self) -> &'static str {
        match self {
            Self::PassedOn => "passed on",
            Self::Decided => "decided",
            Self::Doubted => "left open",
        }
    }
}

/// A number and what it was held against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// What it is, in words.
    pub name: String,
    /// Its value in `unit`; `null` where there is none.
    pub value: Option<f64>,
    /// Of the value and of the threshold.
    pub unit: Unit,
    /// `null` where it was only looked at.
    pub threshold: Option<Threshold>,
}

/// What a number was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// On which side of the threshold the number has to lie.
    pub side: Side,
    /// The threshold in the number's unit.
    pub value: f64,
    /// True if the number lay there.
    pub met: bool,
}

/// Sides of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Greater than the threshold.
    Above,
    /// The threshold or more.
    AtLeast,
    /// Less than the threshold.
    Below,
    /// The threshold or less.
    AtMost,
}

impl Side {
    /// Before the threshold, in a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::AtLeast => "at least",
            Self::Below => "below",
            Self::AtMost => "at most",
        }
    }

    /// True if `value` lies on this side of `threshold`; never for what is not a number.
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::AtLeast => value >= threshold,
            Self::Below => value < threshold,
            Self::AtMost => value <= threshold,
        }
    }
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// Bytes.
    #[serde(rename = "bytes")]
    Bytes,
    /// Bytes per second.
    #[serde(rename = "bytes/s")]
    BytesPerSecond,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Things.
    #[serde(rename = "count")]
    Count,
    /// A share of one.
    #[serde(rename = "share")]
    Share,
    /// A number without a unit: a ratio, a correlation, a probability, a criterion.
    #[serde(rename = "number")]
    Number,
}

impl Unit {
    /// A value of this unit as text.
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Bytes => text::bytes(value),
            Self::BytesPerSecond => text::rate(value),
            Self::Seconds => text::duration(value),
            Self::Count => text::number(value, 0),
            Self::Share => format!("{} %", text::number(100.0 * value, 1)),
            Self::Number => text::number(value, 2),
        }
    }
}

impl Number {
    /// Its value as text; a dash where there is none.
    pub fn text(&self) -> String {
        self.value
            .map_or_else(|| "-".to_owned(), |value| self.unit.text(value))
    }

    /// "at least 20 s"; `None` without a threshold.
    pub fn bound(&self) -> Option<String> {
        let threshold = self.threshold?;
        Some(format!(
            "{} {}",
            threshold.side.words(),
            self.unit.text(threshold.value)
        ))
    }

    /// True unless it missed its threshold.
    pub fn is_met(&self) -> bool {
        self.threshold.is_none_or(|threshold| threshold.met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_thresholds_are_in_one_unit() {
        let number = |value, unit, side, threshold| Number {
            name: String::new(),
            value: Some(value),
            unit,
            threshold: Some(Threshold {
                side,
                value: threshold,
                met: side.holds(value, threshold),
            }),
        };
        let share = number(0.273, Unit::Share, Side::Below, 0.06);
        assert_eq!(
            (share.text(), share.bound(), share.is_met()),
            ("27.3 %".to_owned(), Some("below 6 %".to_owned()), false)
        );
        let seconds = number(20.0, Unit::Seconds, Side::AtLeast, 20.0);
        assert_eq!(seconds.bound().as_deref(), Some("at least 20 s"));
        assert!(seconds.is_met());
        let ratio = number(1.0, Unit::Number, Side::Above, 1.0);
        assert_eq!((ratio.text().as_str(), ratio.is_met()), ("1", false));
        assert!(!Side::AtMost.holds(f64::NAN, 1.0));
    }
}
