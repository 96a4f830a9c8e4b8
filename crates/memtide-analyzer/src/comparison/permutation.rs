//! Could the difference of two arms be chance? A permutation test (Fisher 1935, Pitman 1937).
//!
//! If the allocator made no difference, any of the runs might have been of either arm. The statistic is the
//! difference of the mean logarithms (of the values themselves where one is not above zero); p is the share of
//! all ways to deal the runs to the two arms that give one at least as great, in either direction:
//!
//! ```text
//! p = #{ |T*| >= |T| } / C(m + n, m)       or       (1 + #{ |T*| >= |T| }) / (1 + draws)
//! ```
//!
//! The first is exact and taken up to [`MOST_ARRANGEMENTS`], the second is for more of them: the 1 counts the
//! arrangement that was seen, without which a p of zero would be possible (Phipson and Smyth 2010). Exact at any
//! distribution, ties included; logarithms make it a test of ratios and tame long tails.

use crate::thresholds::{DRAWN_ARRANGEMENTS, MOST_ARRANGEMENTS};
use fastrand::Rng;
use statrs::function::factorial::binomial;

/// Sums that differ by less than this share of the greatest value are equal: they come of the same numbers,
/// added in another order.
const EQUAL: f64 = 1e-12;

/// Two-sided p; `None` where an arm has fewer than two values.
pub fn p_value(values: &[f64], others: &[f64], rng: &mut Rng) -> Option<f64> {
    if values.len().min(others.len()) < 2 {
        return None;
    }
    let pooled = centred(values, others);
    let chosen = values.len();
    let seen: f64 = pooled.iter().take(chosen).sum();
    let greatest = pooled
        .iter()
        .fold(0.0_f64, |most, value| most.max(value.abs()));
    let least = seen.abs() - EQUAL * greatest.max(1.0) * pooled.len() as f64;
    let all = arrangements(values.len(), others.len());
    Some(if all <= MOST_ARRANGEMENTS {
        extremes(&pooled, chosen, 0.0, least) as f64 / all
    } else {
        drawn(pooled, chosen, least, rng)
    })
}

/// In how many ways the runs of two arms can be dealt to them.
pub fn arrangements(runs: usize, others: usize) -> f64 {
    let all = runs.saturating_add(others) as u64;
    binomial(all, runs as u64)
}

/// The smallest two-sided p that so many runs can reach.
pub fn least_p(runs: usize, others: usize) -> f64 {
    (2.0 / arrangements(runs, others)).min(1.0)
}

/// Both arms one after the other, on the scale of the test, less their mean: the sum over an arm then goes
/// with the difference of the means, whatever the sizes of the arms.
fn centred(values: &[f64], others: &[f64]) -> Vec<f64> {
    let mut pooled: Vec<f64> = values.iter().chain(others).copied().collect();
    if pooled.iter().all(|&value| value > 0.0) {
        for value in &mut pooled {
            *value = value.ln();
        }
    } else {
        let greatest = pooled
            .iter()
            .fold(0.0_f64, |most, value| most.max(value.abs()));
        for value in &mut pooled {
            *value /= greatest.max(f64::MIN_POSITIVE);
        }
    }
    let mean = pooled.iter().sum::<f64>() / pooled.len() as f64;
    for value in &mut pooled {
        *value -= mean;
    }
    pooled
}

/// How many choices of `choose` of the values have a sum, added to `sum`, of at least `least` in either direction.
fn extremes(values: &[f64], choose: usize, sum: f64, least: f64) -> u64 {
    if choose == 0 {
        return u64::from(sum.abs() >= least);
    }
    match values.split_first() {
        Some((first, rest)) if values.len() >= choose => {
            extremes(rest, choose - 1, sum + first, least) + extremes(rest, choose, sum, least)
        }
        _ => 0,
    }
}

fn drawn(mut values: Vec<f64>, choose: usize, least: f64, rng: &mut Rng) -> f64 {
    let mut extreme = 0_u32;
    for _ in 0..DRAWN_ARRANGEMENTS {
        rng.shuffle(&mut values);
        let sum: f64 = values.iter().take(choose).sum();
        extreme += u32::from(sum.abs() >= least);
    }
    f64::from(1 + extreme) / f64::from(1 + DRAWN_ARRANGEMENTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(values: &[f64], others: &[f64]) -> f64 {
        p_value(values, others, &mut Rng::with_seed(1)).unwrap()
    }

    #[test]
    fn separated_arms_reach_the_least_p_and_equal_ones_one() {
        let (low, high) = ([1., 2., 3., 4., 5., 6.], [11., 12., 13., 14., 15., 16.]);
        assert!((p(&low, &high) - 2.0 / 924.0).abs() < 1e-12);
        assert!((p(&high, &low) - 2.0 / 924.0).abs() < 1e-12);
        assert!((p(&low[..3], &high[..3]) - 0.1).abs() < 1e-12);
        assert!((p(&[5.0; 6], &[5.0; 6]) - 1.0).abs() < 1e-12);
        assert!((p(&[5.0; 6], &[6.0; 6]) - 2.0 / 924.0).abs() < 1e-12);
        assert!((p(&[0.0; 5], &[0.0; 5]) - 1.0).abs() < 1e-12);
        assert_eq!(p_value(&[1.0], &low, &mut Rng::with_seed(1)), None);
    }

    #[test]
    fn p_is_the_share_of_arrangements() {
        // Of the 252 ways to choose five of the ten, counted with itertools.combinations of Python on the logarithms.
        let (a, b) = ([12., 15., 9., 14., 11.], [16., 13., 18., 17., 20.]);
        assert!((p(&a, &b) - 8.0 / 252.0).abs() < 1e-12, "{}", p(&a, &b));
    }

    #[test]
    fn draws_agree_with_the_exact_test() {
        let values = [1.00, 1.04, 0.97, 1.10, 1.02, 0.99, 1.07];
        let others = [1.08, 1.12, 1.01, 1.15, 1.06, 1.11, 1.03];
        let exact = p(&values, &others);
        let pooled = centred(&values, &others);
        let seen: f64 = pooled.iter().take(7).sum();
        let least = seen.abs() - 1e-9;
        let drawn = drawn(pooled, 7, least, &mut Rng::with_seed(3));
        assert!((drawn - exact).abs() < 0.006, "{drawn} {exact}");
        // 12 against 12 are drawn; complete separation is never p = 0.
        let low: Vec<f64> = (0..12).map(|k| 1.0 + f64::from(k)).collect();
        let high: Vec<f64> = low.iter().map(|value| value * 100.0).collect();
        let least_drawn = 1.0 / f64::from(1 + DRAWN_ARRANGEMENTS);
        assert!((least_drawn..0.001).contains(&p(&low, &high)));
    }
}
