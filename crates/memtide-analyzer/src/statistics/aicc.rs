//! Which simple curve describes a rise best: constant, line, saturating exponential, logarithm,
//! ramp that ends, or step.
//!
//! Time is scaled to 0..1, values to 0..1. Each curve is a + b·g(x; shape) with the shape taken from
//! a grid, so every fit is a least-squares line on g. They are compared by Akaike's criterion with the
//! small-sample correction (Hurvich and Tsai 1989): n' ln(RSS/n) + 2p + 2p(p+1)/(n'−p−1), where n' is
//! the effective number of samples n(1−ρ)/(1+ρ) with ρ the lag-one autocorrelation of the best
//! curve's residuals. Assumption: one regime; oscillation is sorted out before.

use super::least_squares::{autocorrelation, line, several};
use super::series::Series;

/// `AICc` of each curve (less is better), and the parameters that are of use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fits {
    /// A constant.
    pub constant: f64,
    /// A straight line.
    pub linear: f64,
    /// A saturating exponential; infinite where none rises.
    pub exponential: f64,
    /// A logarithm; infinite where none rises.
    pub logarithm: f64,
    /// A line that ends.
    pub ramp: f64,
    /// A step.
    pub step: f64,
    /// The exponential's time constant in seconds and its ceiling.
    pub saturation: Option<Saturation>,
}

/// Where a saturating exponential is going.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Saturation {
    /// Time constant in seconds.
    pub tau: f64,
    /// The value that it approaches.
    pub ceiling: f64,
}

impl Fits {
    /// How much worse the line is than the best of the curves that bend or end; negative if better.
    pub fn linear_excess(&self) -> f64 {
        self.linear - self.exponential.min(self.logarithm).min(self.ramp)
    }

    /// How much better the saturating exponential is than any curve that does not end so; negative if worse.
    pub fn exponential_lead(&self) -> f64 {
        self.linear.min(self.logarithm).min(self.ramp) - self.exponential
    }
}

/// The growth by a line that goes on beside a saturating exponential, over the whole record: that of the best
/// y = a + b x + c (1 − e^(−x/τ)) over a grid of τ with c ≥ 0, by least squares; `None` without a fit.
pub fn line_beside_saturation(series: &Series) -> Option<f64> {
    let (span, t0) = (series.span(), *series.t.first()?);
    let x: Vec<f64> = series.t.iter().map(|t| (t - t0) / span).collect();
    let ones = vec![1.0; x.len()];
    geometric(0.03, 1.0, 30)
        .filter_map(|tau| {
            let bent = x.iter().map(|x| 1.0 - (-x / tau).exp()).collect();
            let columns = [ones.clone(), x.clone(), bent];
            let found = several(&columns, &series.y)?;
            let residual = |k: usize| {
                let fitted: f64 = columns.iter().zip(&found).map(|(c, f)| c[k] * f).sum();
                (series.y[k] - fitted).powi(2)
            };
            let squares: f64 = (0..x.len()).map(residual).sum();
            (found[2] >= 0.0).then_some((squares, found[1]))
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, slope)| slope)
}

/// The best of one family of curves.
struct Fit {
    rss: f64,
    parameters: f64,
    shape: f64,
    intercept: f64,
    slope: f64,
    residuals: Vec<f64>,
}

/// Fits all curves; `None` with fewer than eight samples or without movement.
pub fn fit(series: &Series) -> Option<Fits> {
    let (span, scale) = (series.span(), series.range());
    if series.len() < 8 || span <= 0.0 || scale <= 0.0 {
        return None;
    }
    let (t0, y0) = (series.t[0], series.y[0]);
    let x: Vec<f64> = series.t.iter().map(|t| (t - t0) / span).collect();
    let z: Vec<f64> = series.y.iter().map(|y| (y - y0) / scale).collect();
    let breaks = || (0..46).map(|k| 0.05 + 0.02 * f64::from(k));
    let bare = |x: f64, _: f64| x;
    let constant = best(&x, &z, core::iter::once(0.0), 1.0, false, |_, _| 0.0)?;
    let linear = best(&x, &z, core::iter::once(0.0), 2.0, false, bare)?;
    let exponential = best(&x, &z, geometric(0.03, 3.0, 40), 3.0, true, |x, tau| {
        1.0 - (-x / tau).exp()
    });
    let logarithm = best(&x, &z, geometric(0.002, 1.0, 20), 3.0, true, |x, e| {
        (1.0 + x / e).ln()
    });
    let ramp = best(&x, &z, breaks(), 3.0, false, f64::min)?;
    let step = best(&x, &z, breaks(), 3.0, false, |x, at| f64::from(x > at))?;

    let all = [
        Some(&constant),
        Some(&linear),
        exponential.as_ref(),
        logarithm.as_ref(),
        Some(&ramp),
        Some(&step),
    ];
    let effective = effective_samples(all.into_iter().flatten());
    let score = |fit: &Fit| aicc(fit, z.len() as f64, effective);
    Some(Fits {
        constant: score(&constant),
        linear: score(&linear),
        exponential: exponential.as_ref().map_or(f64::INFINITY, score),
        logarithm: logarithm.as_ref().map_or(f64::INFINITY, score),
        ramp: score(&ramp),
        step: score(&step),
        saturation: exponential.map(|fit| Saturation {
            tau: fit.shape * span,
            ceiling: y0 + (fit.intercept + fit.slope) * scale,
        }),
    })
}

/// The least-squares fit over all shapes of a family; where `rising`, only those that rise.
fn best(
    x: &[f64],
    z: &[f64],
    shapes: impl Iterator<Item = f64>,
    parameters: f64,
    rising: bool,
    curve: impl Fn(f64, f64) -> f64,
) -> Option<Fit> {
    let mut best: Option<Fit> = None;
    for shape in shapes {
        let g: Vec<f64> = x.iter().map(|&x| curve(x, shape)).collect();
        let fit = line(&g, z);
        if rising && fit.slope <= 0.0 {
            continue;
        }
        let residual = |(z, g): (&f64, &f64)| z - fit.intercept - fit.slope * g;
        let rss: f64 = z.iter().zip(&g).map(residual).map(|r| r * r).sum();
        if best.as_ref().is_none_or(|best| rss < best.rss) {
            best = Some(Fit {
                rss,
                parameters,
                shape,
                intercept: fit.intercept,
                slope: fit.slope,
                residuals: z.iter().zip(&g).map(residual).collect(),
            });
        }
    }
    best
}

/// n(1−ρ)/(1+ρ) of the curve that fits best, at least 8.
fn effective_samples<'a>(fits: impl Iterator<Item = &'a Fit>) -> f64 {
    let Some(best) = fits.min_by(|a, b| a.rss.total_cmp(&b.rss)) else {
        return 8.0;
    };
    let rho = autocorrelation(&best.residuals, 0.95);
    (best.residuals.len() as f64 * (1.0 - rho) / (1.0 + rho)).max(8.0)
}

fn aicc(fit: &Fit, n: f64, effective: f64) -> f64 {
    // One more for the residual variance.
    let p = fit.parameters + 1.0;
    effective * (fit.rss.max(1e-9) / n).ln()
        + 2.0 * p
        + 2.0 * p * (p + 1.0) / (effective - p - 1.0).max(1.0)
}

/// `count` values from `low` to `high` in equal ratios.
fn geometric(low: f64, high: f64, count: u32) -> impl Iterator<Item = f64> {
    let ratio = (high / low).powf(1.0 / f64::from(count - 1));
    (0..count).map(move |k| low * ratio.powi(k.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(curve: impl Fn(f64) -> f64) -> Series {
        // A small ripple stands for noise; without any the logarithm of a zero rest decides.
        Series::of((0..120).map(|k| {
            let t = f64::from(k) * 0.4;
            (t, 1e6 * (curve(t) + 0.01 * (t * 9.1).sin()))
        }))
    }

    #[test]
    fn a_line_beside_a_warm_up_is_found() {
        let warm = |t: f64| 1.0 - (-t / 9.0).exp();
        let both = line_beside_saturation(&series(|t| warm(t) + t / 48.0)).expect("fits");
        // The record spans 47.6 of the 48 s.
        assert!((both / 1e6 - 47.6 / 48.0).abs() < 0.02, "{both}");
        let alone = line_beside_saturation(&series(warm)).expect("fits");
        assert!(alone.abs() < 2e4, "{alone}");
    }

    #[test]
    fn each_curve_is_told_from_the_others() {
        let line = fit(&series(|t| t / 48.0)).expect("fits");
        assert!(line.linear_excess() < 0.0, "{line:?}");
        let saturating = fit(&series(|t| 1.0 - (-t / 9.0).exp())).expect("fits");
        assert!(saturating.linear_excess() > 20.0, "{saturating:?}");
        let saturation = saturating.saturation.expect("rises");
        assert!((saturation.tau - 9.0).abs() < 0.9, "{saturation:?}");
        assert!((saturation.ceiling - 1e6).abs() < 2e4, "{saturation:?}");
        let step = fit(&series(|t| f64::from(t > 20.0))).expect("fits");
        assert!(step.step < step.linear && step.step < step.ramp, "{step:?}");
        assert_eq!(fit(&series(|_| 0.0).part(0.0, 0.01)), None);
    }
}
