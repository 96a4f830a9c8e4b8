//! The report as one page that opens from disk.
//!
//! One file, no script, no network: a Content-Security-Policy forbids both, so that even an escape
//! that is missing somewhere could fetch nothing. The charts are SVG drawn by the code that paints the
//! picture; light and dark follow the reader's system, and a narrow screen gets a chart of its own.
//! The report's JSON is embedded for machines.
//!
//! Everything that comes from the target passes through [`crate::escape::html`] ([`text`], [`short`]).

pub(crate) mod chart;
mod heap;
mod reasoning;
mod sections;
pub(crate) mod stacks;
pub(crate) mod summary;
pub(crate) mod table;

use crate::{Error, escape, sentences};
use memtide_model::Findings;
use memtide_model::report::Report;

const STYLE: &str = include_str!("../../assets/page.css");

/// What the page may do: show its own style, nothing else.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The report as one HTML file.
pub fn render(findings: &Findings) -> Result<String, Error> {
    let report = &findings.report;
    let title = format!(
        "{}: {}",
        sentences::target(report),
        report.verdict.kind.words()
    );
    let style = report
        .stacks
        .as_ref()
        .map_or_else(String::new, |_| crate::flamegraph::style_sheet());
    let mut body = summary::first_screen(findings)?;
    body.push_str(&stacks::section(report));
    body.push_str(&heap::section(report));
    body.push_str(&sections::all(report));
    let data = crate::json::compact(report);
    Ok(page(
        &title,
        &style,
        &body,
        &footer(report),
        ("memtide-report", &data),
    ))
}

/// A page: its title, what it adds to the style sheet, what stands in it and under it, and its data as
/// JSON with the element's id. All but title and data are markup of this crate.
pub(crate) fn page(
    title: &str,
    style: &str,
    body: &str,
    footer: &str,
    (id, data): (&str, &str),
) -> String {
    // A script element of that type is data: no browser runs it.
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"generator\" content=\"memtide\">\n<title>{}</title>\n<style>\n{STYLE}{style}</style>\n\
         </head>\n<body>\n<main>\n{body}</main>\n{footer}\
         <script type=\"application/json\" id=\"{id}\">{}</script>\n</body>\n</html>\n",
        short(title),
        escape::json_in_html(data)
    )
}

/// The longest sentence that is shown in full, in characters.
const SENTENCE: usize = 600;

/// A sentence, made harmless.
pub(crate) fn text(sentence: &str) -> String {
    escape::html(&escape::clip(sentence, SENTENCE))
}

/// A name, a path or a number, made harmless.
pub(crate) fn short(name: &str) -> String {
    escape::html(&escape::name(name))
}

fn footer(report: &Report) -> String {
    let file = match report.recording.file.as_str() {
        "" => String::new(),
        file => format!(" The recording is <code>{}</code>.", text(file)),
    };
    format!(
        "<footer>\n<p>Made by memtide from {}, started {}.{file} This page holds the report as JSON \
         ({}), in the element <code>memtide-report</code>.</p>\n</footer>\n",
        text(&sentences::window(report)),
        short(&sentences::started(report)),
        short(&report.schema)
    )
}
