//! Growth under a wave that comes again and again: a daily load, a collector, periodic work.
//!
//! `y = a + b t + Σ (c_h cos hωt + s_h sin hωt)` for h = 1, 2, by least squares, ω from a grid between
//! [`WAVE_CYCLES`] cycles and one cycle per [`WAVE_SAMPLES`] samples, in steps of a tenth of a cycle: the
//! periodogram of Lomb (1976) with the line fitted along, which a trend does not bend. The second harmonic lets
//! the wave have another form than a sine.
//!
//! The slope has standard error √(s² / Sxx · (1+ρ)/(1−ρ)), with ρ the lag-one autocorrelation of what is left:
//! n values with memory are worth n(1−ρ)/(1+ρ) (Bayley and Hammersley 1946). Sxx is that of t alone, which
//! from some cycles on hardly depends on the wave.
//!
//! A wave falls back: stairs, which a line and a wave describe as well, do not.
//!
//! Assumption: the wave keeps its period and size. Where it does not it stays in what is left, and the
//! stages that judge that see it. Cost: one fit of four columns per step of the grid.

use super::least_squares::{autocorrelation, several};
use super::series::Series;
use crate::thresholds::{WAVE_CYCLES, WAVE_FALL, WAVE_SAMPLES, WAVE_SHARE, WAVE_SURE};

/// Steps of the grid per cycle.
const STEPS: usize = 10;

/// A wave, and the series without it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wave {
    /// Its period in seconds.
    pub period: f64,
    /// From its top to its bottom, in the unit of the series.
    pub height: f64,
    /// The series without it.
    pub rest: Series,
}

/// The wave that a rising series has; `None` where none makes most of its movement about the line, or where
/// the line is not sure to rise without it.
pub fn under_growth(series: &Series) -> Option<Wave> {
    let (n, span) = (series.len(), series.span());
    if n as f64 <= WAVE_CYCLES * WAVE_SAMPLES as f64 || span <= 0.0 {
        return None;
    }
    let x: Vec<f64> = series.t.iter().map(|t| (t - series.t[0]) / span).collect();
    let line = Model::of(&x, &series.y, 0.0, 0)?;
    let most = (n / WAVE_SAMPLES) * STEPS;
    let fit = (0..=most)
        .map(|step| step as f64 / STEPS as f64)
        .filter(|&cycles| cycles >= WAVE_CYCLES)
        .filter_map(|cycles| Model::of(&x, &series.y, cycles, 1))
        .min_by(|a, b| a.squares.total_cmp(&b.squares))
        .and_then(|best| Model::of(&x, &series.y, best.cycles, 2))?;
    if fit.squares > (1.0 - WAVE_SHARE) * line.squares || fit.slope() < WAVE_SURE * fit.error(&x) {
        return None;
    }
    let wave: Vec<f64> = x.iter().map(|&x| fit.wave(x)).collect();
    let ends = |pick: fn(f64, f64) -> f64| wave.iter().copied().reduce(pick).unwrap_or(0.0);
    let height = ends(f64::max) - ends(f64::min);
    if series.deepest_fall() < WAVE_FALL * height {
        return None;
    }
    Some(Wave {
        period: span / fit.cycles,
        height,
        rest: Series::of(
            (series.t.iter().zip(&series.y).zip(&wave)).map(|((&t, y), w)| (t, y - w)),
        ),
    })
}

/// A fitted line with a wave; x runs from 0 to 1.
struct Model {
    cycles: f64,
    /// Intercept, slope, then cosine and sine of each harmonic.
    coefficients: Vec<f64>,
    /// What is left.
    residuals: Vec<f64>,
    /// The sum of its squares.
    squares: f64,
}

impl Model {
    fn of(x: &[f64], y: &[f64], cycles: f64, harmonics: u32) -> Option<Self> {
        let mut columns = vec![vec![1.0; x.len()], x.to_vec()];
        for harmonic in 1..=harmonics {
            let angle = |x: &f64| core::f64::consts::TAU * cycles * f64::from(harmonic) * x;
            columns.push(x.iter().map(|x| angle(x).cos()).collect());
            columns.push(x.iter().map(|x| angle(x).sin()).collect());
        }
        let coefficients = several(&columns, y)?;
        let mut residuals = y.to_vec();
        for (column, coefficient) in columns.iter().zip(&coefficients) {
            for (residual, value) in residuals.iter_mut().zip(column) {
                *residual -= coefficient * value;
            }
        }
        let squares = residuals.iter().map(|r| r * r).sum();
        Some(Self {
            cycles,
            coefficients,
            residuals,
            squares,
        })
    }

    /// Growth over the record.
    fn slope(&self) -> f64 {
        self.coefficients[1]
    }

    /// Its standard error.
    fn error(&self, x: &[f64]) -> f64 {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let sxx: f64 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
        let rho = autocorrelation(&self.residuals, 0.99);
        let freedom = n - self.coefficients.len() as f64;
        (self.squares / freedom.max(1.0) / sxx * (1.0 + rho) / (1.0 - rho)).sqrt()
    }

    fn wave(&self, x: f64) -> f64 {
        (self.coefficients[2..].chunks(2).zip(1..))
            .map(|(pair, harmonic)| {
                let angle = core::f64::consts::TAU * self.cycles * f64::from(harmonic) * x;
                pair[0] * angle.cos() + pair[1] * angle.sin()
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three days, a row each quarter of an hour.
    fn days(curve: impl Fn(f64) -> f64) -> Series {
        Series::of((0..288).map(|k| {
            let day = f64::from(k) / 96.0;
            // A ripple that no harmonic holds.
            (
                day * 86_400.0,
                1e8 * (curve(day) + 0.01 * (f64::from(k) * 2.3).sin()),
            )
        }))
    }

    fn daily(day: f64) -> f64 {
        let angle = core::f64::consts::TAU * day;
        0.4 * angle.sin() + 0.1 * (2.0 * angle + 1.0).cos()
    }

    #[test]
    fn a_daily_wave_is_taken_off_growth() {
        let found = under_growth(&days(|day| 0.3 * day + daily(day))).expect("a wave");
        assert!(
            (found.period / 86_400.0 - 1.0).abs() < 0.04,
            "{}",
            found.period
        );
        let slope = super::super::theil_sen::slope(&found.rest) * 86_400.0 / 1e8;
        assert!((slope - 0.3).abs() < 0.01, "{slope}");
        assert!((found.height / 1e8 - 0.9).abs() < 0.1, "{}", found.height);
    }

    #[test]
    fn no_wave_is_found_without_growth_or_without_one() {
        assert_eq!(under_growth(&days(daily)), None);
        assert_eq!(under_growth(&days(|day| 0.3 * day)), None);
        // A single cycle is no wave: it cannot be told from growth.
        assert_eq!(
            under_growth(&days(|day| 0.3 * day + daily(day / 3.0))),
            None
        );
        // Stairs are a line and a sawtooth to a fit, but do not fall.
        assert_eq!(under_growth(&days(|day| (3.0 * day).floor())), None);
        assert_eq!(under_growth(&Series::default()), None);
    }
}
