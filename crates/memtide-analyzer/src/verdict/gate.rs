//! Stage 3: the gate before growth is called growth without bound.
//!
//! Short records make healthy processes look like leaks: 27 % of them at 4 s, 13 % at 12 s. The gate
//! asks for a least record (20 s and 15 samples), for material growth (700 KiB and 3 % of RSS), for
//! six rising blocks, and for growth in the last 60 % of the record that has not ended by itself: it may slow down there, or
//! swing, for a part of a noisy line does so now and then. Asking for growth without an end in sight there was measured: it
//! leaves 4 of 100 leaks of 3 days under a wave open and none of the corpus; it would take back two false leaks of short records (20 and
//! 32 s, of loads that end then), one of 1,000 of noise with a memory and one of 250 random walks. In whole
//! records and late windows of the corpus nothing changes.
//!
//! Three shapes are asked for other proofs, because their blocks and parts hold too little of them:
//!
//! * **rising sawteeth**: a block holds any phase of a swing, and the last 60 % too few troughs for a proof. Kendall's S on the troughs
//!   of all of the record proves them, with p < .005, as six rising blocks do; an early rise that ended does not
//!   reach it;
//! * **stairs**: between two steps a block does not rise, so one of five rises may be missing where the last two together
//!   rise; and instead of a part of the record they need five steps, the last of them not long ago;
//! * **accelerating growth**: what it brings in the first blocks may drown in noise, so only the last two must rise, and no block
//!   may fall by a tenth of all movement.

use super::facts::Facts;
use crate::statistics::{Series, blocks};
use crate::thresholds::{ACCELERATING_FALL, LASTS_PART, STAIRS_GO_ON, STAIRS_RISES};
use crate::trail::Trail;
use crate::trend::{self, Form};
use memtide_model::{Shape, Unit};

const RATE: Unit = Unit::BytesPerSecond;

/// What is missing for a claim of growth without bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Missing {
    /// So many seconds of record.
    Time(f64),
    /// Growth: at its rate so many seconds; `None` where there is no rate.
    Growth(Option<f64>),
    /// Steadiness: it does not rise in all parts of the record.
    Steadiness,
}

/// `None` if the claim passes.
pub fn missing(facts: &Facts, series: &Series, form: &Form, trail: &mut Trail) -> Option<Missing> {
    let short = facts.seconds_missing();
    if short > 0.0 {
        trail.at_most("seconds missing", short, Unit::Seconds, 0.0);
        return Some(Missing::Time(short));
    }
    let (grown, rate) = match (form.shape(), form.trough_slope) {
        (Shape::RisingSawtooth, Some(slope)) => (slope * series.span(), slope),
        _ => (series.delta(), series.delta() / series.span().max(1e-9)),
    };
    let wanted = facts.record.gate_material();
    if !trail.at_least("growth", grown, Unit::Bytes, wanted) {
        let seconds = (wanted - grown) / rate;
        return Some(Missing::Growth(
            (seconds.is_finite() && seconds > 0.0).then_some(seconds),
        ));
    }
    let steady = rises(series, form.shape(), trail) && lasts(series, form, facts.material, trail);
    (!steady).then_some(Missing::Steadiness)
}

/// The block medians rise as that shape wants it.
fn rises(series: &Series, shape: Shape, trail: &mut Trail) -> bool {
    let slopes = blocks::slopes(series);
    let [.., before_last, last] = slopes[..] else {
        return false;
    };
    match shape {
        Shape::RisingSawtooth => {
            trail.note("Its troughs were tested by themselves.");
            true
        }
        Shape::Stairs => {
            blocks::tell_medians(series, Unit::Bytes, trail);
            let count = slopes.iter().filter(|&&slope| slope > 0.0).count();
            trail.at_least(
                "rises between blocks",
                count as f64,
                Unit::Count,
                STAIRS_RISES,
            ) && trail.above("last two block slopes", before_last + last, RATE, 0.0)
        }
        Shape::Accelerating => {
            blocks::tell_medians(series, Unit::Bytes, trail);
            let moved: f64 = slopes.iter().map(|slope| slope.abs()).sum();
            let lowest = slopes.iter().copied().fold(f64::INFINITY, f64::min);
            trail.above("block slope before the last", before_last, RATE, 0.0)
                && trail.above("last block slope", last, RATE, 0.0)
                && trail.at_least(
                    "least block slope",
                    lowest,
                    RATE,
                    -ACCELERATING_FALL * moved,
                )
        }
        _ => blocks::all_rise_told(series, Unit::Bytes, trail),
    }
}

/// The last 60 % of the record have not ended, each shape by its own proof (the module's text has the reasons).
fn lasts(series: &Series, form: &Form, material: f64, trail: &mut Trail) -> bool {
    match form.shape() {
        Shape::RisingSawtooth => true,
        Shape::Stairs => {
            let least = STAIRS_GO_ON as f64;
            trail.at_least("steps", form.jumps as f64, Unit::Count, least)
        }
        _ => {
            let late = trend::form(&series.part(1.0 - LASTS_PART, 1.0), material);
            let bends = late.shape() == Shape::Decelerating;
            let swings = late.shape() == Shape::Unclear && late.period.is_some();
            let why = if bends || swings {
                ", which a part of steady growth under noise may be"
            } else {
                ""
            };
            trail.note(format!(
                "The last 60 % alone: {}{why}.",
                late.shape().words()
            ));
            late.is_unbounded() || bends || swings
        }
    }
}
