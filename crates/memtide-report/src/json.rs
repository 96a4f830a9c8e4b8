//! `memtide.report/1` as text.
//!
//! The types of [`memtide_model::report`] are the schema; this module only writes them: indented by
//! two, keys in their order, numbers that are not finite as `null`, one newline at the end.

use memtide_model::Report;

/// The report as pretty JSON.
///
/// # Panics
///
/// Never: a report's types always serialise.
pub fn render(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report)
        .expect("a report has string keys only and its types' serialisation never fails");
    text.push('\n');
    text
}

/// The report as JSON on one line, to be embedded.
pub(crate) fn compact(report: &Report) -> String {
    serde_json::to_string(report)
        .expect("a report has string keys only and its types' serialisation never fails")
}
