//! The report as a picture that can be put into a ticket.
//!
//! The title is the verdict, the subtitle says of what and from how much data; below it the chart of
//! [`crate::chart`], at its right the legend with the numbers. plotters composes, tiny-skia paints
//! ([`backend`]); fonts are embedded.

mod backend;

use crate::chart::font::Fonts;
use crate::chart::legend::{self, Entry, Mark, VEIL};
use crate::chart::paint::{self, BAND, Canvas, Lettering, Rect};
use crate::chart::palette;
use crate::chart::plan::Plan;
use crate::{Error, sentences};
use backend::SkiaBackend;
use memtide_model::Findings;
use plotters::prelude::{DrawingBackend, IntoDrawingArea as _};
use plotters::style::text_anchor::{HPos, VPos};

/// Width and height in logical pixels.
pub const SIZE: (u32, u32) = (1100, 620);

/// The scale that looks sharp on today's screens.
pub const DEFAULT_SCALE: f32 = 2.0;

const WIDTH: f64 = SIZE.0 as f64;
const HEIGHT: f64 = SIZE.1 as f64;
const MARGIN: f64 = 28.0;
const LEGEND: f64 = 232.0;

/// The report as a PNG of [`SIZE`] times `scale` pixels; `scale` from 0.25 to 8.
pub fn render(findings: &Findings, scale: f32) -> Result<Vec<u8>, Error> {
    if !(0.25..=8.0).contains(&scale) {
        return Err(Error::Scale(scale));
    }
    let fonts = Fonts::load()?;
    let mut pixmap = backend::pixmap(SIZE, scale)?;
    {
        let area = SkiaBackend::new(&mut pixmap, &fonts, SIZE, scale).into_drawing_area();
        let canvas = Canvas::new(&area, &fonts);
        picture(&canvas, findings, scale)?;
        area.present()
            .map_err(|error| Error::Compose(error.to_string()))?;
    }
    pixmap
        .encode_png()
        .map_err(|error| Error::Encode(error.to_string()))
}

fn picture<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    findings: &Findings,
    scale: f32,
) -> Result<(), Error> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few thousand pixels"
    )]
    let columns = ((WIDTH - LEGEND - 2.0 * MARGIN) * f64::from(scale)) as usize;
    let plan = Plan::new(findings, columns);
    canvas.background(palette::PAPER)?;
    let top = headline(canvas, findings, &plan)?;
    let chart = Rect {
        left: MARGIN,
        top,
        right: WIDTH - LEGEND - MARGIN,
        bottom: HEIGHT - MARGIN + 4.0,
    };
    paint::chart(canvas, &plan, chart)?;
    let entries = legend::entries(&plan, &findings.report);
    let left = WIDTH - LEGEND - MARGIN + 28.0;
    for (index, entry) in entries.iter().enumerate() {
        key(canvas, entry, left, top + 6.0 + 27.0 * index as f64)?;
    }
    Ok(())
}

/// Title and subtitle; returns where the chart may begin.
fn headline<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    findings: &Findings,
    plan: &Plan,
) -> Result<f64, Error> {
    let report = &findings.report;
    let mut y = MARGIN;
    let title = Lettering::regular(23.0, palette::INK).semi_bold();
    let subtitle = Lettering::regular(13.5, palette::MUTED);
    let about = about(findings, plan);
    let mut blocks = vec![(report.verdict.summary.as_str(), title, 3)];
    blocks.extend(about.iter().map(|line| (line.as_str(), subtitle, 2)));
    for (words, how, most) in blocks {
        let size = f64::from(how.size);
        let wrapped = canvas.fonts().wrap(
            how.weight,
            how.size,
            words,
            (WIDTH - 2.0 * MARGIN) as f32,
            most,
        );
        for line in wrapped {
            canvas.text(&line, MARGIN, y, how)?;
            y += size * 1.32;
        }
        y += if how.weight == title.weight { 8.0 } else { 1.0 };
    }
    Ok(y + 18.0)
}

/// The lines under the title: the verdict and its ground, the rate and where it leads, and what must
/// be known to read the chart.
fn about(findings: &Findings, plan: &Plan) -> Vec<String> {
    let report = &findings.report;
    let ground = format!(
        "{}: {}",
        sentences::target(report),
        sentences::window(report)
    );
    let rate =
        sentences::rate(report).map(|rate| format!("RSS {}: {rate}", report.growth.shape.words()));
    let course: Vec<_> = rate
        .into_iter()
        .chain(report.forecast.as_ref().map(sentences::forecast))
        .collect();
    let lines = [
        vec![sentences::verdict(report), ground],
        course,
        plan.notes(),
    ];
    lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| line.join(" · "))
        .collect()
}

/// One entry of the legend: its mark, name and numbers.
fn key<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    entry: &Entry,
    left: f64,
    y: f64,
) -> Result<(), Error> {
    let middle = y + 8.0;
    let square = Rect {
        left: left + 3.0,
        top: y + 1.0,
        right: left + 17.0,
        bottom: y + 15.0,
    };
    match entry.mark {
        Mark::Line => canvas.line(&[(left, middle), (left + 20.0, middle)], entry.color, 2.0)?,
        Mark::Dashes => {
            canvas.line(&[(left, middle), (left + 8.0, middle)], entry.color, 2.0)?;
            canvas.line(
                &[(left + 12.0, middle), (left + 20.0, middle)],
                entry.color,
                2.0,
            )?;
        }
        Mark::Veil => canvas.fill(
            Rect {
                left,
                right: left + 20.0,
                ..square
            },
            entry.color,
            VEIL,
        )?,
        Mark::Square => canvas.fill(square, entry.color, BAND)?,
        Mark::Hatch => {
            for stripe in [1.0, 6.0, 11.0] {
                let x = square.left + stripe;
                canvas.line(&[(x, square.top), (x, square.bottom)], entry.color, 1.0)?;
            }
        }
    }
    let how = Lettering::regular(13.0, palette::INK).at(HPos::Left, VPos::Center);
    canvas.text(&entry.label, left + 28.0, middle, how)?;
    let how = Lettering {
        color: palette::MUTED,
        ..how.at(HPos::Right, VPos::Center)
    };
    canvas.text(&entry.value, WIDTH - MARGIN, middle, how)
}
