//! A plotters backend that paints on tiny-skia.
//!
//! plotters' own bitmap backend turns a thick line into a polygon whose corners reach out up to four
//! line widths: noisy data get spikes that are not in them (plotters issue 549). Here a line is a
//! stroke with round joins, painted with anti-aliasing; nothing reaches further than half its width.
//! Text is painted from the outlines of the embedded fonts.
//!
//! The canvas is [`SUBPIXELS`] times finer than a logical pixel, and a logical pixel is `scale`
//! pixels: everything is transformed by the quotient.

use crate::Error;
use crate::chart::SUBPIXELS;
use crate::chart::font::{self, Fonts, PLOTTERS_EM, Weight};
use ab_glyph::{OutlineCurve, Point};
use plotters_backend::text_anchor::HPos;
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontStyle,
};
use std::convert::Infallible;
use tiny_skia::{
    FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform,
};

type Painted = Result<(), DrawingErrorKind<Infallible>>;

/// The backend; it paints on a pixmap that outlives it.
pub(crate) struct SkiaBackend<'a> {
    pixmap: &'a mut Pixmap,
    fonts: &'a Fonts,
    transform: Transform,
    size: (u32, u32),
}

/// A pixmap for `logical` pixels at `scale`.
pub(crate) fn pixmap(logical: (u32, u32), scale: f32) -> Result<Pixmap, Error> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates; the scale is bounded by the caller"
    )]
    let pixels = |length: u32| (length as f32 * scale).round() as u32;
    let (width, height) = (pixels(logical.0), pixels(logical.1));
    Pixmap::new(width, height).ok_or(Error::Canvas(width, height))
}

impl<'a> SkiaBackend<'a> {
    /// A backend for a canvas of `logical` pixels.
    pub(crate) fn new(
        pixmap: &'a mut Pixmap,
        fonts: &'a Fonts,
        logical: (u32, u32),
        scale: f32,
    ) -> Self {
        let factor = scale / SUBPIXELS as f32;
        Self {
            pixmap,
            fonts,
            transform: Transform::from_scale(factor, factor),
            size: (logical.0 * SUBPIXELS, logical.1 * SUBPIXELS),
        }
    }

    fn fill(&mut self, path: Option<Path>, color: BackendColor) {
        // No path: nothing in it, or not a finite number in it; there is nothing to be seen then.
        if let Some(path) = path {
            self.pixmap.fill_path(
                &path,
                &paint(color),
                FillRule::Winding,
                self.transform,
                None,
            );
        }
    }

    fn stroke(&mut self, path: Option<Path>, color: BackendColor, width: u32) {
        if let Some(path) = path {
            let stroke = Stroke {
                width: width as f32,
                line_cap: LineCap::Butt,
                line_join: LineJoin::Round,
                ..Stroke::default()
            };
            self.pixmap
                .stroke_path(&path, &paint(color), &stroke, self.transform, None);
        }
    }
}

fn paint(color: BackendColor) -> Paint<'static> {
    let (red, green, blue) = color.rgb;
    let mut paint = Paint {
        anti_alias: true,
        ..Paint::default()
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 0 to 255 by the clamp"
    )]
    let alpha = (color.alpha.clamp(0.0, 1.0) * 255.0).round() as u8;
    paint.set_color_rgba8(red, green, blue, alpha);
    paint
}

fn polyline(points: impl IntoIterator<Item = BackendCoord>, close: bool) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for (x, y) in points {
        if builder.is_empty() {
            builder.move_to(x as f32, y as f32);
        } else {
            builder.line_to(x as f32, y as f32);
        }
    }
    if close {
        builder.close();
    }
    builder.finish()
}

/// The outlines of a text whose baseline starts at `(x, y)`, with an em of `size`.
fn lettering(
    fonts: &Fonts,
    weight: Weight,
    text: &str,
    size: f32,
    (x, y): (f32, f32),
) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for (origin, outline, em) in fonts.outlines(weight, text) {
        let place = |point: Point| (x + (origin + point.x / em) * size, y - point.y / em * size);
        let mut pen: Option<Point> = None;
        for curve in &outline.curves {
            let (start, end) = match curve {
                OutlineCurve::Line(a, b)
                | OutlineCurve::Quad(a, _, b)
                | OutlineCurve::Cubic(a, _, _, b) => (*a, *b),
            };
            if pen != Some(start) {
                let (x, y) = place(start);
                builder.move_to(x, y);
            }
            let (to_x, to_y) = place(end);
            match curve {
                OutlineCurve::Line(..) => builder.line_to(to_x, to_y),
                OutlineCurve::Quad(_, control, _) => {
                    let (cx, cy) = place(*control);
                    builder.quad_to(cx, cy, to_x, to_y);
                }
                OutlineCurve::Cubic(_, first, second, _) => {
                    let ((ax, ay), (bx, by)) = (place(*first), place(*second));
                    builder.cubic_to(ax, ay, bx, by, to_x, to_y);
                }
            }
            pen = Some(end);
        }
    }
    builder.finish()
}

impl DrawingBackend for SkiaBackend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Painted {
        Ok(())
    }

    fn present(&mut self) -> Painted {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Painted {
        let rect = Rect::from_xywh(x as f32, y as f32, 1.0, 1.0);
        self.fill(rect.map(PathBuilder::from_rect), color);
        Ok(())
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Painted {
        self.stroke(
            polyline([from, to], false),
            style.color(),
            style.stroke_width(),
        );
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Painted {
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
        let path = polyline(corners, true);
        if fill {
            self.fill(path, style.color());
        } else {
            self.stroke(path, style.color(), style.stroke_width());
        }
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Painted {
        self.stroke(polyline(path, false), style.color(), style.stroke_width());
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        (x, y): BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Painted {
        let path = PathBuilder::from_circle(x as f32, y as f32, radius as f32);
        if fill {
            self.fill(path, style.color());
        } else {
            self.stroke(path, style.color(), style.stroke_width());
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vertices: I,
        style: &S,
    ) -> Painted {
        self.fill(polyline(vertices, true), style.color());
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        (x, y): BackendCoord,
    ) -> Painted {
        let (weight, size) = face(style);
        let width = self.fonts.width(weight, size, text);
        let anchor = style.anchor();
        let left = x as f32
            - match anchor.h_pos {
                HPos::Left => 0.0,
                HPos::Center => width / 2.0,
                HPos::Right => width,
            };
        let baseline = y as f32 + font::baseline(anchor.v_pos) * size;
        let path = lettering(self.fonts, weight, text, size, (left, baseline));
        self.fill(path, style.color());
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let (weight, size) = face(style);
        let width = self.fonts.width(weight, size, text);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates; never negative"
        )]
        Ok((width.ceil() as u32, size.ceil() as u32))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "font sizes are small")]
fn face<S: BackendTextStyle>(style: &S) -> (Weight, f32) {
    let weight = match style.style() {
        FontStyle::Bold => Weight::SemiBold,
        _ => Weight::Regular,
    };
    (weight, (style.size() / PLOTTERS_EM) as f32)
}
