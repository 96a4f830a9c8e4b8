//! The one chart: the ledger stacked over time, RSS on top, trend, forecast and limit.
//!
//! It is made in two steps. [`plan`] turns findings into what is to be seen, in seconds and bytes:
//! pure numbers that tests can look at. [`paint`] puts a plan onto any plotters backend: the picture's
//! own one on tiny-skia and plotters' SVG for the page.
//!
//! plotters' coordinates are whole pixels, too coarse for a smooth line. So every canvas is
//! [`SUBPIXELS`] times finer than what is shown, and each backend scales back.

pub(crate) mod axes;
pub(crate) mod canvas;
pub(crate) mod font;
pub(crate) mod legend;
pub(crate) mod paint;
pub(crate) mod palette;
pub(crate) mod plan;
mod series;
mod stack;
pub(crate) mod ticks;

/// Units of the canvas per logical pixel.
pub(crate) const SUBPIXELS: u32 = 8;
