//! The one printer of plain tables. Every table has a caption and scopes, for those who hear it.

use super::{short, text};
use crate::escape;
use crate::terminal::table::UNKNOWN;
use std::fmt::Write as _;

/// The longest name that is shown in full when the pointer rests on it, in characters.
const WHOLE_NAME: usize = 4096;

/// A cell of a table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    value: String,
    /// The whole name, shown when the pointer rests on the short one.
    whole: Option<String>,
}

impl Cell {
    /// True where it says that its value is not known.
    fn is_unknown(&self) -> bool {
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

pub(crate) fn cell(value: impl Into<String>) -> Cell {
    Cell {
        value: value.into(),
        whole: None,
    }
}

/// A name as code: a short form, and the whole.
pub(crate) fn name(shown: &str, whole: &str) -> Cell {
    Cell {
        value: shown.to_owned(),
        whole: Some(whole.to_owned()),
    }
}

/// A column: its heading, and its class in the style sheet.
pub(crate) type Head<'a> = (&'a str, &'a str);

/// Classes of columns: numbers stand at the right edge; those that may be left out are hidden on narrow
/// screens.
pub(crate) const WORDS: &str = "";
pub(crate) const NUMBERS: &str = "n";
pub(crate) const OPTIONAL_WORDS: &str = "optional";
pub(crate) const OPTIONAL_NUMBERS: &str = "n optional";

/// A table whose first cell of each row names it.
pub(crate) fn table(caption: &str, heads: &[Head<'_>], rows: &[Vec<Cell>]) -> String {
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

/// Takes out the columns of which no value is known.
pub(crate) fn without_unknown<'a>(
    heads: &[Head<'a>],
    mut rows: Vec<Vec<Cell>>,
) -> (Vec<Head<'a>>, Vec<Vec<Cell>>) {
    let known: Vec<bool> = (0..heads.len())
        .map(|index| {
            let mut cells = rows.iter().filter_map(|row| row.get(index));
            cells.any(|cell| !cell.is_unknown())
        })
        .collect();
    let heads = heads.iter().zip(&known).filter(|(_, known)| **known);
    for row in &mut rows {
        let mut keep = known.iter();
        row.retain(|_| keep.next() == Some(&true));
    }
    (heads.map(|(head, _)| *head).collect(), rows)
}
