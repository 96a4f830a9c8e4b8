//! The chart as inline SVG, drawn by plotters' own SVG backend.
//!
//! Colours of the theme are not written into it: the style sheet finds the neutral colours of the
//! palette by their value and replaces them (a test compares the two).

use super::text;
use crate::Error;
use crate::chart::SUBPIXELS;
use crate::chart::canvas::{Canvas, Rect};
use crate::chart::font::Fonts;
use crate::chart::legend::{self, Entry, Mark, VEIL};
use crate::chart::paint::{self, BAND};
use crate::chart::plan::Plan;
use memtide_model::Findings;
use memtide_model::report::Report;
use plotters::prelude::{IntoDrawingArea as _, SVGBackend};
use plotters::style::RGBColor;
use std::fmt::Write as _;

/// Width and height of the chart on a wide and on a narrow screen, in logical pixels.
const WIDE: (u32, u32) = (1052, 400);
const NARROW: (u32, u32) = (400, 300);

/// Logical pixels per point of a line: a page is read at about this resolution.
const PIXELS_PER_POINT: u32 = 2;

/// The two charts and the legend; `label` says in words what they show.
pub(super) fn figure(findings: &Findings, label: &str) -> Result<String, Error> {
    let plan = Plan::new(findings, columns(WIDE));
    let mut figure = svg(&plan, WIDE, "wide", label)?;
    figure.push_str(&svg(
        &Plan::new(findings, columns(NARROW)),
        NARROW,
        "narrow",
        label,
    )?);
    figure.push_str(&key(&plan, &findings.report));
    Ok(figure)
}

/// What must be known to read the chart.
pub(super) fn notes(findings: &Findings) -> Vec<String> {
    Plan::new(findings, columns(WIDE)).notes()
}

const fn columns(size: (u32, u32)) -> usize {
    (size.0 / PIXELS_PER_POINT) as usize
}

fn svg(plan: &Plan, size: (u32, u32), class: &str, label: &str) -> Result<String, Error> {
    let outer = Rect {
        left: 0.0,
        top: 8.0,
        right: f64::from(size.0),
        bottom: f64::from(size.1),
    };
    inline(size, class, label, |canvas| {
        paint::chart(canvas, plan, outer).map(|_| ())
    })
}

/// What `paint` puts on a canvas of so many logical pixels, as inline SVG; `label` says it in words.
pub(crate) fn inline(
    size: (u32, u32),
    class: &str,
    label: &str,
    paint: impl FnOnce(&Canvas<'_, SVGBackend<'_>>) -> Result<(), Error>,
) -> Result<String, Error> {
    let fonts = Fonts::load()?;
    let units = (size.0 * SUBPIXELS, size.1 * SUBPIXELS);
    let mut drawn = String::new();
    {
        let area = SVGBackend::with_string(&mut drawn, units).into_drawing_area();
        paint(&Canvas::new(&area, &fonts))?;
        area.present()
            .map_err(|error| Error::Compose(error.to_string()))?;
    }
    // plotters' own opening tag fixes the size and names a namespace that inline SVG does not need.
    let body = drawn.split_once('\n').map_or("", |(_, body)| body);
    let label = text(label);
    Ok(format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{label}\">\n{body}",
        units.0, units.1
    ))
}

/// The legend under the charts.
fn key(plan: &Plan, report: &Report) -> String {
    let mut list = String::from("<ul class=\"legend\">\n");
    for entry in legend::entries(plan, report) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            list,
            "<li><svg viewBox=\"0 0 20 14\" aria-hidden=\"true\">{}</svg>{} <b>{}</b></li>",
            mark(&entry),
            text(&entry.label),
            text(&entry.value)
        );
    }
    list.push_str("</ul>\n");
    list
}

fn mark(entry: &Entry) -> String {
    let color = hex(entry.color);
    let line = |x0, x1| format!("<path d=\"M{x0} 7H{x1}\" stroke=\"{color}\" stroke-width=\"2\"/>");
    let rect = |x: u32, width: u32, alpha: f64| {
        format!(
            "<rect x=\"{x}\" y=\"1\" width=\"{width}\" height=\"12\" fill=\"{color}\" opacity=\"{alpha}\"/>"
        )
    };
    match entry.mark {
        Mark::Line => line(0, 20),
        Mark::Dashes => line(0, 8) + &line(12, 20),
        Mark::Veil => rect(0, 20, VEIL),
        Mark::Square => rect(4, 12, BAND),
        Mark::Hatch => rect(4, 1, 1.0) + &rect(9, 1, 1.0) + &rect(14, 1, 1.0),
    }
}

/// As plotters writes colours: `#1B1F24`.
pub(crate) fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::palette;

    #[test]
    fn the_style_sheet_maps_every_neutral_colour() {
        let neutral = [
            palette::INK,
            palette::MUTED,
            palette::GRID,
            palette::PAPER,
            palette::BASE,
            palette::ACCENT,
        ];
        for color in neutral {
            for attribute in ["fill", "stroke"] {
                let rule = format!("svg [{attribute}=\"{}\"]{{{attribute}:var(--", hex(color));
                assert!(super::super::STYLE.contains(&rule), "{rule}");
            }
            let variable = format!(":{}", hex(color).to_lowercase());
            assert!(super::super::STYLE.contains(&variable), "{variable}");
        }
    }
}
