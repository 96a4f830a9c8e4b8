//! What the chart shows, in seconds and bytes: ranges, bands, lines. No pixels yet.
//!
//! The y axis starts at zero, as the bands of a stack must be comparable. Where memory moves by less
//! than a quarter of its size that would hide the very thing that is asked for; there the bands are
//! stacked by growth ([`super::stack`]), the axis starts higher, and [`Plan::notes`] says so. A series
//! that the analyzer calls flat is never blown up like that.

use super::series::{self, Course};
use super::stack::{self, Layer};
use memtide_model::report::Report;
use memtide_model::{Account, Band, Findings, Shape, Timeline, TimelinePoint, text};
use std::borrow::Cow;

/// Where the limit is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Limit {
    /// There is none.
    None,
    /// As a line: its name and bytes.
    Line(String, f64),
    /// So far above that a line would flatten everything else: said in words.
    Far(String, f64),
}

/// The picture in seconds and bytes.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The time axis.
    pub(crate) x: (f64, f64),
    /// The memory axis.
    pub(crate) y: (f64, f64),
    /// True where the bands are growth since the start and `y` does not start at zero.
    pub(crate) zoomed: bool,
    /// The bands from the bottom up.
    pub(crate) layers: Vec<Layer>,
    /// RSS.
    pub(crate) rss: Course,
    /// The fitted line, cut to the axes.
    pub(crate) trend: Option<[(f64, f64); 2]>,
    /// The forecast, cut to the axes.
    pub(crate) forecast: Vec<Band>,
    /// The limit.
    pub(crate) limit: Limit,
}

/// Least share of the highest value that must move for the axis to start at zero.
const MOVES: f64 = 0.25;

impl Plan {
    /// The plan for findings, thinned to so many columns of pixels.
    pub(crate) fn new(findings: &Findings, columns: usize) -> Self {
        let timeline = &findings.timeline;
        let columns = columns.max(16);
        let points = in_order(&timeline.points);
        let rss = series::rss(&points, columns);
        let x = time_axis(&rss.line, timeline);
        let values = rss.line.iter().map(|point| point.1);
        let seen =
            Extent::of_values(values.chain(rss.range.iter().flat_map(|cell| [cell.1, cell.2])));
        let forecast = forecast_within(timeline, x.1);
        let whole = seen.with_forecast(&forecast).with_trend(timeline.trend);
        let zoomed = zooms(&findings.report, &whole);
        let start = |account| start_of(findings, account);
        let starts: Option<&dyn Fn(Account) -> f64> = if zoomed { Some(&start) } else { None };
        let layers = stack::layers(&points, columns / 2, starts);
        let whole = whole.with_layers(&layers, zoomed);
        let (y, limit) = size_axis(&whole, zoomed, timeline);
        Self {
            x,
            y,
            zoomed,
            layers,
            trend: timeline.trend.and_then(|ends| cut(ends, x, y)),
            forecast: forecast.into_iter().map(|band| clamp(band, y)).collect(),
            rss,
            limit,
        }
    }

    /// Sentences that a reader of the chart needs: where the axis starts, where the limit is.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.zoomed {
            let from = text::bytes(self.y.0);
            notes.push(format!(
                "The memory axis starts at {from}, not at 0: grey is what was there at the start, colours are growth since"
            ));
        }
        if let Limit::Far(name, bytes) = &self.limit {
            notes.push(format!("{name}: {}, beyond the axis", text::bytes(*bytes)));
        }
        if self.layers.is_empty() && !self.rss.line.is_empty() {
            notes.push(
                "RSS was never read together with the mappings: no split into accounts".to_owned(),
            );
        }
        notes
    }
}

/// The points as the chart needs them: at finite moments, in order of time. They come like that; a
/// broken recording must not break the picture.
fn in_order(points: &[TimelinePoint]) -> Cow<'_, [TimelinePoint]> {
    let finite = points.iter().all(|point| point.seconds.is_finite());
    if finite && points.is_sorted_by(|a, b| a.seconds <= b.seconds) {
        return Cow::Borrowed(points);
    }
    let mut kept: Vec<_> = points
        .iter()
        .filter(|point| point.seconds.is_finite())
        .cloned()
        .collect();
    kept.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    Cow::Owned(kept)
}

/// The least and the greatest value of what is drawn.
#[derive(Clone, Copy, Debug)]
struct Extent {
    low: f64,
    high: f64,
}

impl Extent {
    fn of_values(values: impl Iterator<Item = f64>) -> Self {
        let mut extent = Self {
            low: f64::INFINITY,
            high: 0.0,
        };
        values.for_each(|value| extent.add(value));
        extent
    }

    fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.low = self.low.min(value);
            self.high = self.high.max(value);
        }
    }

    /// The forecast counts, but its upper end only up to twice what was seen.
    fn with_forecast(mut self, forecast: &[Band]) -> Self {
        let most = self.high * 2.0;
        for band in forecast {
            self.add(band.middle.min(most));
            self.add(band.high.min(most));
        }
        self
    }

    fn with_trend(mut self, trend: Option<[(f64, f64); 2]>) -> Self {
        for (_, value) in trend.into_iter().flatten() {
            self.add(value.clamp(0.0, self.high * 2.0));
        }
        self
    }

    fn with_layers(mut self, layers: &[Layer], zoomed: bool) -> Self {
        for layer in layers {
            layer
                .upper
                .iter()
                .for_each(|point| self.high = self.high.max(point.1));
            if zoomed {
                // The base's upper edge must be in sight, or its growth would seem to come from nowhere.
                layer.upper.iter().for_each(|point| self.add(point.1));
            }
        }
        self
    }

    fn span(&self) -> f64 {
        (self.high - self.low).max(0.0)
    }
}

fn zooms(report: &Report, extent: &Extent) -> bool {
    let level = matches!(
        report.growth.shape,
        Shape::Flat | Shape::Fluctuating | Shape::Unclear
    );
    !level && extent.high > 0.0 && extent.span() < MOVES * extent.high
}

/// From the first sample to the last, and on to the end of the forecast, but at most half as much again.
fn time_axis(rss: &[(f64, f64)], timeline: &Timeline) -> (f64, f64) {
    let (Some(first), Some(last)) = (rss.first(), rss.last()) else {
        return (0.0, 1.0);
    };
    let span = last.0 - first.0;
    if span <= 0.0 {
        return (first.0 - 0.5, first.0 + 0.5);
    }
    let end = timeline.forecast.last().map_or(last.0, |band| band.seconds);
    (first.0, end.clamp(last.0, last.0 + span * 0.5))
}

/// The forecast up to `end`, with a band exactly there.
fn forecast_within(timeline: &Timeline, end: f64) -> Vec<Band> {
    let all = || {
        timeline
            .forecast
            .iter()
            .filter(|band| is_finite(band))
            .copied()
    };
    let mut within: Vec<Band> = all().take_while(|band| band.seconds <= end).collect();
    let next = all().nth(within.len());
    if let (Some(last), Some(next)) = (within.last().copied(), next)
        && next.seconds > last.seconds
    {
        let part = (end - last.seconds) / (next.seconds - last.seconds);
        let between = |from: f64, to: f64| from + (to - from) * part;
        within.push(Band {
            seconds: end,
            middle: between(last.middle, next.middle),
            low: between(last.low, next.low),
            high: between(last.high, next.high),
        });
    }
    within
}

fn is_finite(band: &Band) -> bool {
    [band.seconds, band.middle, band.low, band.high]
        .iter()
        .all(|value| value.is_finite())
}

/// The account's bytes at the start: the ledger's, else those of the first moment that has them.
fn start_of(findings: &Findings, account: Account) -> f64 {
    let row = findings
        .report
        .ledger
        .iter()
        .find(|row| row.account == account);
    if let Some(row) = row {
        return row.start_bytes as f64;
    }
    let first = findings
        .timeline
        .points
        .iter()
        .find(|point| !point.accounts.is_empty());
    let own = first.and_then(|point| point.accounts.iter().find(|(other, _)| *other == account));
    own.map_or(0.0, |(_, bytes)| *bytes as f64)
}

/// The memory axis, and whether the limit lies within its reach.
fn size_axis(extent: &Extent, zoomed: bool, timeline: &Timeline) -> ((f64, f64), Limit) {
    if extent.high <= 0.0 {
        return ((0.0, 1024.0 * 1024.0), Limit::None);
    }
    // Finer than a two-thousandth the labels get longer than numbers can be read.
    let span = extent.span().max(65_536.0).max(extent.high / 2_000.0);
    let (low, reach, mut high) = if zoomed {
        let low = (extent.low - span * 0.35).max(0.0);
        (low, extent.high + span * 0.6, extent.high + span * 0.1)
    } else {
        (0.0, extent.high * 1.35, extent.high * 1.06)
    };
    let limit = match &timeline.limit {
        None => Limit::None,
        Some((name, bytes)) if bytes.as_f64() > reach => Limit::Far(name.clone(), bytes.as_f64()),
        Some((name, bytes)) => {
            high = high.max(bytes.as_f64() + (high - low) * 0.08);
            Limit::Line(name.clone(), bytes.as_f64())
        }
    };
    ((low, high), limit)
}

/// A straight line cut to the axes; `None` where it lies outside.
fn cut(ends: [(f64, f64); 2], x: (f64, f64), y: (f64, f64)) -> Option<[(f64, f64); 2]> {
    let [(x0, y0), (x1, y1)] = ends;
    if ![x0, y0, x1, y1].iter().all(|value| value.is_finite()) || x1 <= x0 {
        return None;
    }
    let (mut from, mut to) = (0.0_f64, 1.0_f64);
    for (start, delta, (low, high)) in [(x0, x1 - x0, x), (y0, y1 - y0, y)] {
        if delta == 0.0 {
            if !(low..=high).contains(&start) {
                return None;
            }
            continue;
        }
        let (a, b) = ((low - start) / delta, (high - start) / delta);
        from = from.max(a.min(b));
        to = to.min(a.max(b));
    }
    let at = |part: f64| (x0 + (x1 - x0) * part, y0 + (y1 - y0) * part);
    (from < to).then(|| [at(from), at(to)])
}

fn clamp(band: Band, (low, high): (f64, f64)) -> Band {
    Band {
        seconds: band.seconds,
        middle: band.middle.clamp(low, high),
        low: band.low.clamp(low, high),
        high: band.high.clamp(low, high),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_it_leaves_the_axes() {
        let axes = ((0.0, 10.0), (0.0, 100.0));
        assert_eq!(
            cut([(0.0, 0.0), (10.0, 50.0)], axes.0, axes.1),
            Some([(0.0, 0.0), (10.0, 50.0)])
        );
        assert_eq!(
            cut([(0.0, 0.0), (10.0, 200.0)], axes.0, axes.1),
            Some([(0.0, 0.0), (5.0, 100.0)])
        );
        assert_eq!(cut([(0.0, 150.0), (10.0, 150.0)], axes.0, axes.1), None);
        assert_eq!(cut([(0.0, f64::NAN), (10.0, 150.0)], axes.0, axes.1), None);
    }

    #[test]
    fn the_forecast_ends_exactly_at_the_axis() {
        let band = |seconds: f64| Band {
            seconds,
            middle: seconds,
            low: 0.0,
            high: 2.0 * seconds,
        };
        let timeline = Timeline {
            forecast: vec![band(10.0), band(20.0)],
            ..Timeline::default()
        };
        let within = forecast_within(&timeline, 15.0);
        assert_eq!(within.len(), 2);
        assert_eq!(within[1], band(15.0));
    }
}
