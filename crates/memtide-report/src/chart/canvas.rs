//! A canvas that is addressed in logical pixels, whatever backend lies under it.
//!
//! Positions are in logical pixels ([`Rect`]); the canvas is [`SUBPIXELS`] times finer. Refuses to know
//! what is drawn: that is the business of the painters.

use super::SUBPIXELS;
use super::font::{Fonts, PLOTTERS_EM, Weight};
use crate::Error;
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::{Circle, DrawingArea, DrawingBackend, PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color as _, FontStyle, IntoFont as _, IntoTextStyle as _, RGBColor, ShapeStyle,
};

/// A rectangle in logical pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rect {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
}

/// A canvas that is addressed in logical pixels.
pub(crate) struct Canvas<'a, B: DrawingBackend> {
    area: &'a DrawingArea<B, Shift>,
    fonts: &'a Fonts,
}

/// How a text is set.
#[derive(Clone, Copy)]
pub(crate) struct Lettering {
    pub(crate) weight: Weight,
    /// Em in logical pixels.
    pub(crate) size: f32,
    pub(crate) color: RGBColor,
    pub(crate) horizontal: HPos,
    pub(crate) vertical: VPos,
}

impl Lettering {
    /// Regular text to the right of and below its place.
    pub(crate) const fn regular(size: f32, color: RGBColor) -> Self {
        Self {
            weight: Weight::Regular,
            size,
            color,
            horizontal: HPos::Left,
            vertical: VPos::Top,
        }
    }

    pub(crate) const fn semi_bold(self) -> Self {
        Self {
            weight: Weight::SemiBold,
            ..self
        }
    }

    pub(crate) const fn at(self, horizontal: HPos, vertical: VPos) -> Self {
        Self {
            horizontal,
            vertical,
            ..self
        }
    }
}

/// How a line is drawn.
#[derive(Clone, Copy)]
pub(crate) struct Pen {
    pub(crate) color: RGBColor,
    /// In logical pixels.
    pub(crate) width: f64,
    /// 0 to 1.
    pub(crate) alpha: f64,
    /// Lengths of a dash and of the gap after it in logical pixels; `None` for a solid line.
    pub(crate) dashes: Option<(f64, f64)>,
}

impl Pen {
    /// A solid line.
    pub(crate) const fn new(color: RGBColor, width: f64) -> Self {
        Self {
            color,
            width,
            alpha: 1.0,
            dashes: None,
        }
    }
}

/// Logical pixels as units of the canvas.
#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates; canvases are far smaller"
)]
pub(crate) fn units(pixels: f64) -> i32 {
    (pixels * f64::from(SUBPIXELS)).round() as i32
}

/// A width or size that is given to plotters unsigned.
pub(super) fn unsigned(pixels: f64) -> u32 {
    units(pixels).unsigned_abs().max(1)
}

pub(super) fn compose(error: impl std::fmt::Display) -> Error {
    Error::Compose(error.to_string())
}

pub(super) fn stroke(color: RGBColor, pixels: f64) -> ShapeStyle {
    color.stroke_width(unsigned(pixels))
}

impl<'a, B: DrawingBackend> Canvas<'a, B> {
    pub(crate) const fn new(area: &'a DrawingArea<B, Shift>, fonts: &'a Fonts) -> Self {
        Self { area, fonts }
    }

    pub(super) const fn area(&self) -> &'a DrawingArea<B, Shift> {
        self.area
    }

    pub(crate) const fn fonts(&self) -> &Fonts {
        self.fonts
    }

    /// Fills the whole canvas.
    pub(crate) fn background(&self, color: RGBColor) -> Result<(), Error> {
        self.area.fill(&color).map_err(compose)
    }

    /// One line of text; characters without a glyph as their code points.
    pub(crate) fn text(&self, text: &str, x: f64, y: f64, how: Lettering) -> Result<(), Error> {
        let style = match how.weight {
            Weight::Regular => FontStyle::Normal,
            Weight::SemiBold => FontStyle::Bold,
        };
        let size = f64::from(how.size) * f64::from(SUBPIXELS) * PLOTTERS_EM;
        let style = ("sans-serif", size)
            .into_font()
            .style(style)
            .into_text_style(self.area)
            .color(&how.color)
            .pos(Pos::new(how.horizontal, how.vertical));
        let text = self.fonts.drawable(text);
        self.area
            .draw(&Text::new(text, (units(x), units(y)), style))
            .map_err(compose)
    }

    /// A line through points.
    pub(crate) fn line(
        &self,
        points: &[(f64, f64)],
        color: RGBColor,
        width: f64,
    ) -> Result<(), Error> {
        self.trace(points, Pen::new(color, width))
    }

    /// A line through points, with that pen.
    pub(crate) fn trace(&self, points: &[(f64, f64)], pen: Pen) -> Result<(), Error> {
        let points = points.iter().map(|(x, y)| (units(*x), units(*y)));
        let style = pen.color.mix(pen.alpha).stroke_width(unsigned(pen.width));
        let Some((dash, gap)) = pen.dashes else {
            let line = PathElement::new(points.collect::<Vec<_>>(), style);
            return self.area.draw(&line).map_err(compose);
        };
        let line = DashedPathElement::new(points, unsigned(dash), unsigned(gap), style);
        self.area.draw(&line).map_err(compose)
    }

    /// A filled circle.
    pub(crate) fn dot(&self, at: (f64, f64), radius: f64, color: RGBColor) -> Result<(), Error> {
        let place = (units(at.0), units(at.1));
        let dot = Circle::new(place, unsigned(radius), color.filled());
        self.area.draw(&dot).map_err(compose)
    }

    /// A filled rectangle.
    pub(crate) fn fill(&self, rect: Rect, color: RGBColor, alpha: f64) -> Result<(), Error> {
        let corners = [
            (units(rect.left), units(rect.top)),
            (units(rect.right), units(rect.bottom)),
        ];
        self.area
            .draw(&Rectangle::new(corners, color.mix(alpha).filled()))
            .map_err(compose)
    }
}
