//! Bars, a row per arm: memory beside what it costs, both with their intervals.
//!
//! Of allocators: RSS after settling (solid) and at its peak (pale), and CPU time. Of recordings: the
//! rate of growth, and RSS at the end and at its peak. A dashed line carries the baseline's value into
//! every row. Bars start at zero; an interval that reaches further than the bars' scale is cut.

use super::courses::fitted;
use super::{ARMS, words};
use crate::Error;
use crate::chart::canvas::{Canvas, Lettering, Pen, Rect};
use crate::chart::font::Fonts;
use crate::chart::palette;
use memtide_model::Shape;
use memtide_model::comparison::{Arm, Compared, Comparison, Ratio};
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, VPos};

/// Space between two panels, and between names and panels, in logical pixels.
const GAP: f64 = 26.0;

/// Value and name beside a bar.
const VALUE: Lettering = Lettering::regular(12.5, palette::INK).at(HPos::Left, VPos::Center);

/// How far beyond the longest bar an interval may stretch the scale.
const REACH: f64 = 1.6;

/// A bar.
#[derive(Clone, Debug, PartialEq)]
struct Bar {
    value: f64,
    interval: Option<(f64, f64)>,
    /// What stands behind it.
    words: String,
    /// True for the second bar of a row, which is paler and thinner.
    pale: bool,
}

/// One column of bars.
#[derive(Clone, Debug)]
struct Panel {
    title: &'static str,
    /// The bars of each arm; none where nothing is known.
    rows: Vec<Vec<Bar>>,
    /// Its share of the width.
    share: f64,
}

/// All rows.
#[derive(Clone, Debug)]
pub(super) struct Panels {
    names: Vec<String>,
    /// True for arms without numbers.
    failed: Vec<bool>,
    columns: [Panel; 2],
    baseline: usize,
}

/// Where names stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Left of the bars.
    Beside,
    /// Above them, where the screen is narrow.
    Above,
}

impl Names {
    const fn row(self) -> f64 {
        match self {
            Self::Beside => 38.0,
            Self::Above => 56.0,
        }
    }

    const fn heading(self) -> f64 {
        match self {
            Self::Beside => 28.0,
            Self::Above => 40.0,
        }
    }
}

impl Panels {
    /// The bars of the first [`ARMS`] arms.
    pub(super) fn new(comparison: &Comparison) -> Self {
        let arms = || comparison.arms.iter().take(ARMS);
        let panel = |title, share, bars: fn(&Arm) -> Vec<Bar>| Panel {
            title,
            share,
            rows: arms().map(bars).collect(),
        };
        let panels = match comparison.of {
            Compared::Allocators => [
                panel("RSS after settling, and at its peak (pale)", 0.58, memory),
                panel("CPU time", 0.42, cpu),
            ],
            Compared::Recordings => [
                panel("Growth rate of RSS", 0.5, growth),
                panel("RSS at the end, and at its peak (pale)", 0.5, memory),
            ],
        };
        Self {
            names: (0..arms().count())
                .map(|index| words::name(comparison, index))
                .collect(),
            failed: arms().map(|arm| words::typical(arm).is_none()).collect(),
            columns: panels,
            baseline: words::baseline(comparison),
        }
    }

    /// How to read them.
    pub(super) fn caption(&self) -> String {
        let [left, right] = &self.columns;
        format!(
            "{}; {}. Strokes are 90 % intervals, the dashed line is the baseline",
            left.title, right.title
        )
    }

    /// How much height they take, in logical pixels.
    pub(super) fn height(&self, names: Names) -> f64 {
        names.heading() + self.names.len() as f64 * names.row()
    }

    /// Draws them between `left` and `right` from `top` on.
    pub(super) fn draw<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        (left, right): (f64, f64),
        top: f64,
        names: Names,
    ) -> Result<(), Error> {
        let width = right - left;
        let first = match names {
            Names::Beside => left + width * 0.21,
            Names::Above => left,
        };
        let gap = if names == Names::Beside { GAP } else { 14.0 };
        let mut x = first;
        for panel in &self.columns {
            let room = (right - first - gap) * panel.share;
            let place = Rect {
                left: x,
                right: x + room,
                top,
                bottom: top + self.height(names),
            };
            panel.draw(canvas, place, names, self.baseline)?;
            x += room + gap;
        }
        let end = match names {
            Names::Beside => first - 12.0,
            Names::Above => right,
        };
        self.name(canvas, (left, end), top, names)
    }

    fn name<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        (left, right): (f64, f64),
        top: f64,
        names: Names,
    ) -> Result<(), Error> {
        for (index, name) in self.names.iter().enumerate() {
            let y = top + names.heading() + index as f64 * names.row() + 9.0;
            let swatch = Rect {
                left,
                right: left + 12.0,
                top: y - 6.0,
                bottom: y + 6.0,
            };
            canvas.fill(swatch, palette::arm(index), 1.0)?;
            let failed = self.failed.get(index) == Some(&true);
            let note = if failed { " (failed)" } else { "" };
            let room = right - left - 20.0;
            let note_room = f64::from(canvas.fonts().width(VALUE.weight, VALUE.size, note));
            let name = fitted(canvas.fonts(), VALUE, name, room - note_room);
            canvas.text(&format!("{name}{note}"), left + 20.0, y, VALUE)?;
        }
        Ok(())
    }
}

/// Turns a value into a place.
#[derive(Clone, Copy, Debug)]
struct Scale {
    left: f64,
    width: f64,
    low: f64,
    high: f64,
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        self.left + (value - self.low) / (self.high - self.low) * self.width
    }
}

impl Panel {
    /// The scale of its bars, with room for what stands behind them.
    fn scale(&self, fonts: &Fonts, place: Rect) -> Scale {
        let bars = || self.rows.iter().flatten();
        let longest = bars().map(|bar| bar.value).fold(0.0, f64::max);
        let least = bars().map(|bar| bar.value).fold(0.0, f64::min);
        let reach = longest.max(-least) * REACH;
        let ends = || bars().filter_map(|bar| bar.interval);
        let high = ends().map(|end| end.1.min(reach)).fold(longest, f64::max);
        let low = ends().map(|end| end.0.max(-reach)).fold(least, f64::min);
        let text = |bar: &Bar| f64::from(fonts.width(VALUE.weight, VALUE.size, &bar.words));
        // A browser's own font may be a little wider than the one that is measured.
        let widest = bars().map(text).fold(0.0, f64::max) * 1.06;
        Scale {
            left: place.left,
            width: (place.right - place.left - widest - 10.0).max(20.0),
            low,
            high: if high > low { high } else { low + 1.0 },
        }
    }

    fn draw<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        place: Rect,
        names: Names,
        baseline: usize,
    ) -> Result<(), Error> {
        let how = Lettering::regular(12.5, palette::MUTED);
        let title = canvas.fonts().wrap(
            how.weight,
            how.size,
            self.title,
            place.right - place.left,
            2,
        );
        for (index, line) in title.iter().enumerate() {
            canvas.text(line, place.left, place.top + index as f64 * 16.0, how)?;
        }
        let scale = self.scale(canvas.fonts(), place);
        let first = place.top + names.heading();
        let above = match names {
            Names::Beside => 0.0,
            Names::Above => 18.0,
        };
        let reference = self.rows.get(baseline).and_then(|bars| bars.first());
        let reference = reference.filter(|bar| !bar.pale && self.rows.len() > 1);
        for (index, bars) in self.rows.iter().enumerate() {
            let y = first + index as f64 * names.row() + above;
            if let Some(reference) = reference {
                let x = scale.at(reference.value);
                let pen = Pen {
                    dashes: Some((3.0, 3.0)),
                    ..Pen::new(palette::MUTED, 1.0)
                };
                canvas.trace(&[(x, y - 1.0), (x, y + 29.0)], pen)?;
            }
            for bar in bars {
                bar.draw(canvas, scale, y, palette::arm(index))?;
            }
            if bars.is_empty() {
                let how = how.at(HPos::Left, VPos::Center);
                canvas.text("not known", place.left, y + 9.0, how)?;
            }
        }
        Ok(())
    }
}

impl Bar {
    fn draw<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        scale: Scale,
        y: f64,
        color: plotters::style::RGBColor,
    ) -> Result<(), Error> {
        let (top, height, alpha) = if self.pale {
            (y + 18.0, 9.0, 0.4)
        } else {
            (y + 2.0, 14.0, 1.0)
        };
        let (zero, end) = (scale.at(0.0), scale.at(self.value));
        let bar = Rect {
            left: zero.min(end),
            // What is not nothing is seen.
            right: zero.max(end).max(zero.min(end) + 1.0),
            top,
            bottom: top + height,
        };
        canvas.fill(bar, color, alpha)?;
        let middle = top + height / 2.0;
        let mut reach = bar.right;
        // An interval without extent says nothing.
        if let Some((low, high)) = self.interval.filter(|ends| ends.0 < ends.1) {
            let (low, high) = (scale.at(low), scale.at(high));
            reach = reach.max(high);
            for (color, width) in [(palette::PAPER, 3.2), (palette::INK, 1.2)] {
                canvas.line(&[(low, middle), (high, middle)], color, width)?;
                for x in [low, high] {
                    canvas.line(&[(x, middle - 3.5), (x, middle + 3.5)], color, width)?;
                }
            }
        }
        let how = if self.pale {
            Lettering {
                color: palette::MUTED,
                size: 11.5,
                ..VALUE
            }
        } else {
            VALUE
        };
        // The baseline's line must not cross the number.
        let x = reach + 8.0;
        let width = canvas.fonts().width(how.weight, how.size, &self.words);
        let behind = Rect {
            left: x - 3.0,
            right: x + f64::from(width) + 3.0,
            top: middle - 7.0,
            bottom: middle + 7.0,
        };
        canvas.fill(behind, palette::PAPER, 1.0)?;
        canvas.text(&self.words, x, middle, how)
    }
}

/// A bar for a value that is known.
fn bar(
    value: Option<f64>,
    interval: Option<(f64, f64)>,
    print: fn(Option<f64>) -> String,
    ratio: Option<Ratio>,
) -> Option<Bar> {
    let known = value.filter(|value| value.is_finite())?;
    let finite = |ends: &(f64, f64)| ends.0.is_finite() && ends.1.is_finite();
    let words = match ratio {
        Some(_) => format!("{} ({})", print(value), words::change(ratio)),
        None => print(value),
    };
    Some(Bar {
        value: known,
        interval: interval.filter(finite),
        words,
        pale: false,
    })
}

fn memory(arm: &Arm) -> Vec<Bar> {
    let median = &arm.median;
    let settled = median.settled_low.zip(median.settled_high);
    let peak = median.peak_low.zip(median.peak_high);
    let value = median.settled_rss.or(median.end_rss);
    let main = bar(value, settled, words::bytes, arm.settled_rss_ratio);
    let pale = bar(median.peak_rss, peak, words::bytes, None).map(|bar| Bar { pale: true, ..bar });
    main.into_iter().chain(pale).collect()
}

fn cpu(arm: &Arm) -> Vec<Bar> {
    let median = &arm.median;
    let interval = median.cpu_low.zip(median.cpu_high);
    bar(median.cpu_seconds, interval, words::cpu, arm.cpu_ratio)
        .into_iter()
        .collect()
}

/// The rate of growth; zero where the growth has an end, and its shape instead of a number.
fn growth(arm: &Arm) -> Vec<Bar> {
    let run = words::typical(arm);
    if !words::has_rate(run) {
        let shape = run.and_then(|run| run.shape).map_or("", Shape::words);
        return vec![Bar {
            value: 0.0,
            interval: None,
            words: format!("no rate: {shape}"),
            pale: false,
        }];
    }
    let interval = run.and_then(|run| run.low.zip(run.high));
    let rate = arm.median.bytes_per_second;
    bar(rate, interval, words::rate, arm.growth_ratio)
        .into_iter()
        .collect()
}
