//! The straight line by least squares, and with one further regressor.
//!
//! y = a + b x, with b = Σ(x−x̄)(y−ȳ) / Σ(x−x̄)². It is the efficient estimate when the residuals are
//! independent and have no outliers; where they may not be, [`super::theil_sen`] is used instead.

/// A fitted line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line {
    /// Value at x = 0.
    pub intercept: f64,
    /// Rise per unit of x.
    pub slope: f64,
    /// Pearson's correlation of x and y; zero where one of them is constant.
    pub correlation: f64,
}

/// The line through `y` over `x`, which have the same length. Constant `x` gives slope zero.
pub fn line(x: &[f64], y: &[f64]) -> Line {
    let n = x.len().min(y.len()).max(1) as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut sxx, mut sxy, mut syy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        sxx += (x - mean_x) * (x - mean_x);
        sxy += (x - mean_x) * (y - mean_y);
        syy += (y - mean_y) * (y - mean_y);
    }
    let slope = if sxx > 0.0 { sxy / sxx } else { 0.0 };
    let product = sxx * syy;
    Line {
        intercept: mean_y - slope * mean_x,
        slope,
        correlation: if product > 0.0 {
            sxy / product.sqrt()
        } else {
            0.0
        },
    }
}

/// Standard error of that line's slope: √(Σ(y − a − b x)² / (n − 2) / Σ(x − x̄)²). It is right for residuals that are
/// independent; not finite with fewer than two different `x`.
pub fn slope_error(x: &[f64], y: &[f64]) -> f64 {
    let fit = line(x, y);
    let n = x.len().min(y.len());
    let mean = x.iter().sum::<f64>() / n.max(1) as f64;
    let (mut residual, mut sxx) = (0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        residual += (y - fit.intercept - fit.slope * x).powi(2);
        sxx += (x - mean) * (x - mean);
    }
    let freedom = n.saturating_sub(2).max(1) as f64;
    (residual / freedom / sxx).sqrt()
}

/// The coefficients (b, c) of y = a + b x + c z; `None` where x and z are collinear or constant.
///
/// By Frisch, Waugh and Lovell: take z out of x and y, then regress what is left.
pub fn plane(x: &[f64], z: &[f64], y: &[f64]) -> Option<(f64, f64)> {
    let without = |values: &[f64]| -> Vec<f64> {
        let fit = line(z, values);
        let residuals = values
            .iter()
            .zip(z)
            .map(|(v, z)| v - fit.intercept - fit.slope * z);
        residuals.collect()
    };
    let (rest_x, rest_y) = (without(x), without(y));
    let left: f64 = rest_x.iter().map(|v| v * v).sum();
    let mean = x.iter().sum::<f64>() / x.len().max(1) as f64;
    let whole: f64 = x.iter().map(|v| (v - mean) * (v - mean)).sum();
    if left <= whole * 1e-9 {
        return None;
    }
    let b = line(&rest_x, &rest_y).slope;
    let remainder: Vec<f64> = y.iter().zip(x).map(|(y, x)| y - b * x).collect();
    Some((b, line(z, &remainder).slope))
}

/// The coefficients of several columns, each as long as `y`; `None` where one of them follows from the others.
///
/// By the normal equations, solved with pivots. Columns should be of like size: their condition is squared.
pub fn several(columns: &[Vec<f64>], y: &[f64]) -> Option<Vec<f64>> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let count = columns.len();
    let mut rows: Vec<Vec<f64>> = (columns.iter())
        .map(|a| {
            let row = columns.iter().map(|b| dot(a, b));
            row.chain([dot(a, y)]).collect()
        })
        .collect();
    for k in 0..count {
        let pivot = (k..count).max_by(|&a, &b| rows[a][k].abs().total_cmp(&rows[b][k].abs()))?;
        rows.swap(k, pivot);
        let top = rows[k].clone();
        if top[k].abs() <= 1e-9 * y.len() as f64 {
            return None;
        }
        for (_, row) in rows.iter_mut().enumerate().filter(|&(other, _)| other != k) {
            let factor = row[k] / top[k];
            for (value, of_top) in row.iter_mut().zip(&top) {
                *value -= factor * of_top;
            }
        }
    }
    let solved: Vec<f64> = (rows.iter().enumerate())
        .map(|(k, row)| row[count] / row[k])
        .collect();
    solved
        .iter()
        .all(|value| value.is_finite())
        .then_some(solved)
}

/// Lag-one autocorrelation of residuals, within 0 and `most`; 0 of a constant.
pub fn autocorrelation(residuals: &[f64], most: f64) -> f64 {
    if residuals.len() < 3 {
        return 0.0;
    }
    let fit = line(&residuals[..residuals.len() - 1], &residuals[1..]);
    fit.correlation.clamp(0.0, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_and_a_plane_are_recovered() {
        let x: Vec<f64> = (0..20).map(f64::from).collect();
        let z: Vec<f64> = x.iter().map(|x| (x * 0.7).sin()).collect();
        let y: Vec<f64> = x
            .iter()
            .zip(&z)
            .map(|(x, z)| 3.0 + 2.0 * x - 5.0 * z)
            .collect();
        let fit = plane(&x, &z, &y).expect("not collinear");
        assert!(
            (fit.0 - 2.0).abs() < 1e-9 && (fit.1 + 5.0).abs() < 1e-9,
            "{fit:?}"
        );
        assert_eq!(plane(&x, &x, &y), None);
    }

    #[test]
    fn several_columns_are_told_apart() {
        let x: Vec<f64> = (0..20).map(f64::from).collect();
        let columns = vec![
            vec![1.0; 20],
            x.iter().map(|x| x / 20.0).collect(),
            x.iter().map(|x| (x * 0.7).cos()).collect(),
        ];
        let y: Vec<f64> = (0..20)
            .map(|k| 3.0 * columns[0][k] - 2.0 * columns[1][k] + 5.0 * columns[2][k])
            .collect();
        let found = several(&columns, &y).expect("not collinear");
        for (found, wanted) in found.iter().zip([3.0, -2.0, 5.0]) {
            assert!((found - wanted).abs() < 1e-9, "{found} for {wanted}");
        }
        let twice = vec![columns[1].clone(), columns[1].clone()];
        assert_eq!(several(&twice, &y), None);
    }

    #[test]
    fn a_falling_line_has_correlation_minus_one() {
        let x: Vec<f64> = (0..20).map(f64::from).collect();
        let straight: Vec<f64> = x.iter().map(|x| 1.0 - x).collect();
        let fit = line(&x, &straight);
        assert!((fit.slope + 1.0).abs() < 1e-12 && (fit.intercept - 1.0).abs() < 1e-12);
        assert!((fit.correlation + 1.0).abs() < 1e-12);
    }
}
