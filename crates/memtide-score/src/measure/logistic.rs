//! Chances whose log odds are a sum.
//!
//! ```text
//! p = 1 / (1 + e^−z),   z = Σ b_k x_k,   b minimizes   − Σ (y ln p + (1 − y) ln (1 − p)) + λ/2 Σ b_k²
//! ```
//!
//! By iteratively reweighted least squares (Nelder and Wedderburn 1972). The ridge λ is small: it keeps the weight of
//! what was never wrong from growing without end. It refuses to choose what stands in the sum.

use memtide_analyzer::statistics::least_squares::several;

/// The ridge: less than half of what one answer at even odds tells (p (1 − p) = .25).
const RIDGE: f64 = 0.1;
/// Steps, and the change below which there are no more.
const STEPS: usize = 200;
const SMALL: f64 = 1e-10;
/// Log odds beyond which a chance is certain.
const CERTAIN: f64 = 30.0;

/// Weights that were fitted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Logistic {
    /// One for each value of a point.
    pub(crate) weights: Vec<f64>,
}

impl Logistic {
    /// The weights for points of equally many values, with whether each came true; `None` of none.
    pub(crate) fn fit(points: &[(Vec<f64>, bool)]) -> Option<Self> {
        let mut fitted = Self {
            weights: vec![0.0; points.first()?.0.len()],
        };
        for _ in 0..STEPS {
            let weights = fitted.step(points)?;
            let change = (weights.iter().zip(&fitted.weights)).map(|(new, old)| (new - old).abs());
            let most = change.fold(0.0, f64::max);
            fitted.weights = weights;
            if most < SMALL {
                break;
            }
        }
        Some(fitted)
    }

    /// The chance at a point.
    pub(crate) fn at(&self, point: &[f64]) -> f64 {
        1.0 / (1.0 + (-self.log_odds(point)).exp())
    }

    fn log_odds(&self, point: &[f64]) -> f64 {
        let sum: f64 = point.iter().zip(&self.weights).map(|(x, b)| x * b).sum();
        sum.clamp(-CERTAIN, CERTAIN)
    }

    /// Least squares of z + (y − p)/w on x, each with the weight w = p (1 − p), and for each weight a row that draws it to 0 by √λ.
    fn step(&self, points: &[(Vec<f64>, bool)]) -> Option<Vec<f64>> {
        let mut columns = vec![Vec::new(); self.weights.len()];
        let mut wanted = Vec::new();
        for (point, came) in points {
            let chance = self.at(point);
            let weight = chance * (1.0 - chance);
            for (column, x) in columns.iter_mut().zip(point) {
                column.push(weight.sqrt() * x);
            }
            let off = f64::from(u8::from(*came)) - chance;
            wanted.push(weight.sqrt() * (self.log_odds(point) + off / weight));
        }
        for (k, column) in columns.iter_mut().enumerate() {
            let row =
                (0..self.weights.len()).map(|other| if other == k { RIDGE.sqrt() } else { 0.0 });
            column.extend(row);
        }
        wanted.resize(wanted.len() + self.weights.len(), 0.0);
        several(&columns, &wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by plain descent along the gradient until it was below 1e-13, in Python.
    #[test]
    fn weights_are_those_of_another_way() {
        let rows: [([f64; 3], u8); 8] = [
            ([1.0, 0.0, -1.0], 1),
            ([1.0, 0.0, 0.0], 1),
            ([1.0, 0.0, -2.0], 0),
            ([0.0, 1.0, 0.0], 1),
            ([0.0, 1.0, -1.0], 0),
            ([0.0, 1.0, -2.0], 0),
            ([0.0, 1.0, 0.0], 0),
            ([1.0, 0.0, 0.0], 1),
        ];
        let points: Vec<(Vec<f64>, bool)> = (rows.iter())
            .map(|(point, came)| (point.to_vec(), *came == 1))
            .collect();
        let fitted = Logistic::fit(&points).unwrap();
        let expected = [2.660_599_39, -0.191_915_05, 2.004_315_48];
        for (found, expected) in fitted.weights.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{fitted:?}");
        }
        assert!((fitted.at(&[1.0, 0.0, -1.0]) - 0.658_425_13).abs() < 1e-6);
    }

    #[test]
    fn what_was_never_wrong_is_not_certain() {
        let points = vec![(vec![1.0], true); 100];
        let chance = Logistic::fit(&points).unwrap().at(&[1.0]);
        assert!((0.97..0.999).contains(&chance), "{chance}");
        assert_eq!(Logistic::fit(&[]), None);
    }
}
