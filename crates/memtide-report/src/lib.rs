//! Terminal, JSON, PNG and HTML from one report.
//!
//! Every function here is pure: it is given [`memtide_model::Findings`] (or what is known before a
//! recording) and returns text or bytes. Width, colour and scale are parameters.
//!
//! | what | where |
//! | --- | --- |
//! | what is seen before any waiting | [`preview::render`] |
//! | one line of progress | [`live::line`] |
//! | the verdict and the ledger as text | [`terminal::render`] |
//! | what a heap holds, as text | [`terminal::render_inspect`] |
//! | `memtide.report/1` | [`json::render`] |
//! | a picture | [`png::render`] |
//! | a page that opens from disk | [`html::render`] |
//! | allocators or recordings side by side, in all four forms | [`comparison`] |
//! | the processes of a machine, as text and JSON | [`processes`] |
//! | who allocated it, as a flame graph or folded stacks | [`flamegraph`] |
//!
//! This crate refuses to look at files, clocks, the environment or the terminal, and to judge: every
//! sentence about the cause comes from the analyzer. Names and paths of the target are foreign text
//! in all four outputs; [`escape`] is the one place that makes them harmless.
#![forbid(unsafe_code)]

mod allocations;
mod chart;
pub mod comparison;
mod error;
pub mod escape;
mod family;
pub mod flamegraph;
mod frames;
mod heap;
pub mod html;
pub mod json;
pub mod live;
mod names;
pub mod png;
pub mod preview;
pub mod processes;
mod reasoning;
mod sentences;
pub mod terminal;

pub use error::Error;
