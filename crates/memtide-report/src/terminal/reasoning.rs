//! How the verdict was reached, stage by stage: numbers aligned, thresholds beside them.
//!
//! Where a stage's numbers do not fit beside each other they are wrapped as sentences: none is cut.

use super::Page;
use super::style::Tone;
use super::table::{Table, numbers, words};
use crate::reasoning;
use memtide_model::report::Report;
use memtide_model::{Number, Outcome, Step};

/// In front of a question's numbers.
const INDENT: &str = "    ";

/// The whole argument.
pub(super) fn section(page: &mut Page, report: &Report) {
    if report.reasoning.steps.is_empty() {
        return;
    }
    page.heading(reasoning::TITLE);
    for steps in reasoning::stages(report) {
        stage(page, steps);
    }
}

fn stage(page: &mut Page, steps: &[Step]) {
    let Some(first) = steps.first() else { return };
    page.gap();
    page.sentence("", Tone::Strong, first.stage.words());
    let mut lines = aligned(page, steps).map(Vec::into_iter);
    for step in steps {
        page.sentence("  ", Tone::Plain, &step.question);
        let numbers = reasoning::numbers(step);
        match &mut lines {
            Some(lines) => page.lines(lines.by_ref().take(numbers.len())),
            None => numbers.iter().for_each(|number| wrapped(page, number)),
        }
        let tone = match step.outcome {
            Outcome::PassedOn => Tone::Faint,
            Outcome::Decided => Tone::Strong,
            Outcome::Doubted => Tone::Plain,
        };
        page.sentence("  → ", tone, &reasoning::decision(step));
    }
}

/// All numbers of a stage under each other, a line for each; `None` where they are wider than the page.
fn aligned(page: &Page, steps: &[Step]) -> Option<Vec<String>> {
    let mut table = Table::new(&[words("", 0), numbers("", 0), words("", 0), words("", 0)]);
    for number in steps.iter().flat_map(reasoning::numbers) {
        let missed = number.threshold.is_some_and(|threshold| !threshold.met);
        let tone = if missed { Tone::Faint } else { Tone::Plain };
        table.row(
            tone,
            reasoning::cells(number).map(|cell| crate::escape::name(&cell)),
        );
    }
    let width = page.width() - INDENT.len();
    table.fits(width).then(|| {
        (table.lines(width, page.ink()).into_iter().skip(1))
            .map(|line| format!("{INDENT}{line}"))
            .collect()
    })
}

fn wrapped(page: &mut Page, number: &Number) {
    let [name, value, bound, met] = reasoning::cells(number);
    let sentence = if bound.is_empty() {
        format!("{name}: {value}")
    } else {
        format!("{name}: {value}; {bound}? {met}")
    };
    page.sentence(INDENT, Tone::Plain, &sentence);
}
