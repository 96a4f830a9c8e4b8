//! Puts the plan of one report onto a canvas: bands, lines, limit; plotters does the coordinates, the
//! areas and the dashes, [`super::axes`] the rest.

use super::axes::{self, Axes, LABEL};
use super::canvas::{Canvas, Lettering, Rect, compose, stroke, units, unsigned};
use super::legend::VEIL;
use super::palette;
use super::plan::{Limit, Plan};
use super::stack::{Content, Layer};
use crate::Error;
use memtide_model::Account;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    Cartesian2d, ChartBuilder, ChartContext, Circle, DashedLineSeries, DrawingBackend, LineSeries,
    Polygon,
};
use plotters::style::{Color as _, RGBColor};

/// How much of its colour a band has.
pub(crate) const BAND: f64 = 0.85;

type Chart<'a, B> = ChartContext<'a, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The chart within `outer`, its axes' labels included; returns the rectangle between the axes.
pub(crate) fn chart<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    plan: &Plan,
    outer: Rect,
) -> Result<Rect, Error> {
    let axes = Axes::new(canvas, plan.x, plan.y, outer);
    let inner = axes.inner;
    if plan.rss.line.is_empty() {
        axes::nothing(canvas, inner)?;
        return Ok(inner);
    }
    axes.draw(canvas)?;
    let (width, height) = canvas.area().dim_in_pixel();
    let margin = |pixels: f64| units(pixels).unsigned_abs();
    let mut context = ChartBuilder::on(canvas.area())
        .margin_left(margin(inner.left))
        .margin_top(margin(inner.top))
        .margin_right(width.saturating_sub(margin(inner.right)))
        .margin_bottom(height.saturating_sub(margin(inner.bottom)))
        .build_cartesian_2d(plan.x.0..plan.x.1, plan.y.0..plan.y.1)
        .map_err(compose)?;
    bands(&mut context, plan)?;
    forecast(&mut context, plan)?;
    rss(&mut context, plan)?;
    limit(canvas, plan, &axes)?;
    Ok(inner)
}

/// The stack: each band filled, with a thin gap to the one above.
fn bands<B: DrawingBackend>(context: &mut Chart<'_, B>, plan: &Plan) -> Result<(), Error> {
    let low = plan.y.0;
    for layer in &plan.layers {
        let (color, alpha) = match layer.content {
            Content::Base => (palette::BASE, 1.0),
            Content::Account(account) => (palette::account(account), BAND),
            Content::CountedTwice => (palette::PAPER, 0.6),
        };
        let area = outline(layer, low, plan.x);
        draw(context, Polygon::new(area, color.mix(alpha).filled()))?;
        let edge = widened(&layer.upper, plan.x)
            .into_iter()
            .map(|(x, y)| (x, y.max(low)));
        let style = stroke(palette::PAPER, 1.0);
        context
            .draw_series(LineSeries::new(edge, style))
            .map_err(compose)?;
        if layer.content == Content::CountedTwice {
            hatch(context, layer, plan.x)?;
        }
    }
    Ok(())
}

/// Upright strokes through a band, a hundred over the width of the chart.
fn hatch<B: DrawingBackend>(
    context: &mut Chart<'_, B>,
    layer: &Layer,
    x: (f64, f64),
) -> Result<(), Error> {
    let style = stroke(palette::account(Account::Unexplained), 1.0);
    for step in 1..100 {
        let at = x.0 + (x.1 - x.0) * f64::from(step) / 100.0;
        let edges = (value_at(&layer.lower, at), value_at(&layer.upper, at));
        if let (Some(low), Some(high)) = edges
            && high > low
        {
            let line = LineSeries::new([(at, low), (at, high)], style);
            context.draw_series(line).map_err(compose)?;
        }
    }
    Ok(())
}

/// The height of an edge at a moment; `None` outside of it.
fn value_at(edge: &[(f64, f64)], at: f64) -> Option<f64> {
    let next = edge.partition_point(|point| point.0 < at);
    let (before, after) = (edge.get(next.checked_sub(1)?)?, edge.get(next)?);
    let part = (at - before.0) / (after.0 - before.0);
    Some(before.1 + (after.1 - before.1) * part)
}

/// The band's outline: along its upper edge and back along its lower one, which the axis may cut.
fn outline(layer: &Layer, low: f64, x: (f64, f64)) -> Vec<(f64, f64)> {
    let upper = widened(&layer.upper, x).into_iter();
    let lower = widened(&layer.lower, x).into_iter().rev();
    upper.chain(lower).map(|(x, y)| (x, y.max(low))).collect()
}

/// A single moment as a narrow bar: it is known then, and not before or after.
fn widened(edge: &[(f64, f64)], x: (f64, f64)) -> Vec<(f64, f64)> {
    match edge {
        [(at, y)] => {
            let half = (x.1 - x.0) * 0.01;
            vec![((at - half).max(x.0), *y), ((at + half).min(x.1), *y)]
        }
        many => many.to_vec(),
    }
}

/// Trend and forecast, over the bands and under the RSS line.
fn forecast<B: DrawingBackend>(context: &mut Chart<'_, B>, plan: &Plan) -> Result<(), Error> {
    let bands = &plan.forecast;
    if bands.len() > 1 {
        let high = bands.iter().map(|band| (band.seconds, band.high));
        let low = bands.iter().rev().map(|band| (band.seconds, band.low));
        let veil: Vec<_> = high.chain(low).collect();
        draw(
            context,
            Polygon::new(veil, palette::ACCENT.mix(VEIL).filled()),
        )?;
        let middle: Vec<_> = bands
            .iter()
            .map(|band| (band.seconds, band.middle))
            .collect();
        dashes(context, &middle, palette::ACCENT, 1.6)?;
    }
    Ok(())
}

fn dashes<B: DrawingBackend>(
    context: &mut Chart<'_, B>,
    points: &[(f64, f64)],
    color: RGBColor,
    width: f64,
) -> Result<(), Error> {
    let series = DashedLineSeries::new(
        points.iter().copied(),
        unsigned(7.0),
        unsigned(5.0),
        stroke(color, width),
    );
    context.draw_series(series).map(|_| ()).map_err(compose)
}

/// RSS with its veil and a light rim, so that it stands out from any band; a dot where there is one
/// sample only. The trend's dashes lie on top of it: a good fit must not vanish under the line.
fn rss<B: DrawingBackend>(context: &mut Chart<'_, B>, plan: &Plan) -> Result<(), Error> {
    if let [only] = plan.rss.line[..] {
        return draw(
            context,
            Circle::new(only, unsigned(4.0), palette::INK.filled()),
        );
    }
    let range = &plan.rss.range;
    let greatest = range.iter().map(|cell| (cell.0, cell.2));
    let least = range.iter().rev().map(|cell| (cell.0, cell.1));
    let veil: Vec<_> = greatest.chain(least).collect();
    draw(context, Polygon::new(veil, palette::INK.mix(VEIL).filled()))?;
    // A peak of one column would fade away in the veil: its edges are drawn as hairlines.
    let hairline = palette::INK.mix(0.5).stroke_width(unsigned(0.7));
    for edge in [
        range
            .iter()
            .map(|cell| (cell.0, cell.2))
            .collect::<Vec<_>>(),
        range.iter().map(|cell| (cell.0, cell.1)).collect(),
    ] {
        context
            .draw_series(LineSeries::new(edge, hairline))
            .map_err(compose)?;
    }
    for (color, width) in [(palette::PAPER, 2.8), (palette::INK, 1.8)] {
        let line = LineSeries::new(plan.rss.line.iter().copied(), stroke(color, width));
        context.draw_series(line).map_err(compose)?;
    }
    if let Some(trend) = plan.trend {
        dashes(context, &trend, palette::PAPER, 3.6)?;
        dashes(context, &trend, palette::ACCENT, 2.0)?;
    }
    Ok(())
}

/// The limit as a line with its name above it.
fn limit<B: DrawingBackend>(canvas: &Canvas<'_, B>, plan: &Plan, axes: &Axes) -> Result<(), Error> {
    let inner = axes.inner;
    let Limit::Line(name, bytes) = &plan.limit else {
        return Ok(());
    };
    let y = axes.at((axes.x.0, *bytes)).1;
    canvas.line(&[(inner.left, y), (inner.right, y)], palette::ACCENT, 1.5)?;
    let label = format!(
        "{}: {}",
        crate::escape::clip(name, 40),
        memtide_model::text::bytes(*bytes)
    );
    let how = Lettering::regular(LABEL, palette::ACCENT).semi_bold();
    let width = inner.right - inner.left - 12.0;
    let label = canvas
        .fonts()
        .wrap(how.weight, how.size, &label, width, 1)
        .concat();
    canvas.text(&label, inner.left + 6.0, y - 17.0, how)
}

fn draw<B, E>(context: &mut Chart<'_, B>, element: E) -> Result<(), Error>
where
    B: DrawingBackend,
    for<'b> &'b E: plotters::element::PointCollection<'b, (f64, f64)>,
    E: plotters::element::Drawable<B>,
{
    context
        .draw_series(std::iter::once(element))
        .map(|_| ())
        .map_err(compose)
}
