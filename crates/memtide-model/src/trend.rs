//! How a series moves.

use serde::{Deserialize, Serialize};

/// The shape of a series over a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Within its noise.
    Flat,
    /// Rising at a steady rate.
    Linear,
    /// Rising ever faster.
    Accelerating,
    /// Rising ever slower, its end not in sight.
    Decelerating,
    /// Rose and stopped, or is within sight of its ceiling.
    Plateau,
    /// One jump, level before and after.
    Step,
    /// Many jumps, level between them, still going on.
    Stairs,
    /// Rises and falls back, the troughs level.
    Sawtooth,
    /// Rises and falls back, the troughs rising.
    RisingSawtooth,
    /// Wanders up and down without a trend.
    Fluctuating,
    /// Too short, or between two shapes.
    Unclear,
}

impl Shape {
    /// True for the shapes that have no end in sight.
    pub const fn is_unbounded(self) -> bool {
        matches!(
            self,
            Self::Linear | Self::Accelerating | Self::Stairs | Self::RisingSawtooth
        )
    }

    /// True where one rate describes the whole of it. A plateau's or a step's slope over the record
    /// is a number without a meaning.
    pub const fn has_rate(self) -> bool {
        self.is_unbounded() || matches!(self, Self::Flat | Self::Decelerating)
    }

    /// As a person would call it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Linear => "linear",
            Self::Accelerating => "accelerating",
            Self::Decelerating => "decelerating",
            Self::Plateau => "plateau",
            Self::Step => "step",
            Self::Stairs => "stairs",
            Self::Sawtooth => "sawtooth",
            Self::RisingSawtooth => "rising sawtooth",
            Self::Fluctuating => "fluctuating",
            Self::Unclear => "unclear",
        }
    }
}

/// A rate in units per second with its 90 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slope {
    /// Best value.
    pub per_second: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}
