//! All processes as a tree, with the memory of each and of all below it.
//!
//! Threads of the kernel are left out. Children that look alike and have none themselves are one line.

use super::{COMMAND, words};
use crate::terminal::Page;
use crate::terminal::style::Tone;
use crate::terminal::table::{Table, long_words, numbers, words as column};
use memtide_model::{ProcessRow, ProcessesReport, text};
use std::collections::{HashMap, HashSet};

/// Alike children from which on they are one line.
const ALIKE: usize = 4;
/// Deeper than this the indentation grows no more.
const DEEPEST: usize = 12;

pub(super) fn section(page: &mut Page, report: &ProcessesReport) {
    page.heading("The tree");
    let kernel = |row: &&ProcessRow| row.pid != 2 && row.ppid != 2;
    let rows: Vec<&ProcessRow> = report.processes.iter().filter(kernel).collect();
    let mut table = Table::new(&[
        numbers("pid", 0),
        column("user", 3),
        column("state", 4),
        numbers("own", 2),
        numbers("with all below", 1),
        long_words("command", COMMAND),
    ]);
    for line in lines(&rows) {
        table.row(Tone::Plain, cells(&line));
    }
    page.lines(table.lines(page.width(), page.ink()));
    let proportional = rows.iter().filter(|row| row.pss_bytes.is_some()).count();
    let resident = rows
        .iter()
        .filter(|row| row.pss_bytes.is_none() && row.rss_bytes > 0)
        .count();
    let words = match (proportional, resident) {
        (_, 0) => "memory is PSS, which counts shared pages once".to_owned(),
        (0, _) => {
            "memory is RSS, which counts shared pages in every process that maps them".to_owned()
        }
        (pss, rss) => format!(
            "memory is PSS in {pss} rows, and RSS in {rss} whose PSS may not be read, which counts shared \
             pages more than once"
        ),
    };
    page.sentence("", Tone::Faint, &words);
}

struct Line<'a> {
    row: &'a ProcessRow,
    depth: usize,
    /// How many alike it stands for.
    count: usize,
    own: u64,
}

fn own(row: &ProcessRow) -> u64 {
    row.pss_bytes.unwrap_or(row.rss_bytes)
}

/// The lines from the roots down, without recursion: a chain of forks may be as long as there are pids.
fn lines<'a>(rows: &[&'a ProcessRow]) -> Vec<Line<'a>> {
    let present: HashSet<u32> = rows.iter().map(|row| row.pid).collect();
    let mut below: HashMap<u32, Vec<&ProcessRow>> = HashMap::new();
    let mut stack = Vec::new();
    for row in rows {
        if present.contains(&row.ppid) && row.ppid != row.pid {
            below.entry(row.ppid).or_default().push(row);
        } else {
            stack.push((*row, 0));
        }
    }
    stack.reverse();
    let mut lines = Vec::new();
    while let Some((row, depth)) = stack.pop() {
        let children = below.remove(&row.pid).unwrap_or_default();
        let count = 1;
        lines.push(Line {
            row,
            depth,
            count,
            own: own(row),
        });
        let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
        for child in &children {
            *counts.entry(looks(child)).or_insert(0) += 1;
        }
        let (alike, others): (Vec<&ProcessRow>, Vec<&ProcessRow>) =
            children.into_iter().partition(|child| {
                let many = counts
                    .get(&looks(child))
                    .is_some_and(|&count| count >= ALIKE);
                many && !below.contains_key(&child.pid)
            });
        lines.extend(together(&alike, depth + 1));
        stack.extend(others.into_iter().rev().map(|child| (child, depth + 1)));
    }
    lines
}

fn looks(row: &ProcessRow) -> (&str, &str) {
    (&row.name, &row.state)
}

fn together<'a>(alike: &[&'a ProcessRow], depth: usize) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    for row in alike.iter().copied() {
        match lines.iter_mut().find(|line| looks(line.row) == looks(row)) {
            Some(line) => {
                line.count += 1;
                line.own += own(row);
            }
            None => lines.push(Line {
                row,
                depth,
                count: 1,
                own: own(row),
            }),
        }
    }
    lines
}

fn cells(line: &Line<'_>) -> [String; 6] {
    let Line {
        row,
        depth,
        count,
        own,
    } = line;
    let indentation = "  ".repeat((*depth).min(DEEPEST));
    let (command, tree) = if *count > 1 {
        (
            format!("{count} × {}", words::command(&[], &row.name)),
            *own,
        )
    } else {
        (words::command(&row.cmdline, &row.name), row.tree_bytes)
    };
    [
        words::pid(row),
        words::user(row.user.as_deref(), row.uid),
        row.state.clone(),
        text::bytes(*own as f64),
        text::bytes(tree as f64),
        format!("{indentation}{command}"),
    ]
}
