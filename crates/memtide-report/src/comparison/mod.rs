//! The report of a comparison: the same work under several allocators, or several recordings.
//!
//! ```text
//! Comparison ─► words, sheets (what is said, once) ─► text, page
//!            └► courses, panels (what is drawn)    ─► page, picture
//! ```
//!
//! The answer comes first, then what it rests on, then every number. Nothing is judged here: which arm
//! to take, whether a difference is shown and whether growth stops come with the [`Comparison`]. Names
//! of arms, files and commands are foreign text like those of a target ([`crate::escape`]).

mod courses;
mod page;
mod panels;
mod picture;
mod sheets;
mod terminal;
mod words;

use crate::Error;
use crate::terminal::Options;
use memtide_model::comparison::Comparison;

/// Arms that are drawn and whose colours are told apart; the tables have all of them.
const ARMS: usize = 16;

/// That the charts do not show all arms; `None` where they do.
fn left_out(comparison: &Comparison) -> Option<String> {
    let all = comparison.arms.len();
    (all > ARMS).then(|| format!("the first {ARMS} of {all} are drawn"))
}

/// The comparison as text for a terminal, a log or a mail. With [`Options::explain`] every run has a row,
/// and every arm its environment. Ends with a newline; no line but those that are there to be copied is
/// wider than the terminal.
pub fn text(comparison: &Comparison, options: &Options) -> String {
    terminal::render(comparison, options)
}

/// `memtide.compare/1` as indented JSON; numbers that are not finite are `null`.
pub fn json(comparison: &Comparison) -> String {
    crate::json::pretty(comparison)
}

/// The comparison as one HTML file that opens from disk, without scripts and without the network.
///
/// # Errors
///
/// [`Error::Font`] and [`Error::Compose`], where a chart cannot be drawn.
pub fn html(comparison: &Comparison) -> Result<String, Error> {
    page::render(comparison)
}

/// The comparison as a PNG, [`crate::png::SIZE`]`.0` times `scale` pixels wide and as high as its arms
/// need; `scale` from 0.25 to 8.
///
/// # Errors
///
/// [`Error::Scale`] for another scale; the others where it cannot be painted.
pub fn png(comparison: &Comparison, scale: f32) -> Result<Vec<u8>, Error> {
    picture::render(comparison, scale)
}
