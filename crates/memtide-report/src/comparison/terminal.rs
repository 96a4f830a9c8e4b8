//! The comparison as text: the answer, why, what to do, the tables, and how it was judged.
//!
//! Names of arms that are too long for a table lose their middle, but never so much of it that two
//! of them read the same. What is there to be copied, the environment, is never broken.

use super::sheets::{self, Sheet};
use super::words;
use crate::terminal::style::{Tone, columns};
use crate::terminal::table::{self, Table};
use crate::terminal::{Options, Page, stacks};
use crate::{escape, names};
use memtide_model::comparison::{Arm, Compared, Comparison, ComparisonKind, StackDifference};
use memtide_model::text;

/// Stacks of a recording that are shown in short and with `--explain`.
const SHORT: usize = 3;
const LONG: usize = 20;

/// Characters of a recording's path, which is there to be copied: a hostile one still ends.
const LONGEST_PATH: usize = 400;

/// The least room for the names of arms.
const NAMES: usize = 16;

/// Columns that a recording's growth and rate take in the ledger beside ledger, and those of its accounts.
const LEDGER: usize = 26;
const ACCOUNT: usize = 13;

/// See [`super::text`].
pub(super) fn render(comparison: &Comparison, options: &Options) -> String {
    let mut page = Page::new(options);
    let verdict = &comparison.verdict;
    page.sentence("", tone(verdict.kind), &verdict.summary);
    page.gap();
    page.sentence("", Tone::Faint, &words::subject(comparison));
    if let Some(load) = &comparison.load {
        let load = format!("load: {}", escape::name(load));
        page.sentence("", Tone::Faint, &load);
    }
    recordings(&mut page, comparison);
    list(&mut page, "Evidence", "- ", &verdict.evidence);
    advice(&mut page, comparison, options.explain);
    for sheet in sheets::of_arms(comparison) {
        page.heading(sheet.title);
        print(&mut page, &sheet);
    }
    ledgers(&mut page, comparison);
    for (index, arm) in comparison.arms.iter().enumerate() {
        differences(&mut page, comparison, index, arm, options.explain);
    }
    if options.explain && comparison.of == Compared::Allocators && !comparison.arms.is_empty() {
        let sheet = sheets::of_runs(comparison);
        page.heading(sheet.title);
        print(&mut page, &sheet);
    }
    warnings(&mut page, comparison);
    page.gap();
    page.sentence("judged  ", Tone::Faint, &words::statistics(comparison));
    if comparison.of == Compared::Allocators {
        page.sentence("cost    ", Tone::Faint, &words::overhead(comparison));
    }
    page.text()
}

const fn tone(kind: ComparisonKind) -> Tone {
    match kind {
        ComparisonKind::Take | ComparisonKind::Better => Tone::Calm,
        ComparisonKind::NoneHelps | ComparisonKind::Worse => Tone::Alarm,
        ComparisonKind::NoDifference | ComparisonKind::Undetermined => Tone::Strong,
    }
}

fn list(page: &mut Page, title: &str, mark: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    page.heading(title);
    for item in items {
        page.sentence(mark, Tone::Plain, item);
    }
}

/// The letters of recordings, their files, and what was found in each alone.
fn recordings(page: &mut Page, comparison: &Comparison) {
    if comparison.of != Compared::Recordings {
        return;
    }
    page.gap();
    for (index, arm) in comparison.arms.iter().enumerate() {
        let mark = format!("{}  ", words::letter(index));
        page.verbatim(&mark, &escape::clip(&arm.arm, LONGEST_PATH));
        if let Some(verdict) = &arm.verdict {
            page.sentence(&" ".repeat(columns(&mark)), Tone::Plain, verdict);
        }
    }
}

/// What to do, and with `all` the environment of every arm.
fn advice(page: &mut Page, comparison: &Comparison, all: bool) {
    let advice = &comparison.verdict.advice;
    if !advice.is_empty() {
        page.heading("What to do next");
    }
    for (number, advice) in advice.iter().enumerate() {
        page.sentence(&format!("{}. ", number + 1), Tone::Plain, advice);
    }
    if !all {
        return;
    }
    for arm in words::environments(comparison) {
        page.gap();
        page.sentence("", Tone::Plain, &format!("the environment of {}:", arm.arm));
        for line in &arm.environment {
            page.verbatim("    ", line);
        }
    }
}

fn print(page: &mut Page, sheet: &Sheet) {
    let firsts = sheet.rows.iter().filter_map(|(_, cells)| cells.first());
    let least = least_distinct(&firsts.map(String::as_str).collect::<Vec<_>>());
    let columns = sheet.heads.iter().enumerate().map(|(index, head)| {
        let title = escape::plain(&head.title).into_owned();
        match (index, head.number) {
            (0, _) => table::long_words(title, least),
            (_, true) => table::numbers(title, head.rank),
            (_, false) => table::words(title, head.rank),
        }
    });
    let mut table = Table::new(&columns.collect::<Vec<_>>());
    for (chosen, cells) in &sheet.rows {
        let tone = if *chosen { Tone::Strong } else { Tone::Plain };
        table.row(tone, cells.iter().map(|cell| escape::name(cell)));
    }
    let lines = table.without_unknown_columns();
    page.lines(lines.lines(page.width(), page.ink()));
}

/// In how many columns the names still differ from one another when they are cut.
fn least_distinct(all: &[&str]) -> usize {
    let mut all = all.to_vec();
    all.sort_unstable();
    all.dedup();
    let longest = all.iter().map(|name| columns(name)).max().unwrap_or(0);
    let cut = |name: &str, width: usize| names::cut(name, |text| columns(text) <= width);
    let distinct = |width: usize| {
        let mut shown: Vec<_> = all.iter().map(|name| cut(name, width)).collect();
        shown.sort();
        let before = shown.len();
        shown.dedup();
        shown.len() == before
    };
    (NAMES..longest.min(60))
        .find(|width| distinct(*width))
        .unwrap_or(longest.clamp(NAMES, 60))
}

/// As many ledgers beside each other as the width allows, and the next ones below.
fn ledgers(page: &mut Page, comparison: &Comparison) {
    let with: Vec<usize> = (0..comparison.arms.len())
        .filter(|index| {
            let arm = comparison.arms.get(*index);
            arm.is_some_and(|arm| !arm.ledger.is_empty())
        })
        .collect();
    let abreast = (page.width().saturating_sub(ACCOUNT) / LEDGER).max(1);
    for (part, arms) in with.chunks(abreast).enumerate() {
        let Some(sheet) = sheets::ledgers(comparison, arms) else {
            continue;
        };
        if part == 0 {
            page.heading(sheet.title);
        } else {
            page.gap();
        }
        print(page, &sheet);
    }
}

/// Call stacks of a recording that differ from those of the baseline.
fn differences(page: &mut Page, comparison: &Comparison, index: usize, arm: &Arm, explain: bool) {
    let Some(stacks) = &arm.stacks else {
        return;
    };
    let against = words::letter(words::baseline(comparison));
    let letter = words::letter(index);
    page.heading(&format!(
        "Call stacks of {letter} that differ from {against}"
    ));
    if stacks.is_empty() {
        page.sentence("", Tone::Plain, "none differs");
    }
    let most = if explain { LONG } else { SHORT };
    for (number, stack) in stacks.iter().take(most).enumerate() {
        if number > 0 {
            page.gap();
        }
        let mark = format!("{:2}. ", number + 1);
        page.sentence(&mark, Tone::Strong, &words::stack_rates(stack));
        page.sentence("    ", Tone::Plain, &words::stack_live(stack));
        trace(page, stack, explain);
    }
    if stacks.len() > most {
        let more = text::plural((stacks.len() - most) as u64, "more stack");
        page.sentence("    ", Tone::Faint, &more);
    }
}

fn trace(page: &mut Page, stack: &StackDifference, explain: bool) {
    stacks::trace(page, &stack.frames, None, explain);
}

fn warnings(page: &mut Page, comparison: &Comparison) {
    if comparison.warnings.is_empty() {
        return;
    }
    page.heading("Warnings");
    for warning in &comparison.warnings {
        page.sentence("! ", Tone::Alarm, warning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_cut_stay_apart() {
        let names = [
            "glibc",
            "jemalloc:dirty_decay_ms=1000,background_thread=true",
            "jemalloc:dirty_decay_ms=5000,background_thread=true",
        ];
        let least = least_distinct(&names);
        let cut = |name: &str| names::cut(name, |text| columns(text) <= least).unwrap();
        assert_ne!(cut(names[1]), cut(names[2]));
        assert!((NAMES..=51).contains(&least), "{least}");
        assert_eq!(least_distinct(&["glibc", "tcmalloc"]), NAMES);
        assert_eq!(least_distinct(&["glibc", "glibc"]), NAMES);
    }
}
