//! The comparison as a picture that can be put into a ticket: the answer as its title, RSS over time of
//! all arms, and below it bars of memory beside what it costs.
//!
//! It is as wide as the picture of a report and as high as its arms need.

use super::courses::Courses;
use super::panels::{Names, Panels};
use super::{left_out, words};
use crate::Error;
use crate::chart::canvas::{Canvas, Rect};
use crate::chart::font::Fonts;
use crate::png::{self, Headline, MARGIN};
use memtide_model::comparison::Comparison;
use plotters::prelude::DrawingBackend;

/// Height of the chart over time, and room for the names at its right, in logical pixels.
const CHART: f64 = 330.0;
const LABELS: f64 = 190.0;

/// See [`super::png`].
pub(super) fn render(comparison: &Comparison, scale: f32) -> Result<Vec<u8>, Error> {
    let fonts = Fonts::load()?;
    let courses = Courses::new(comparison);
    let panels = Panels::new(comparison);
    let about = about(comparison, &courses);
    let headline = Headline::new(&fonts, &comparison.verdict.summary, &about);
    let top = headline.bottom() - 16.0;
    let bars = top + CHART + 30.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most a few thousand pixels: lines and arms are bounded"
    )]
    let height = (bars + panels.height(Names::Beside) + MARGIN) as u32;
    png::painted(&fonts, (png::SIZE.0, height), scale, |canvas| {
        headline.draw(canvas)?;
        body(canvas, &courses, &panels, (top, bars))
    })
}

fn body<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    courses: &Courses,
    panels: &Panels,
    (top, bars): (f64, f64),
) -> Result<(), Error> {
    let (left, right) = (MARGIN, f64::from(png::SIZE.0) - MARGIN);
    let chart = Rect {
        left,
        right,
        top,
        bottom: top + CHART,
    };
    courses.draw(canvas, chart, LABELS)?;
    panels.draw(canvas, (left, right), bars, Names::Beside)
}

/// The lines under the title.
fn about(comparison: &Comparison, courses: &Courses) -> Vec<String> {
    let mut about = vec![words::subject(comparison)];
    let reading = [Some(courses.caption()), left_out(comparison)];
    about.push(
        reading
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" · "),
    );
    about
}
