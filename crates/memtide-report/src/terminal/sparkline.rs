//! A series as one line of block characters.
//!
//! Each column shows the highest value that falls into its share of time, so that a peak stays
//! visible; a column without a sample is a blank. The scale is that of the series, but never finer
//! than a fiftieth of its highest value, around which it is centred then: the noise of a level process
//! must not look like mountains.

use memtide_model::TimelinePoint;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// RSS over time in at most `width` columns; empty without samples.
pub(crate) fn render(points: &[TimelinePoint], width: usize) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return String::new();
    };
    let span = last.seconds - first.seconds;
    let count = width.min(points.len()).max(1);
    let mut highest = vec![None::<f64>; count];
    for point in points {
        let place = if span > 0.0 {
            (point.seconds - first.seconds) / span
        } else {
            0.0
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates, and is held below the number of columns"
        )]
        let column = ((place * count as f64) as usize).min(count - 1);
        let value = point.rss_range.1.as_f64().max(point.rss.as_f64());
        highest[column] = Some(highest[column].map_or(value, |old| old.max(value)));
    }
    let (low, high) = extent(&highest);
    highest
        .iter()
        .map(|value| value.map_or(' ', |value| block(value, low, high)))
        .collect()
}

/// The scale: from the least to the greatest value, widened on both sides to a fiftieth of the latter.
fn extent(values: &[Option<f64>]) -> (f64, f64) {
    let known = || values.iter().flatten().copied();
    let high = known().fold(0.0, f64::max);
    let low = known().fold(f64::INFINITY, f64::min);
    let missing = ((high * 0.02 - (high - low)) / 2.0).max(0.0);
    (low - missing, high + missing)
}

fn block(value: f64, low: f64, high: f64) -> char {
    if high <= low {
        return BLOCKS[0];
    }
    let share = (value - low) / (high - low);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and is held below the number of blocks"
    )]
    let index = (share * BLOCKS.len() as f64) as usize;
    BLOCKS[index.min(BLOCKS.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::Bytes;

    fn points(values: &[u64]) -> Vec<TimelinePoint> {
        let point = |(index, &value): (usize, &u64)| TimelinePoint {
            seconds: index as f64,
            rss: Bytes(value),
            rss_range: (Bytes(value), Bytes(value)),
            accounts: Vec::new(),
        };
        values.iter().enumerate().map(point).collect()
    }

    #[test]
    fn a_ramp_is_a_ramp() {
        assert_eq!(
            render(&points(&[0, 10, 20, 30, 40, 50, 60, 70]), 8),
            "▁▂▃▄▅▆▇█"
        );
    }

    #[test]
    fn a_peak_between_many_samples_stays() {
        let mut values = vec![100; 1000];
        values[500] = 200;
        let line = render(&points(&values), 10);
        assert_eq!(
            line.chars().filter(|&block| block == '█').count(),
            1,
            "{line}"
        );
    }

    #[test]
    fn level_noise_stays_level_and_nothing_is_nothing() {
        let line = render(&points(&[10_000, 10_001, 10_000, 10_002]), 4);
        assert!(
            line.chars().all(|block| block == '▄' || block == '▅'),
            "{line}"
        );
        assert_eq!(render(&[], 10), "");
        assert_eq!(render(&points(&[5]), 10), "▅");
        assert_eq!(render(&points(&[0]), 10), "▁");
    }
}
