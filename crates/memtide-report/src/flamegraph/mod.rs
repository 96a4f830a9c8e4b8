//! Flame graphs: which calls hold the memory, or made it grow, at one glance.
//!
//! A box is a function; below it stand the functions that it called, down to those that asked for
//! memory. Its width is bytes. Stacks are merged from the root by function and module ([`tree`]),
//! turned into boxes once ([`layout`]) and drawn by three painters: SVG for a file, SVG within the
//! page, and PNG. [`What::Growth`] is differential: widths are the bytes that are live at the end,
//! colours say how much of them came during the recording (B. Gregg, "Differential Flame Graphs",
//! 2014).
//!
//! Output is deterministic and bounded: what is narrower than a thousandth becomes one `…` box per
//! caller, which says how much is in it. Refuses to leave out what the report does not list: the
//! bytes of stacks beyond its list have a box of their own.

mod color;
mod folded;
mod layout;
mod paint;
mod svg;
mod tree;

use crate::Error;
use memtide_model::report::Report;

pub(crate) use color::style_sheet;
pub(crate) use svg::{inline, key};

/// What the widths of a flame graph are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Live bytes at the end, coloured by how they changed over the recording.
    Growth,
    /// Live bytes at the end.
    Live,
    /// Live bytes at the moment when all live bytes were highest.
    Peak,
    /// Bytes of blocks that were never freed when the program ended, without the suppressed ones.
    NeverFreed,
}

impl What {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Growth, Self::Live, Self::Peak, Self::NeverFreed];

    /// Its name on the command line and in file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Growth => "growth",
            Self::Live => "live",
            Self::Peak => "peak",
            Self::NeverFreed => "never-freed",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.name() == name)
    }

    /// What it shows, as a title.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Growth => "Growth by call stack",
            Self::Live => "Live bytes by call stack",
            Self::Peak => "Bytes at the peak by call stack",
            Self::NeverFreed => "Never freed, by call stack",
        }
    }
}

/// A flame graph as an SVG file of `width` logical pixels (320 to 8,192; other values are taken as
/// the nearest of these). It fits light and dark screens, needs no network and reads without scripts;
/// where they run, a click on a box widens it.
///
/// A report without stacks gives a picture that says so.
pub fn svg(report: &Report, what: What, width: u32) -> String {
    svg::file(report, what, width.clamp(320, 8192))
}

/// The stacks as folded stacks, for other tools: a line for each, functions from the root on
/// separated by `;`, a space, bytes. Sorted; empty where no stack has bytes. Of [`What::Growth`] only
/// the stacks that grew are written, because the format has no negative numbers.
pub fn folded(report: &Report, what: What) -> String {
    folded::render(report, what)
}

/// A flame graph as a PNG of [`crate::png::SIZE`]`.0` times `scale` pixels width and as much height
/// as it needs; `scale` from 0.25 to 8.
///
/// # Errors
///
/// [`Error::Scale`] for another scale; the others where it cannot be painted.
pub fn png(report: &Report, what: What, scale: f32) -> Result<Vec<u8>, Error> {
    paint::render(report, what, scale)
}
