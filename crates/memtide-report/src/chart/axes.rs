//! Time to the right, memory upwards: the grid, the labels, and where a value lies between them.
//!
//! The grid and the labels are placed here and not by plotters, because its mesh knows neither powers of
//! 1,024 nor hours.

use super::canvas::{Canvas, Lettering, Rect};
use super::font::Weight;
use super::{palette, ticks};
use crate::Error;
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, VPos};

/// Size of the axes' labels in logical pixels.
pub(crate) const LABEL: f32 = 12.5;

/// Two axes and the rectangle between them.
pub(crate) struct Axes {
    /// Seconds at the left and at the right.
    pub(crate) x: (f64, f64),
    /// Bytes at the bottom and at the top.
    pub(crate) y: (f64, f64),
    /// Where the chart is, without the labels.
    pub(crate) inner: Rect,
    sizes: Vec<ticks::Tick>,
}

impl Axes {
    /// Axes with these ranges; with their labels they fill `outer`.
    pub(crate) fn new<B: DrawingBackend>(
        canvas: &Canvas<'_, B>,
        x: (f64, f64),
        y: (f64, f64),
        outer: Rect,
    ) -> Self {
        let sizes = ticks::sizes(y.0, y.1, count((outer.bottom - outer.top) / 70.0));
        let widest = sizes
            .iter()
            .map(|(_, label)| canvas.fonts().width(Weight::Regular, LABEL, label));
        let gutter = f64::from(widest.fold(20.0, f32::max)) + 10.0;
        let inner = Rect {
            left: outer.left + gutter,
            bottom: outer.bottom - 24.0,
            ..outer
        };
        Self { x, y, inner, sizes }
    }

    /// Where a moment and a size lie, in logical pixels.
    pub(crate) fn at(&self, (seconds, bytes): (f64, f64)) -> (f64, f64) {
        let Rect {
            left,
            top,
            right,
            bottom,
        } = self.inner;
        (
            left + (seconds - self.x.0) / (self.x.1 - self.x.0) * (right - left),
            bottom - (bytes - self.y.0) / (self.y.1 - self.y.0) * (bottom - top),
        )
    }

    /// The grid, which is horizontal only, and the labels of both axes.
    pub(crate) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>) -> Result<(), Error> {
        let inner = self.inner;
        let how = Lettering::regular(LABEL, palette::MUTED);
        for (value, label) in &self.sizes {
            let y = self.at((self.x.0, *value)).1;
            canvas.line(&[(inner.left, y), (inner.right, y)], palette::GRID, 1.0)?;
            let how = how.at(HPos::Right, VPos::Center);
            canvas.text(label, inner.left - 8.0, y, how)?;
        }
        let floor = [(inner.left, inner.bottom), (inner.right, inner.bottom)];
        canvas.line(&floor, palette::MUTED, 1.0)?;
        for (value, label) in
            ticks::times(self.x.0, self.x.1, count((inner.right - inner.left) / 85.0))
        {
            let x = self.at((value, self.y.0)).0;
            let tick = [(x, inner.bottom), (x, inner.bottom + 5.0)];
            canvas.line(&tick, palette::MUTED, 1.0)?;
            // The label of a tick at the right edge would stand beyond it.
            let half = f64::from(canvas.fonts().width(Weight::Regular, LABEL, &label)) / 2.0;
            let x = x.min(inner.right - half).max(inner.left - 8.0 + half);
            let how = how.at(HPos::Center, VPos::Top);
            canvas.text(&label, x, inner.bottom + 9.0, how)?;
        }
        Ok(())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates"
)]
fn count(amount: f64) -> usize {
    (amount as usize).max(2)
}

/// A chart without a sample says so.
pub(crate) fn nothing<B: DrawingBackend>(canvas: &Canvas<'_, B>, inner: Rect) -> Result<(), Error> {
    canvas.line(
        &[(inner.left, inner.bottom), (inner.right, inner.bottom)],
        palette::GRID,
        1.0,
    )?;
    let how = Lettering::regular(15.0, palette::MUTED).at(HPos::Center, VPos::Center);
    let middle = (
        inner.left.midpoint(inner.right),
        inner.top.midpoint(inner.bottom),
    );
    canvas.text("no sample was taken", middle.0, middle.1, how)
}
