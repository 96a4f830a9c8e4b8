//! Thinning: as many points as there are columns of pixels can show, and no peak lost.
//!
//! Of the samples within one column the first, the least, the greatest and the last are kept (the
//! M4 aggregation of Jugel et al., VLDB 2014): the line through them covers the same pixels as the
//! line through all. What the recording had folded together before counts with its own extremes.

use memtide_model::TimelinePoint;

/// RSS as (seconds, bytes) in order of time, at most four points a column; of a point that stands
/// for several samples, its least and its greatest too.
pub(super) fn rss(points: &[TimelinePoint], columns: usize) -> Vec<(f64, f64)> {
    let spread: Vec<_> = points.iter().flat_map(extremes).collect();
    thin(&spread, columns)
}

/// A point's least and greatest value in the order that keeps the line short, then its own.
fn extremes(point: &TimelinePoint) -> impl Iterator<Item = (f64, f64)> {
    let own = point.rss;
    let (low, high) = (point.rss_range.0.min(own), point.rss_range.1.max(own));
    let folded = (low < high).then_some([low, high]);
    folded
        .into_iter()
        .flatten()
        .chain([own])
        .map(|bytes| (point.seconds, bytes.as_f64()))
}

/// See the module.
pub(super) fn thin(points: &[(f64, f64)], columns: usize) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    let span = last.0 - first.0;
    if points.len() <= columns * 4 || span <= 0.0 {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(columns * 4);
    let mut start = 0;
    for column in 0..columns {
        let until = first.0 + span * (column + 1) as f64 / columns as f64;
        let rest = &points[start..];
        let count = match column + 1 == columns {
            true => rest.len(),
            false => rest.partition_point(|point| point.0 < until),
        };
        keep(&mut kept, &rest[..count]);
        start += count;
    }
    kept
}

/// First, least, greatest and last of one column, in order of time, each once.
fn keep(kept: &mut Vec<(f64, f64)>, column: &[(f64, f64)]) {
    let Some(last) = column.len().checked_sub(1) else {
        return;
    };
    let by_value = |a: &usize, b: &usize| column[*a].1.total_cmp(&column[*b].1);
    let least = (0..=last).min_by(by_value).unwrap_or(0);
    let greatest = (0..=last).max_by(by_value).unwrap_or(0);
    let mut indices = [0, least, greatest, last];
    indices.sort_unstable();
    let mut previous = None;
    for index in indices {
        if previous != Some(index) {
            kept.push(column[index]);
        }
        previous = Some(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::Bytes;

    #[test]
    fn each_column_keeps_its_extremes() {
        let noise = |index: u32| f64::from(index.wrapping_mul(2_654_435_761) >> 8);
        let points: Vec<_> = (0..100_000)
            .map(|index| (f64::from(index), noise(index)))
            .collect();
        let thinned = thin(&points, 500);
        assert!(thinned.len() <= 2_000, "{}", thinned.len());
        assert!(thinned.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for column in 0..500 {
            let within = |points: &[(f64, f64)]| {
                let low = f64::from(column) * 99_999.0 / 500.0;
                let high = f64::from(column + 1) * 99_999.0 / 500.0;
                let values = points
                    .iter()
                    .filter(|p| p.0 >= low && p.0 < high)
                    .map(|p| p.1);
                values.fold((f64::INFINITY, 0.0_f64), |(a, b), v| (a.min(v), b.max(v)))
            };
            assert_eq!(within(&points), within(&thinned), "column {column}");
        }
    }

    #[test]
    fn a_folded_point_shows_its_range() {
        let point = |seconds, low, own, high| TimelinePoint {
            seconds,
            rss: Bytes(own),
            rss_range: (Bytes(low), Bytes(high)),
            accounts: Vec::new(),
        };
        let line = rss(&[point(0.0, 5, 5, 5), point(1.0, 2, 6, 9)], 10);
        assert_eq!(line, [(0.0, 5.0), (1.0, 2.0), (1.0, 9.0), (1.0, 6.0)]);
    }

    #[test]
    fn few_points_stay_as_they_are() {
        assert!(thin(&[], 10).is_empty());
        assert_eq!(thin(&[(1.0, 2.0)], 10), [(1.0, 2.0)]);
    }
}
