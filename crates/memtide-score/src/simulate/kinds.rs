//! Series without growth that goes on, of five kinds.
//!
//! With T the length of the record, x = t/T, R a resident size between 20 and 500 MiB, and n a little
//! white noise (.2 % of R):
//!
//! ```text
//! AR(1)       R (1 + s·a(x)),  a of deviation 1 with time constant tau; s from .03 to .3
//! logarithm   R (1 + s·ln(1 + x/c)/ln(1 + 1/c)) + n,  s from .1 to 1, c from .003 to .1: an LRU cache that meets ever fewer new keys
//! walk        R (1 + s·w(x)) + n,  w a walk whose end has deviation 1; s from .03 to .3
//! wave        R (1 + s·sin(2π(x/p + u))) + n,  s from .05 to .5, p from .1 to .7 (a whole wave and more)
//! steps       R (1 + s·Σ of 1 to 5 steps before .7 T, up three times of four) + n,  s from .03 to .3 each
//! ```
//!
//! Lengths are drawn between 48 s and a day: nothing but shares of the record should matter.

use super::Simulated;
use super::process::{judge as judged, sample};
use crate::random::Random;
use memtide_model::Sample;

/// Samples of a record: 48 s at 4 Hz.
const SAMPLES: usize = 190;
/// How long noise remembers, as shares of the record.
const TAUS: [f64; 8] = [0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0];
const MIB: f64 = 1_048_576.0;
/// White noise, as a share of the resident size.
const NOISE: f64 = 0.002;

/// What a series is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Noise that remembers for a share of the record.
    Noise(f64),
    Logarithm,
    Walk,
    Wave,
    Steps,
}

/// So many series of noise, evenly of all time constants, and so many of each other kind.
pub(super) fn plan(noises: usize, each: usize) -> Vec<Kind> {
    let taus = TAUS
        .iter()
        .cycle()
        .take(noises)
        .map(|&tau| Kind::Noise(tau));
    let others = [Kind::Logarithm, Kind::Walk, Kind::Wave, Kind::Steps];
    taus.chain(
        others
            .iter()
            .flat_map(|&kind| std::iter::repeat_n(kind, each)),
    )
    .collect()
}

impl Kind {
    const fn words(self) -> &'static str {
        match self {
            Self::Noise(_) => "AR(1) noise",
            Self::Logarithm => "tail of a logarithm",
            Self::Walk => "random walk",
            Self::Wave => "wave of load",
            Self::Steps => "steps that end",
        }
    }

    /// The curve at the samples, as multiples of the resident size.
    fn curve(self, random: &mut Random) -> Vec<f64> {
        let part = |k: usize| k as f64 / (SAMPLES - 1) as f64;
        match self {
            Self::Noise(tau) => {
                let size = random.scale(0.03, 0.3);
                let noise = autoregressive(random, SAMPLES, tau);
                noise.into_iter().map(|a| 1.0 + size * a).collect()
            }
            Self::Logarithm => {
                let (size, bend) = (random.scale(0.1, 1.0), random.scale(0.003, 0.1));
                let height = |x: f64| (1.0 + x / bend).ln() / (1.0 + 1.0 / bend).ln();
                (0..SAMPLES).map(|k| 1.0 + size * height(part(k))).collect()
            }
            Self::Walk => {
                let step = random.scale(0.03, 0.3) / (SAMPLES as f64).sqrt();
                let mut at = 1.0;
                (0..SAMPLES)
                    .map(|_| {
                        at += step * random.normal();
                        at
                    })
                    .collect()
            }
            Self::Wave => {
                let (size, period) = (random.scale(0.05, 0.5), random.scale(0.1, 0.7));
                let phase = random.uniform();
                let turn = |x: f64| (core::f64::consts::TAU * (x / period + phase)).sin();
                (0..SAMPLES).map(|k| 1.0 + size * turn(part(k))).collect()
            }
            Self::Steps => {
                let steps: Vec<(f64, f64)> = (0..=random.below(5))
                    .map(|_| {
                        let sign = if random.uniform() < 0.75 { 1.0 } else { -1.0 };
                        (0.7 * random.uniform(), sign * random.scale(0.03, 0.3))
                    })
                    .collect();
                let height = |x: f64| -> f64 {
                    steps
                        .iter()
                        .filter(|(at, _)| *at <= x)
                        .map(|(_, size)| size)
                        .sum()
                };
                (0..SAMPLES).map(|k| 1.0 + height(part(k))).collect()
            }
        }
    }
}

/// A first-order autoregressive series of deviation 1 whose time constant is `tau` records.
pub(super) fn autoregressive(random: &mut Random, count: usize, tau: f64) -> Vec<f64> {
    let keep = (-1.0 / (count as f64 * tau)).exp();
    let fresh = (1.0 - keep * keep).sqrt();
    let mut last = random.normal();
    (0..count)
        .map(|_| {
            let value = last;
            last = keep * last + fresh * random.normal();
            value
        })
        .collect()
}

/// The samples of one series.
pub(super) fn samples(seed: u64, kind: Kind) -> Vec<Sample> {
    let mut random = Random::new(seed);
    let seconds = random.scale(48.0, 86_400.0);
    let resident = random.scale(20.0, 500.0) * MIB;
    let noise = if matches!(kind, Kind::Noise(_)) {
        0.0
    } else {
        NOISE
    };
    let curve = kind.curve(&mut random);
    (curve.into_iter().enumerate())
        .map(|(k, height)| {
            let second = seconds * k as f64 / (SAMPLES - 1) as f64;
            sample(second, resident * (height + noise * random.normal()))
        })
        .collect()
}

/// What is said of one series.
pub(super) fn judge(seed: u64, kind: Kind) -> Simulated {
    let tau = match kind {
        Kind::Noise(tau) => Some(tau),
        _ => None,
    };
    Simulated {
        tau,
        ..judged(kind.words(), &samples(seed, kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lag-one autocorrelation of a long series is that of its time constant: e^(−1/(n·tau)).
    #[test]
    fn noise_remembers_as_long_as_it_should() {
        let n = 200_000;
        let tau = 5.0 / n as f64;
        let values = autoregressive(&mut Random::new(3), n, tau);
        let variance = values.iter().map(|a| a * a).sum::<f64>() / n as f64;
        let lagged = values.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / n as f64;
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
        assert!(
            (lagged / variance - (-0.2_f64).exp()).abs() < 0.01,
            "{lagged}"
        );
    }

    #[test]
    fn kinds_end_as_they_say() {
        for kind in plan(8, 1) {
            let samples = samples(5, kind);
            assert_eq!(samples.len(), SAMPLES, "{kind:?}");
            assert!(
                samples.iter().all(|sample| sample.memory.rss.0 >= 4096),
                "{kind:?}"
            );
        }
        let steps = Kind::Steps.curve(&mut Random::new(9));
        let late = &steps[SAMPLES * 3 / 4..];
        assert!(
            late.windows(2)
                .all(|pair| (pair[0] - pair[1]).abs() < 1e-12)
        );
        let tail = Kind::Logarithm.curve(&mut Random::new(9));
        assert!(tail[SAMPLES / 2] - tail[0] > tail[SAMPLES - 1] - tail[SAMPLES / 2]);
    }
}
