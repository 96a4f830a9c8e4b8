//! Tables and sections of Markdown.

use std::fmt::Write as _;

/// A table; every row has as many cells as the head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|&cell| cell.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().collect();
        row.resize(self.head.len(), String::new());
        self.rows.push(row);
    }

    /// As Markdown, with an empty line behind it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |cells: &[String]| {
            let escaped: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| {} |", escaped.join(" | "));
        };
        line(&self.head);
        line(&vec!["---".to_owned(); self.head.len()]);
        for row in &self.rows {
            line(row);
        }
        text.push('\n');
        text
    }
}

/// A heading, a sentence or two on what stands below it, and that.
pub(crate) fn section(heading: &str, words: &str, body: &str) -> String {
    format!("## {heading}\n\n{words}\n\n{body}")
}

/// A share as a percentage.
pub(crate) fn percent(value: f64) -> String {
    format!("{:.1} %", 100.0 * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_filled_and_bars_escaped() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["x|y".to_owned()]);
        assert_eq!(table.text(), "| a | b |\n| --- | --- |\n| x\\|y |  |\n\n");
    }
}
