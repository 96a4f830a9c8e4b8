//! The report as a picture that can be put into a ticket.
//!
//! The title is the verdict, the subtitle says of what and from how much data; below it the chart of
//! [`crate::chart`], at its right the legend with the numbers. plotters composes, tiny-skia paints
//! ([`backend`]); fonts are embedded.

mod backend;

use crate::chart::font::Fonts;
use crate::chart::legend::{self, Entry, Mark};
use crate::chart::paint::{self, Canvas, Lettering, Rect};
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
    let mut about = vec![sentences::verdict(report)];
    about.push(format!(
        "{}: {}",
        sentences::target(report),
        sentences::window(report)
    ));
    if let Some(rate) = sentences::rate(report) {
        about.push(format!("RSS {rate}"));
    }
    if let Some(forecast) = &report.forecast {
        about.push(sentences::forecast(forecast));
    }
    about.extend(plan.notes());
    let blocks = [
        (report.verdict.summary.as_str(), title, 3),
        (&about.join(" · "), subtitle, 4),
    ];
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
        y += 7.0;
    }
    Ok(y + 10.0)
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
            0.16,
        )?,
        Mark::Square => canvas.fill(square, entry.color, 0.85)?,
        Mark::Hatch => {
            canvas.fill(square, entry.color, 0.35)?;
            let diagonal = [(square.left, square.bottom), (square.right, square.top)];
            canvas.line(&diagonal, entry.color, 1.0)?;
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
