//! What growth can be detected by when: said before any waiting, from the noise of the first samples.
//!
//! It answers with the gate's own conditions, solved for time at a steady rate r:
//!
//! * the record: 20 s and 15 samples;
//! * material growth between the medians of the first and last twelfth, that is over 11/12 of the
//!   time: r T · 11/12 ≥ max(700 KiB, 3 % of RSS);
//! * six rising block medians, with 90 % probability: a block median of m samples has standard error
//!   1.2533 σ/√m, so the rise r T/6 must be 2.03 · √2 · 1.2533 σ/√m (2.03 is the normal quantile of
//!   0.9^(1/5)), with m = T / (6 · interval).
//! * growth that stands out of the noise, r T ≥ 15 σ: below that falls of the noise reach a quarter of
//!   the range of the last 60 % of the record (the median of three of white noise spans 3.7 σ), and
//!   the series passes for one that swings.
//!
//! Assumption: the noise has no memory beyond an interval. A sawtooth has; then it takes longer, and
//! the class of mappings that grows is looked at alone.

use crate::record::gate_material;
use crate::statistics::blocks::residuals;
use crate::statistics::quantile::robust_deviation;
use crate::statistics::{Series, theil_sen};
use crate::thresholds::{BLOCKS, ENDS, SAMPLES_FOR_GROWTH, SECONDS_FOR_GROWTH};
use memtide_model::{Bytes, Nanos, Sample};

/// The rates that [`detectable`] answers for, in bytes per second: 1 MiB per second, minute, hour and day.
pub const RATES: [f64; 4] = [
    1_048_576.0,
    1_048_576.0 / 60.0,
    1_048_576.0 / 3_600.0,
    1_048_576.0 / 86_400.0,
];

/// Quantile of the normal distribution at 0.9^(1/5): all five rises succeed in nine of ten records.
const RISE_QUANTILE: f64 = 2.03;
/// Standard error of a median relative to that of a mean: √(π/2).
const MEDIAN_ERROR: f64 = 1.2533;

/// Multiple of the noise that growth must reach not to pass for swings.
const STANDS_OUT: f64 = 15.0;

/// For each of [`RATES`] (bytes per second) how long a record must be to prove a growth at that rate.
///
/// `rss` and `noise` as measured so far, `interval` between samples.
pub fn detectable(rss: Bytes, noise: Bytes, interval: Nanos) -> Vec<(f64, Nanos)> {
    RATES
        .into_iter()
        .map(|rate| (rate, time_to_detect(rate, rss, noise, interval)))
        .collect()
}

/// How long a record must be to prove a growth of `rate` bytes per second (above zero).
pub fn time_to_detect(rate: f64, rss: Bytes, noise: Bytes, interval: Nanos) -> Nanos {
    let every = interval.as_secs_f64();
    let record = SECONDS_FOR_GROWTH.max(every * (SAMPLES_FOR_GROWTH - 1) as f64);
    let ends = ENDS as f64 / (ENDS - 1) as f64;
    let material = gate_material(rss.as_f64()) / rate * ends;
    // r T/B ≥ q √2 e σ √(B·interval/T)  ⇒  T^1.5 = q √2 e σ B^1.5 √interval / r
    let error = RISE_QUANTILE * core::f64::consts::SQRT_2 * MEDIAN_ERROR * noise.as_f64();
    let blocks = (BLOCKS as f64).powf(1.5);
    let swings = STANDS_OUT * noise.as_f64() / rate;
    let rising = (error * blocks * every.sqrt() / rate).powf(2.0 / 3.0);
    Nanos::from_secs_f64(record.max(material).max(rising).max(swings))
}

/// The noise of RSS: the robust standard deviation around its own trend. Zero below three samples.
pub fn noise(samples: &[Sample]) -> Bytes {
    let Some(first) = samples.first() else {
        return Bytes::ZERO;
    };
    let series =
        Series::of((samples.iter()).map(|s| (s.at.seconds_since(first.at), s.memory.rss.as_f64())));
    if series.len() < 3 {
        return Bytes::ZERO;
    }
    let deviation = robust_deviation(&residuals(&series, theil_sen::slope(&series)));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a deviation is not negative, and the cast saturates"
    )]
    Bytes(deviation.round() as u64)
}
