//! Text that is sentences under headings, for what has no table and no chart.

use super::{Options, Page};
use crate::terminal::style::Tone;

/// A heading with what is said under it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// One line.
    pub heading: String,
    /// What it comes to, a sentence; empty where there is none.
    pub summary: String,
    /// What it rests on.
    pub facts: Vec<String>,
    /// What to do about it; empty where there is nothing.
    pub advice: String,
}

/// Notes under a title, which is the first line. Ends with a newline; all lines but the headings fit the width.
pub fn render_notes(title: &str, notes: &[Note], warnings: &[String], options: &Options) -> String {
    let mut page = Page::new(options);
    page.sentence("", Tone::Strong, title);
    for note in notes {
        page.heading(&crate::escape::plain(&note.heading));
        if !note.summary.is_empty() {
            page.sentence("", Tone::Alarm, &note.summary);
        }
        for fact in &note.facts {
            page.sentence("- ", Tone::Plain, fact);
        }
        if !note.advice.is_empty() {
            page.sentence("-> ", Tone::Strong, &note.advice);
        }
    }
    if !warnings.is_empty() {
        page.gap();
    }
    for warning in warnings {
        page.sentence("! ", Tone::Alarm, warning);
    }
    page.text()
}
