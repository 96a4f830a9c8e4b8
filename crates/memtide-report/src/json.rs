//! `memtide.report/1` as text.
//!
//! The types of [`memtide_model::report`] are the schema; this module only writes them: indented by
//! two, keys in their order, numbers that are not finite as `null`, one newline at the end.

use memtide_model::Report;
use serde::Serialize;

/// The report as pretty JSON.
///
/// # Panics
///
/// Never: a report's types always serialise.
pub fn render(report: &Report) -> String {
    pretty(report)
}

/// A type of the model as indented JSON.
pub(crate) fn pretty(data: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(data).expect(INFALLIBLE);
    text.push('\n');
    text
}

/// The same on one line, to be embedded.
pub(crate) fn compact(data: &impl Serialize) -> String {
    serde_json::to_string(data).expect(INFALLIBLE)
}

const INFALLIBLE: &str = "the model has string keys only and its types' serialisation never fails";
