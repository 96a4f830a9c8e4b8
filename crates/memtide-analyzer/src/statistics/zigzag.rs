//! Turning points: the peaks and troughs between which a series moves by at least a threshold.
//!
//! A peak is confirmed when the series has fallen by the threshold from its highest value since the
//! last trough, a trough likewise. One pass. Assumption: the threshold is well above the noise; the
//! caller takes a share of the range.

/// A turning point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Index of a highest value.
    Peak(usize),
    /// Index of a lowest value.
    Trough(usize),
}

impl Turn {
    /// The index.
    pub const fn at(self) -> usize {
        match self {
            Self::Peak(at) | Self::Trough(at) => at,
        }
    }

    /// True of a highest value.
    pub const fn is_peak(self) -> bool {
        matches!(self, Self::Peak(_))
    }
}

/// The confirmed turning points in order; peaks and troughs alternate.
pub fn turns(values: &[f64], threshold: f64) -> Vec<Turn> {
    let mut found = Vec::new();
    let (mut high, mut low) = (0, 0);
    // Which turns may come next: at first both.
    let (mut rising, mut falling) = (true, true);
    for (i, &value) in values.iter().enumerate() {
        if value > values[high] {
            high = i;
        }
        if value < values[low] {
            low = i;
        }
        if rising && values[high] - value >= threshold {
            found.push(Turn::Peak(high));
            (rising, falling, low) = (false, true, i);
        } else if falling && value - values[low] >= threshold {
            found.push(Turn::Trough(low));
            (rising, falling, high) = (true, false, i);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reversals_below_the_threshold_are_noise() {
        let values = [0.0, 3.0, 2.5, 9.0, 8.0, 1.0, 1.5, 7.0, 6.0, 2.0];
        assert_eq!(
            turns(&values, 4.0),
            [
                Turn::Trough(0),
                Turn::Peak(3),
                Turn::Trough(5),
                Turn::Peak(7)
            ]
        );
        assert_eq!(turns(&values, 20.0), []);
        assert_eq!(turns(&[], 1.0), []);
    }
}
