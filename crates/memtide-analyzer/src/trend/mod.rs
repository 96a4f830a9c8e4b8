//! How a series moves: its shape, its rate, and whether a count goes on growing.
//!
//! [`form()`] answers with a [`Form`]: the shape and what it was judged by. [`Trend`] adds the ends and
//! the rate with its interval. The order of the questions matters: is there any movement; does it fall
//! back; only then, how does it rise.

mod count;
mod oscillation;
mod rise;

pub use count::{Growth, growth, growth_told};

use crate::statistics::aicc::Saturation;
use crate::statistics::{Series, blocks};
use crate::thresholds::FEWEST_SAMPLES;
use crate::trail::Trail;
use memtide_model::{Shape, Slope, Unit};

/// A shape and what it was judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Form {
    /// The shape.
    pub shape: Option<Shape>,
    /// Least-squares slope of the last 40 % over the mean slope, of a rise.
    pub late_ratio: Option<f64>,
    /// Share of a rise that the last 28 % brought.
    pub late_share: Option<f64>,
    /// Share of a rise that its largest jump brought.
    pub largest_jump: Option<f64>,
    /// Number of jumps of a rise.
    pub jumps: usize,
    /// Fitted exponential of a rise.
    pub saturation: Option<Saturation>,
    /// Mean period of an oscillation in seconds.
    pub period: Option<f64>,
    /// How often an oscillation fell.
    pub falls: usize,
    /// Slope of the troughs of an oscillation, per second.
    pub trough_slope: Option<f64>,
    /// Standard error of the least-squares line through them; they are a period apart, hence nearly independent.
    pub trough_error: Option<f64>,
    /// How many troughs that slope was taken from.
    pub troughs: usize,
}

impl Form {
    /// The shape; unclear where it could not be judged.
    pub fn shape(&self) -> Shape {
        self.shape.unwrap_or(Shape::Unclear)
    }

    /// True for the shapes that have no end in sight.
    pub fn is_unbounded(&self) -> bool {
        self.shape().is_unbounded()
    }

    fn of(shape: Shape) -> Self {
        Self {
            shape: Some(shape),
            ..Self::default()
        }
    }
}

/// A series in one line of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Its form.
    pub form: Form,
    /// Median of the first twelfth.
    pub start: f64,
    /// Median of the last twelfth.
    pub end: f64,
    /// Its rate per second; `None` while it is too short for one. Of a rising sawtooth that of the
    /// troughs, because the swings would drown it.
    pub slope: Option<Slope>,
}

impl Trend {
    /// The trend of a series; movement below `material` is noise.
    pub fn of(series: &Series, material: f64) -> Self {
        Self::of_form(series, form(series, material))
    }

    /// The trend of a series whose form is known.
    pub fn of_form(series: &Series, form: Form) -> Self {
        let mut slope = blocks::slope_with_interval(series);
        if let (Some(slope), Some(of_troughs), Shape::RisingSawtooth) =
            (&mut slope, form.trough_slope, form.shape())
        {
            let shift = of_troughs - slope.per_second;
            *slope = Slope {
                per_second: of_troughs,
                low: slope.low + shift,
                high: slope.high + shift,
            };
        }
        Self {
            form,
            start: series.start(),
            end: series.end(),
            slope,
        }
    }

    /// End less start.
    pub fn delta(&self) -> f64 {
        self.end - self.start
    }
}

/// The form of a series; movement below `material` (in its own unit) is noise.
pub fn form(series: &Series, material: f64) -> Form {
    form_told(series, material, &mut Trail::unheard())
}

/// The same, with the numbers that told it in the trail: each is named by the shape that it speaks for.
pub fn form_told(series: &Series, material: f64, trail: &mut Trail) -> Form {
    if series.len() < FEWEST_SAMPLES || series.span() <= 0.0 {
        return Form::default();
    }
    if trail.below("flat: range", series.range(), Unit::Bytes, material) {
        return Form::of(Shape::Flat);
    }
    if let Some(form) = oscillation::form(series, material, trail) {
        return form;
    }
    rise::form(series, material, trail)
}
