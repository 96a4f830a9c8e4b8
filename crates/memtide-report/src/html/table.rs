//! The one printer of plain tables. Every table has a caption and scopes, for those who hear it.

use super::{short, text};
use crate::escape;
use crate::terminal::table::UNKNOWN;
use std::fmt::Write as _;

/// The longest name that is shown in full when the pointer rests on it, in characters.
const WHOLE_NAME: usize = 4096;

/// A cell of a table.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    value: String,
    /// The whole name, shown when the pointer rests on the short one.
    whole: Option<String>,
}

impl Cell {
    /// True where it says that its value is not known.
    pub(super) fn is_unknown(&self) -> bool {
        self.value == UNKNOWN
    }

    /// Made harmless.
    fn markup(&self) -> String {
        match &self.whole {
            None => short(&self.value),
            Some(whole) => format!(
                "<code title=\"{}\">{}</code>",
                escape::html(&escape::clip(whole, WHOLE_NAME)),
                text(&self.value)
            ),
        }
    }
}

pub(super) fn cell(value: impl Into<String>) -> Cell {
    Cell {
        value: value.into(),
        whole: None,
    }
}

/// A name as code: a short form, and the whole.
pub(super) fn name(shown: &str, whole: &str) -> Cell {
    Cell {
        value: shown.to_owned(),
        whole: Some(whole.to_owned()),
    }
}

/// A column: its heading, and its class in the style sheet.
pub(super) type Head<'a> = (&'a str, &'a str);

/// Classes of columns: numbers stand at the right edge; those that may be left out are hidden on narrow
/// screens.
pub(super) const WORDS: &str = "";
pub(super) const NUMBERS: &str = "n";
pub(super) const OPTIONAL_WORDS: &str = "optional";
pub(super) const OPTIONAL_NUMBERS: &str = "n optional";

/// A table whose first cell of each row names it.
pub(super) fn table(caption: &str, heads: &[Head<'_>], rows: &[Vec<Cell>]) -> String {
    let class = |class: &str| match class {
        "" => String::new(),
        class => format!(" class=\"{class}\""),
    };
    let mut html = format!(
        "<div class=\"scroll\">\n<table>\n<caption>{}</caption>\n<thead><tr>",
        text(caption)
    );
    for (head, kind) in heads {
        let _ = write!(html, "<th scope=\"col\"{}>{head}</th>", class(kind));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for (index, (cell, (_, kind))) in row.iter().zip(heads).enumerate() {
            let value = cell.markup();
            let _ = match index {
                0 => write!(html, "<th scope=\"row\">{value}</th>"),
                _ => write!(html, "<td{}>{value}</td>", class(kind)),
            };
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
    html
}
