//! The kernel's list of processes: a line of column names, and a row each.
//!
//! Columns came and went (`nr_ptes`, `nr_pmds`, `pgtables_bytes`, the three parts of `rss` since 6.8), so
//! they are read by their names. The name of a process is what follows the last number; it may hold blanks.

use super::bytes::{decimal, signed, strip, words};
use crate::kill::Task;
use memtide_model::Bytes;
use memtide_model::text::printable;

/// What a column holds, as far as it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Uid,
    TotalVm,
    Rss,
    Swap,
    Adj,
    Other,
}

/// The columns after the number of the process, without its name at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns(Vec<Column>);

/// A row, sizes still in pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) total_vm: u64,
    pub(crate) rss: u64,
    pub(crate) swap: u64,
    pub(crate) oom_score_adj: i64,
    pub(crate) name: String,
}

impl Row {
    /// With pages of that size.
    pub(crate) fn into_task(self, page: Bytes) -> Task {
        let bytes = |pages: u64| Bytes(pages.saturating_mul(page.0));
        Task {
            pid: self.pid,
            uid: self.uid,
            name: self.name,
            rss: bytes(self.rss),
            total_vm: bytes(self.total_vm),
            swap: bytes(self.swap),
            oom_score_adj: self.oom_score_adj,
        }
    }
}

/// `[ pid ]   uid  tgid total_vm      rss … name`.
pub(crate) fn columns(text: &[u8]) -> Option<Columns> {
    let mut names = words(text);
    let head: Vec<&[u8]> = names.by_ref().take(3).collect();
    if head != [&b"["[..], b"pid", b"]"] {
        return None;
    }
    let mut columns: Vec<Column> = Vec::new();
    let mut ended = false;
    for name in names.take(32) {
        ended = name == b"name";
        if ended {
            break;
        }
        columns.push(match name {
            b"uid" => Column::Uid,
            b"total_vm" => Column::TotalVm,
            b"rss" => Column::Rss,
            b"swapents" => Column::Swap,
            b"oom_score_adj" => Column::Adj,
            _ => Column::Other,
        });
    }
    (ended && columns.contains(&Column::Rss)).then_some(Columns(columns))
}

/// Whether it may be a row: `[ 1234] 0 …`.
pub(crate) fn looks_like_row(text: &[u8]) -> bool {
    number_in_brackets(text).is_some_and(|(_, rest)| {
        decimal(rest.trim_ascii_start()).is_some() && rest.starts_with(b" ")
    })
}

fn number_in_brackets(text: &[u8]) -> Option<(u32, &[u8])> {
    let (pid, rest) = decimal(strip(text, b"[")?.trim_ascii_start())?;
    Some((
        u32::try_from(pid).ok()?,
        strip(rest.trim_ascii_start(), b"]")?,
    ))
}

impl Columns {
    /// A row of this table; `None` where it does not fit.
    pub(crate) fn row(&self, text: &[u8]) -> Option<Row> {
        let (pid, mut rest) = number_in_brackets(text)?;
        let mut row = Row {
            pid,
            uid: 0,
            total_vm: 0,
            rss: 0,
            swap: 0,
            oom_score_adj: 0,
            name: String::new(),
        };
        for column in &self.0 {
            let (value, after) = signed(rest.trim_ascii_start())?;
            rest = after;
            let size = u64::try_from(value);
            match column {
                Column::Uid => row.uid = u32::try_from(value).ok()?,
                Column::TotalVm => row.total_vm = size.ok()?,
                Column::Rss => row.rss = size.ok()?,
                Column::Swap => row.swap = size.ok()?,
                Column::Adj => row.oom_score_adj = value,
                Column::Other => {}
            }
        }
        row.name = printable(strip(rest, b" ")?);
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_by_the_names_of_their_columns() {
        let old =
            columns(b"[ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name")
                .unwrap();
        let row = old
            .row(b"[33421]  1000 33421     1826      105       8        7           -17 npm start")
            .unwrap();
        assert_eq!(
            (row.pid, row.uid, row.total_vm, row.rss),
            (33_421, 1000, 1826, 105)
        );
        assert_eq!(
            (row.swap, row.oom_score_adj, row.name.as_str()),
            (7, -17, "npm start")
        );
        let new = columns(
            b"[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name",
        )
        .unwrap();
        let row = new
            .row(b"[  29602]     0 29602    13983    13463    13184      279         0   151552        0             0 leaky")
            .unwrap();
        assert_eq!((row.rss, row.swap, row.name.as_str()), (13_463, 0, "leaky"));
        assert_eq!(new.row(b"[  29602]     0 29602    13983"), None);
        assert_eq!(columns(b"[ pid ] uid tgid"), None);
        assert!(looks_like_row(b"[ 483]     0   483"));
        assert!(!looks_like_row(b"[drm] 0"));
    }
}
