//! Which blocks are sampled, and what a sample stands for.
//!
//! Sample points lie on the line of allocated bytes as a Poisson process with mean distance R. A
//! block of `n` bytes is sampled if a point falls into it, with probability `p = 1 - exp(-n/R)`; it
//! then stands for `1/p` blocks and `n/p` bytes, which makes both sums unbiased whatever the sizes
//! (Horvitz and Thompson, 1952). As the process has no memory, the distance from the end of a sampled
//! block to the next point is drawn afresh.
//!
//! `core` has no logarithm, so there is one here; 1e-12 is far more than samples can tell.

/// Estimates are counted in parts of a block this small, as weights are not whole numbers.
pub const COUNT_SCALE: f64 = 65_536.0;

/// A xorshift generator; fast, one word of state, good enough for distances.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// From any seed; neighbouring seeds give unrelated sequences.
    pub const fn new(seed: u64) -> Self {
        // Sebastiano Vigna's splitmix64.
        let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((z ^ (z >> 31)) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Bytes to the next sample point: exponential with mean `interval`, at least 1.
    pub fn distance(&mut self, interval: u64) -> i64 {
        // In (0, 1]: the logarithm of 0 would be no distance.
        let uniform = ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        // At most 37 intervals; a float too large for the type is cut to its largest value.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounding up to whole bytes"
        )]
        let bytes = (-ln(uniform) * interval as f64) as i64;
        bytes.saturating_add(1)
    }
}

/// What one sampled block stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Blocks, in parts of [`COUNT_SCALE`].
    pub blocks: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a sampled block of `size` bytes stands for. A block of no bytes is never sampled; asked
/// nevertheless, it stands for nothing.
pub fn estimate(size: u64, interval: u64) -> Estimate {
    if size == 0 {
        return Estimate {
            blocks: 0,
            bytes: 0,
        };
    }
    let weight = 1.0 / probability(size, interval);
    Estimate {
        blocks: rounded(weight * COUNT_SCALE),
        bytes: rounded(weight * size as f64),
    }
}

/// Probability that a block of `size` bytes is sampled.
///
/// The distances are whole bytes, at least 1, and the countdown is compared after it was lowered
/// by `size`: the block is sampled if `floor(x) + 1 <= size`, that is if `x < size`.
pub fn probability(size: u64, interval: u64) -> f64 {
    one_minus_exp(size as f64 / interval.max(1) as f64)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative; too large a value is cut to the largest"
)]
fn rounded(value: f64) -> u64 {
    (value + 0.5) as u64
}

/// Natural logarithm of a normal positive number.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = i32::try_from(bits >> 52).unwrap_or(1023) - 1023;
    // In [1, 2); moved to [0.7, 1.4] so that the series below is short.
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | 1023 << 52);
    let mut exponent = f64::from(exponent);
    if mantissa > core::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    // ln m = 2 atanh((m - 1) / (m + 1)), and the argument is below 0.172.
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let mut sum = 0.0;
    let mut term = 19.0;
    while term > 0.0 {
        sum = sum * square + 1.0 / term;
        term -= 2.0;
    }
    2.0 * t * sum + exponent * core::f64::consts::LN_2
}

/// `1 - exp(-x)` for `x >= 0`, without loss for small `x`.
fn one_minus_exp(x: f64) -> f64 {
    if x > 40.0 {
        return 1.0;
    }
    // exp(-x) = exp(-x / 2^k)^(2^k); with y = 1 - exp(-h), doubling h turns y into y (2 - y).
    let mut h = x;
    let mut doublings = 0;
    while h > 0.25 {
        h /= 2.0;
        doublings += 1;
    }
    // Taylor, Horner's way: h (1 - h/2 (1 - h/3 (1 - ...))).
    let mut sum = 1.0;
    let mut term = 14.0;
    while term > 1.0 {
        sum = 1.0 - h / term * sum;
        term -= 1.0;
    }
    let mut y = h * sum;
    for _ in 0..doublings {
        y *= 2.0 - y;
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_agree_with_the_standard_library() {
        let mut x = 1e-16;
        while x < 50.0 {
            let (ours, theirs) = (one_minus_exp(x), -f64::exp_m1(-x));
            assert!(
                (ours / theirs - 1.0).abs() < 1e-12,
                "1 - exp(-{x}): {ours}, {theirs}"
            );
            let error = (ln(x) - x.ln()).abs();
            assert!(
                error < 1e-12 * x.ln().abs().max(1.0),
                "ln {x}: off by {error}"
            );
            x *= 1.01;
        }
    }

    /// Allocates `count` blocks of each size by the rule that the shim follows and adds estimates.
    fn run(seed: u64, interval: u64, sizes: &[(u64, u32)]) -> std::vec::Vec<(f64, f64)> {
        let mut random = Random::new(seed);
        let mut left = random.distance(interval);
        let mut sums = std::vec![(0.0, 0.0); sizes.len()];
        let most = sizes.iter().map(|size| size.1).max().unwrap_or(0);
        for round in 0..most {
            for (index, &(size, count)) in sizes.iter().enumerate() {
                // Sizes are spread over the run, so that each follows blocks of other sizes.
                if round % (most / count) != 0 {
                    continue;
                }
                left -= size.cast_signed();
                if left <= 0 {
                    let estimate = estimate(size, interval);
                    sums[index].0 += estimate.blocks as f64 / COUNT_SCALE;
                    sums[index].1 += estimate.bytes as f64;
                    left = random.distance(interval);
                }
            }
        }
        sums
    }

    /// The mean over 1,000 seeds lies within 3 standard errors of the truth, per size and in total.
    #[test]
    fn estimates_are_unbiased_over_a_thousand_seeds() {
        let interval = 524_288;
        let sizes = [
            (1, 2048),
            (24, 2048),
            (1000, 2048),
            (65_536, 256),
            (524_288, 64),
            (1_500_000, 32),
            (64 << 20, 2),
        ];
        let seeds = 1000_u32;
        let mut moments = std::vec![[0.0_f64; 4]; sizes.len() + 1];
        for seed in 0..seeds {
            let mut sums = run(u64::from(seed), interval, &sizes);
            let total = sums.iter().fold((0.0, 0.0), |t, s| (t.0 + s.0, t.1 + s.1));
            sums.push(total);
            for (moment, (blocks, bytes)) in moments.iter_mut().zip(sums) {
                moment[0] += blocks;
                moment[1] += blocks * blocks;
                moment[2] += bytes;
                moment[3] += bytes * bytes;
            }
        }
        let blocks = sizes.iter().map(|size| f64::from(size.1));
        let bytes = sizes.iter().map(|size| size.0 as f64 * f64::from(size.1));
        let truths = blocks.clone().zip(bytes.clone());
        let truths = truths.chain([(blocks.sum(), bytes.sum())]);
        for (index, (moment, truth)) in moments.iter().zip(truths).enumerate() {
            for (what, sum, squares, truth) in [
                ("blocks", moment[0], moment[1], truth.0),
                ("bytes", moment[2], moment[3], truth.1),
            ] {
                let seeds = f64::from(seeds);
                let mean = sum / seeds;
                let sigma = ((squares / seeds - mean * mean).max(0.0) / seeds).sqrt();
                // A block that is always sampled has no spread; rounding is left.
                let allowed = 3.0 * sigma + 1e-5 * truth;
                let off = (mean - truth).abs();
                assert!(
                    off <= allowed,
                    "{index}, {what}: {mean} for {truth}, sigma {sigma}"
                );
            }
        }
    }
}
