//! A share with its 95 % interval after Wilson (1927).
//!
//! ```text
//! centre = (p + z²/2n) / (1 + z²/n)      half = z/(1 + z²/n) · √(p(1−p)/n + z²/4n²)
//! ```
//!
//! It holds where the textbook interval p ± z√(p(1−p)/n) fails: at shares of 0 and 1, and for few
//! trials. Assumption: independent trials; cases of one program are less than that.

use std::fmt;

/// The two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// Those that count.
    pub(crate) hits: usize,
    /// All.
    pub(crate) of: usize,
}

impl Share {
    /// The share of items for which `is` holds.
    pub(crate) fn count<T>(items: impl IntoIterator<Item = T>, is: impl Fn(&T) -> bool) -> Self {
        let mut share = Self::default();
        for item in items {
            share.of += 1;
            share.hits += usize::from(is(&item));
        }
        share
    }

    /// Hits over all; 0 of nothing.
    pub(crate) fn value(self) -> f64 {
        self.hits as f64 / self.of.max(1) as f64
    }

    /// Wilson's 95 % interval; all of 0 to 1 of nothing.
    pub(crate) fn interval(self) -> (f64, f64) {
        if self.of == 0 {
            return (0.0, 1.0);
        }
        let (n, p) = (self.of as f64, self.value());
        let scale = 1.0 + Z * Z / n;
        let centre = (p + Z * Z / (2.0 * n)) / scale;
        let half = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        ((centre - half).max(0.0), (centre + half).min(1.0))
    }
}

impl fmt::Display for Share {
    /// "72/74 = 97.3 % (90.7–99.3)".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.of == 0 {
            return f.write_str("none");
        }
        let (low, high) = self.interval();
        write!(
            f,
            "{}/{} = {:.1} % ({:.1}–{:.1})",
            self.hits,
            self.of,
            100.0 * self.value(),
            100.0 * low,
            100.0 * high
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `scipy.stats.binomtest(k, n).proportion_ci(.95, "wilson")`.
    #[test]
    fn intervals_are_those_of_scipy() {
        for (hits, of, low, high) in [
            (0, 74, 0.0, 0.049_349_779_396),
            (10, 10, 0.722_467_200_137, 1.0),
            (1, 111, 0.001_592_085_487, 0.049_273_332_635),
            (96, 107, 0.825_240_244_678, 0.941_620_827_924),
        ] {
            let found = Share { hits, of }.interval();
            assert!((found.0 - low).abs() < 1e-11, "{hits}/{of}: {found:?}");
            assert!((found.1 - high).abs() < 1e-11, "{hits}/{of}: {found:?}");
        }
        assert_eq!(Share::default().interval(), (0.0, 1.0));
    }

    #[test]
    fn a_share_is_printed_with_its_interval() {
        let share = Share::count([1, 2, 3, 4], |n| *n > 1);
        assert_eq!(share.to_string(), "3/4 = 75.0 % (30.1–95.4)");
        assert_eq!(Share::default().to_string(), "none");
    }
}
