//! Thinning: as many points as there are columns of pixels can show, and no peak lost.
//!
//! Few samples are drawn as they are. Where several fall into one column of pixels, a line through
//! all of them would be a solid block; there the line runs through the column's median and a veil
//! behind it reaches from its least to its greatest value. What thinning in the recording folded into
//! a sample counts with its own extremes.

use memtide_model::TimelinePoint;

/// RSS as it is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Course {
    /// The line: (seconds, bytes) in order of time.
    pub(crate) line: Vec<(f64, f64)>,
    /// The veil: (seconds, least, greatest); empty where the line shows every sample.
    pub(crate) range: Vec<(f64, f64, f64)>,
}

/// RSS in at most so many columns.
pub(super) fn rss(points: &[TimelinePoint], columns: usize) -> Course {
    let folded = points
        .iter()
        .any(|point| point.rss_range.0 < point.rss_range.1);
    let dense = points.len() > columns * 2;
    let mut course = Course::default();
    let cells = if dense {
        split(points, columns)
    } else {
        points.chunks(1).collect()
    };
    for cell in cells {
        let mut values: Vec<_> = cell.iter().map(|point| point.rss).collect();
        let middle = values.len() / 2;
        let seconds = cell[middle].seconds;
        // Time is taken from the sample in the middle, the value from the median one.
        course
            .line
            .push((seconds, values.select_nth_unstable(middle).1.as_f64()));
        if dense || folded {
            let least = cell
                .iter()
                .map(|point| point.rss_range.0.min(point.rss))
                .min();
            let greatest = cell
                .iter()
                .map(|point| point.rss_range.1.max(point.rss))
                .max();
            let (least, greatest) = (least.unwrap_or_default(), greatest.unwrap_or_default());
            course
                .range
                .push((seconds, least.as_f64(), greatest.as_f64()));
        }
    }
    keep_ends(&mut course, points);
    course
}

/// The samples of each column; columns without one are left out.
fn split(points: &[TimelinePoint], columns: usize) -> Vec<&[TimelinePoint]> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    let span = last.seconds - first.seconds;
    let mut rest = points;
    let mut cells = Vec::with_capacity(columns);
    for column in 1..=columns {
        let until = first.seconds + span * column as f64 / columns as f64;
        let count = if column == columns {
            rest.len()
        } else {
            rest.partition_point(|point| point.seconds < until)
        };
        let (cell, later) = rest.split_at(count);
        if !cell.is_empty() {
            cells.push(cell);
        }
        rest = later;
    }
    cells
}

/// The line begins at the first sample and ends at the last: their values are quoted in words.
fn keep_ends(course: &mut Course, points: &[TimelinePoint]) {
    let exact = |point: &TimelinePoint| (point.seconds, point.rss.as_f64());
    if let (Some(first), Some(last)) = (points.first(), points.last())
        && points.len() > course.line.len()
    {
        course.line.insert(0, exact(first));
        course.line.push(exact(last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::Bytes;

    fn point(seconds: f64, low: u64, own: u64, high: u64) -> TimelinePoint {
        TimelinePoint {
            seconds,
            rss: Bytes(own),
            rss_range: (Bytes(low), Bytes(high)),
            accounts: Vec::new(),
        }
    }

    #[test]
    fn each_column_keeps_its_extremes_and_its_median() {
        let value = |index: u32| u64::from(index.wrapping_mul(2_654_435_761) >> 8);
        let points: Vec<_> = (0..100_000)
            .map(|index| point(f64::from(index), value(index), value(index), value(index)))
            .collect();
        let course = rss(&points, 500);
        assert_eq!(course.range.len(), 500);
        assert_eq!(course.line.len(), 502);
        assert!(course.line.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (column, (_, least, greatest)) in course.range.iter().enumerate() {
            let (low, high) = (
                column as f64 * 99_999.0 / 500.0,
                (column + 1) as f64 * 99_999.0 / 500.0,
            );
            let within = points
                .iter()
                .filter(|point| point.seconds >= low && (point.seconds < high || column == 499));
            let mut values: Vec<_> = within.map(|point| point.rss.0).collect();
            values.sort_unstable();
            let median = values[values.len() / 2];
            let wanted = [values[0], values[values.len() - 1], median].map(|value| value as f64);
            let got = [*least, *greatest, course.line[column + 1].1];
            // Whole numbers far below 2^53: equal to the last bit.
            assert_eq!(
                got.map(f64::to_bits),
                wanted.map(f64::to_bits),
                "column {column}"
            );
        }
    }

    #[test]
    fn a_folded_point_shows_its_range() {
        let course = rss(&[point(0.0, 5, 5, 5), point(1.0, 2, 6, 9)], 10);
        assert_eq!(course.line, [(0.0, 5.0), (1.0, 6.0)]);
        assert_eq!(course.range, [(0.0, 5.0, 5.0), (1.0, 2.0, 9.0)]);
    }

    #[test]
    fn few_points_stay_as_they_are() {
        assert_eq!(rss(&[], 10), Course::default());
        let course = rss(&[point(1.0, 2, 2, 2)], 10);
        assert_eq!(
            (course.line.as_slice(), course.range.len()),
            (&[(1.0, 2.0)][..], 0)
        );
    }
}
