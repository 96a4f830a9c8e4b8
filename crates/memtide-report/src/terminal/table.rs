//! The one table printer. It measures the width and drops whole columns, those that matter least
//! first; it never cuts a number, and of the names only those of one column: the first one's at their end where nothing
//! else helps, or those of [`long_words`] in their middle before a column is dropped.

use super::style::{Ink, Tone, columns, cut};
use crate::names;
use std::borrow::Cow;

/// Spaces between two columns.
const GAP: usize = 2;

/// A column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Its heading.
    pub(crate) title: Cow<'static, str>,
    /// Numbers stand at the right edge, words at the left.
    pub(crate) right: bool,
    /// What is dropped first: the highest. 0 is never dropped.
    pub(crate) rank: u8,
    /// To how many terminal columns its cells are shortened in their middle, before a column is
    /// dropped; `None` for all columns but [`long_words`].
    least: Option<usize>,
}

/// What stands in a cell whose value is not known.
pub(crate) const UNKNOWN: &str = "-";

/// The column of names that may be longer than any line, one at most; `least` of them is always shown.
pub(crate) fn long_words(title: impl Into<Cow<'static, str>>, least: usize) -> Column {
    Column {
        title: title.into(),
        right: false,
        rank: 0,
        least: Some(least),
    }
}

/// A column of words.
pub(crate) fn words(title: impl Into<Cow<'static, str>>, rank: u8) -> Column {
    Column {
        title: title.into(),
        right: false,
        rank,
        least: None,
    }
}

/// A column of numbers.
pub(crate) fn numbers(title: impl Into<Cow<'static, str>>, rank: u8) -> Column {
    Column {
        title: title.into(),
        right: true,
        rank,
        least: None,
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

    /// Takes out the columns of which no value is known.
    pub(crate) fn without_unknown_columns(mut self) -> Self {
        let is_known = |index: usize| {
            let mut cells = self.rows.iter().map(|(_, cells)| cells.get(index));
            cells.any(|cell| cell.is_some_and(|cell| cell != UNKNOWN))
        };
        let known: Vec<bool> = (0..self.columns.len()).map(is_known).collect();
        let mut keep = known.iter();
        self.columns.retain(|_| keep.next() == Some(&true));
        for (_, cells) in &mut self.rows {
            let mut keep = known.iter();
            cells.retain(|_| keep.next() == Some(&true));
        }
        self
    }

    /// The lines, each at most `width` columns wide and without spaces at its end.
    pub(crate) fn lines(&self, width: usize, ink: Ink) -> Vec<String> {
        let mut widths = self.natural_widths();
        let shown = self.fit(&mut widths, width);
        let titles: Vec<_> = self
            .columns
            .iter()
            .map(|column| column.title.clone().into_owned())
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

    /// True if all columns fit, none of them cut.
    pub(crate) fn fits(&self, width: usize) -> bool {
        let shown: Vec<usize> = (0..self.columns.len()).collect();
        total(&shown, &self.natural_widths()) <= width
    }

    fn natural_widths(&self) -> Vec<usize> {
        (0..self.columns.len())
            .map(|index| {
                let cells = self.rows.iter().filter_map(|(_, cells)| cells.get(index));
                let widest = cells.map(|cell| columns(cell)).max().unwrap_or(0);
                widest.max(columns(&self.columns[index].title))
            })
            .collect()
    }

    /// Which columns fit; the first is narrowed where those of rank 0 alone are too wide, and before
    /// others are dropped where it may be.
    fn fit(&self, widths: &mut [usize], width: usize) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        self.shorten_long(&shown, widths, width);
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
            self.shorten_long(&shown, widths, width);
        }
        shown
    }

    /// Gives the column of long words what the others leave, if there is one.
    fn shorten_long(&self, shown: &[usize], widths: &mut [usize], width: usize) {
        let mut lengths = self.columns.iter().map(|column| column.least);
        let Some(long) = lengths.position(|least| least.is_some()) else {
            return;
        };
        let least = self.columns[long].least.unwrap_or_default();
        let natural = self.natural_widths()[long];
        widths[long] = 0;
        let others = total(shown, widths);
        widths[long] = natural.min(width.saturating_sub(others).max(least));
    }

    fn line(&self, shown: &[usize], widths: &[usize], cells: &[String]) -> String {
        let mut line = String::new();
        for &index in shown {
            let cell = cells
                .get(index)
                .map(|cell| self.cut(index, cell, widths[index]))
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

    fn cut(&self, index: usize, cell: &str, width: usize) -> String {
        match self.columns[index].least {
            Some(_) => names::cut(cell, |text| columns(text) <= width).unwrap_or_default(),
            None => cut(cell, width),
        }
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

    #[test]
    fn long_names_lose_their_middle_before_a_column_goes() {
        let mut table = Table::new(&[long_words("class", 12), numbers("n", 1), numbers("-", 0)]);
        let cells = ["shop::Registry<shop::Cart>::Node", "12", "+3 MiB"];
        table.row(Tone::Plain, cells.map(str::to_owned));
        let at = |width| table.lines(width, Ink { color: false })[1].clone();
        assert_eq!(at(60), "shop::Registry<shop::Cart>::Node  12  +3 MiB");
        assert_eq!(at(30), "shop::…Cart>::Node  12  +3 MiB");
        assert_eq!(at(22), "shop:…t>::Node  +3 MiB");
    }

    #[test]
    fn long_words_may_stand_in_the_last_column() {
        let mut table = Table::new(&[
            numbers("pid", 0),
            words("user", 1),
            long_words("command", 12),
        ]);
        let cells = ["4182", "alice", "python3 worker.py --queue jobs"];
        table.row(Tone::Plain, cells.map(str::to_owned));
        let at = |width| table.lines(width, Ink { color: false })[1].clone();
        assert_eq!(at(60), "4182  alice  python3 worker.py --queue jobs");
        assert_eq!(at(30), "4182  alice  python…queue jobs");
        assert_eq!(at(20), "4182  pytho…eue jobs");
    }

    #[test]
    fn columns_without_a_value_can_be_taken_out() {
        let mut table = Table::new(&[words("arena", 0), numbers("growth", 1), numbers("live", 0)]);
        table.row(Tone::Plain, ["main", UNKNOWN, "12 MiB"].map(str::to_owned));
        table.row(Tone::Plain, ["2", UNKNOWN, "1 MiB"].map(str::to_owned));
        let lines = table
            .without_unknown_columns()
            .lines(80, Ink { color: false });
        assert_eq!(lines, ["arena    live", "main   12 MiB", "2       1 MiB"]);
    }
}
