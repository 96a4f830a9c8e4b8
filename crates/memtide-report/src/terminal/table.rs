//! The one table printer. It measures the width and drops whole columns, those that matter least
//! first; it never cuts a number, and of the names only the first column's where nothing else helps.

use super::style::{Ink, Tone, columns, cut};

/// Spaces between two columns.
const GAP: usize = 2;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its heading.
    pub(crate) title: &'static str,
    /// Numbers stand at the right edge, words at the left.
    pub(crate) right: bool,
    /// What is dropped first: the highest. 0 is never dropped.
    pub(crate) rank: u8,
}

/// A column of words.
pub(crate) const fn words(title: &'static str, rank: u8) -> Column {
    Column {
        title,
        right: false,
        rank,
    }
}

/// A column of numbers.
pub(crate) const fn numbers(title: &'static str, rank: u8) -> Column {
    Column {
        title,
        right: true,
        rank,
    }
}

/// A table that is being filled.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<(Tone, Vec<String>)>,
    rules: Vec<usize>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// Adds a row; missing cells are empty.
    pub(crate) fn row(&mut self, tone: Tone, cells: impl IntoIterator<Item = String>) {
        self.rows.push((tone, cells.into_iter().collect()));
    }

    /// Draws a line above the next row.
    pub(crate) fn rule(&mut self) {
        self.rules.push(self.rows.len());
    }

    /// True while there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, each at most `width` columns wide and without spaces at its end.
    pub(crate) fn lines(&self, width: usize, ink: Ink) -> Vec<String> {
        let mut widths = self.natural_widths();
        let shown = self.fit(&mut widths, width);
        let titles: Vec<_> = self
            .columns
            .iter()
            .map(|column| column.title.to_owned())
            .collect();
        let mut lines = vec![ink.paint(Tone::Faint, &self.line(&shown, &widths, &titles))];
        let total = total(&shown, &widths);
        for (index, (tone, cells)) in self.rows.iter().enumerate() {
            if self.rules.contains(&index) {
                lines.push(ink.paint(Tone::Faint, &"─".repeat(total)));
            }
            lines.push(ink.paint(*tone, &self.line(&shown, &widths, cells)));
        }
        lines
    }

    fn natural_widths(&self) -> Vec<usize> {
        (0..self.columns.len())
            .map(|index| {
                let cells = self.rows.iter().filter_map(|(_, cells)| cells.get(index));
                let widest = cells.map(|cell| columns(cell)).max().unwrap_or(0);
                widest.max(columns(self.columns[index].title))
            })
            .collect()
    }

    /// Which columns fit; the first is narrowed where those of rank 0 alone are too wide.
    fn fit(&self, widths: &mut [usize], width: usize) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        while total(&shown, widths) > width {
            let last = shown
                .iter()
                .copied()
                .filter(|&index| self.columns[index].rank > 0)
                .max_by_key(|&index| self.columns[index].rank);
            let Some(last) = last else {
                let excess = total(&shown, widths) - width;
                if let Some(first) = widths.first_mut() {
                    *first = first.saturating_sub(excess).max(8);
                }
                break;
            };
            shown.retain(|&index| index != last);
        }
        shown
    }

    fn line(&self, shown: &[usize], widths: &[usize], cells: &[String]) -> String {
        let mut line = String::new();
        for &index in shown {
            let cell = cells
                .get(index)
                .map(|cell| cut(cell, widths[index]))
                .unwrap_or_default();
            let padding = " ".repeat(widths[index].saturating_sub(columns(&cell)));
            if index != shown[0] {
                line.push_str(&" ".repeat(GAP));
            }
            if self.columns[index].right {
                line.push_str(&padding);
                line.push_str(&cell);
            } else {
                line.push_str(&cell);
                line.push_str(&padding);
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

fn total(shown: &[usize], widths: &[usize]) -> usize {
    let cells: usize = shown.iter().map(|&index| widths[index]).sum();
    cells + GAP * shown.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&[words("account", 0), numbers("end", 1), words("shape", 2)]);
        table.row(Tone::Plain, ["heap", "12 MiB", "linear"].map(str::to_owned));
        table.rule();
        table.row(Tone::Strong, ["TOTAL", "120 MiB", ""].map(str::to_owned));
        table
    }

    #[test]
    fn all_columns_stand_where_there_is_room() {
        assert_eq!(
            sample().lines(80, Ink { color: false }),
            [
                "account      end  shape",
                "heap      12 MiB  linear",
                "────────────────────────",
                "TOTAL    120 MiB"
            ]
        );
    }

    #[test]
    fn the_least_important_column_goes_first_and_whole() {
        let lines = sample().lines(20, Ink { color: false });
        assert_eq!(lines[1], "heap      12 MiB");
        let lines = sample().lines(10, Ink { color: false });
        assert_eq!(lines[1], "heap");
    }
}
