//! What the marks of the chart mean: one list for the picture and the page, top to bottom as drawn.

use super::palette;
use super::plan::{Limit, Plan};
use super::stack::Content;
use memtide_model::report::Report;
use memtide_model::{Account, text};
use plotters::style::RGBColor;

/// How much of its colour a light band has.
pub(crate) const VEIL: f64 = 0.25;

/// How an entry is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A solid line.
    Line,
    /// A dashed line.
    Dashes,
    /// A light band of [`VEIL`].
    Veil,
    /// A filled square.
    Square,
    /// A hatched square.
    Hatch,
}

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Its mark.
    pub(crate) mark: Mark,
    /// The mark's colour.
    pub(crate) color: RGBColor,
    /// Its name.
    pub(crate) label: String,
    /// Its numbers.
    pub(crate) value: String,
}

/// The entries for what the plan shows.
pub(crate) fn entries(plan: &Plan, report: &Report) -> Vec<Entry> {
    let mut entries = lines(plan, report);
    for layer in plan.layers.iter().rev() {
        let edge = |points: &[(f64, f64)], end: bool| {
            let point = if end { points.last() } else { points.first() };
            point.map_or(0.0, |point| point.1)
        };
        let height = edge(&layer.upper, true) - edge(&layer.lower, true);
        let grown = height - (edge(&layer.upper, false) - edge(&layer.lower, false));
        let (mark, color, label) = match layer.content {
            Content::Base => (Mark::Square, palette::BASE, "at the start".to_owned()),
            Content::Account(account) => (
                Mark::Square,
                palette::account(account),
                account.name().to_owned(),
            ),
            Content::CountedTwice => {
                let color = palette::account(Account::Unexplained);
                (Mark::Hatch, color, "counted twice".to_owned())
            }
        };
        let value = match (plan.zoomed, layer.content) {
            (_, Content::CountedTwice) => {
                let heights = layer
                    .upper
                    .iter()
                    .zip(&layer.lower)
                    .map(|(up, low)| up.1 - low.1);
                format!("≤ {}", text::bytes(heights.fold(0.0, f64::max)))
            }
            (true, Content::Base) => text::bytes(edge(&layer.upper, false)),
            (true, _) => text::signed_bytes(height),
            (false, _) if grown == 0.0 => text::bytes(height),
            (false, _) => format!("{} ({})", text::bytes(height), text::signed_bytes(grown)),
        };
        entries.push(Entry {
            mark,
            color,
            label,
            value,
        });
    }
    entries
}

/// The entries that are lines: RSS, trend, forecast, limit.
fn lines(plan: &Plan, report: &Report) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut push = |mark, color, label: &str, value: String| {
        entries.push(Entry {
            mark,
            color,
            label: label.to_owned(),
            value,
        });
    };
    if let Limit::Line(_, bytes) = &plan.limit {
        push(Mark::Line, palette::ACCENT, "limit", text::bytes(*bytes));
    }
    if !plan.forecast.is_empty() {
        push(
            Mark::Veil,
            palette::ACCENT,
            "forecast",
            "90 % band".to_owned(),
        );
    }
    if plan.trend.is_some() {
        let rate = report
            .growth
            .rss_bytes_per_second
            .filter(|rate| rate.is_finite());
        push(
            Mark::Dashes,
            palette::ACCENT,
            "trend",
            rate.map_or_else(String::new, text::rate),
        );
    }
    if let Some(last) = plan.rss.line.last() {
        push(Mark::Line, palette::INK, "RSS", text::bytes(last.1));
    }
    if !plan.rss.range.is_empty() {
        push(Mark::Veil, palette::INK, "least to most", String::new());
    }
    entries
}
