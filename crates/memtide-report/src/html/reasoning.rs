//! How the verdict was reached, folded: the same steps as in the terminal.
//!
//! Unfolding is the browser's own (`<details>`), as for the stacks.

use super::table::{NUMBERS, WORDS, cell, table};
use super::text;
use crate::reasoning;
use memtide_model::Step;
use memtide_model::report::Report;
use std::fmt::Write as _;

/// The section; nothing where a report holds no reasoning.
pub(super) fn section(report: &Report) -> String {
    if report.reasoning.steps.is_empty() {
        return String::new();
    }
    let mut html = format!(
        "<section id=\"reasoning\">\n<details>\n<summary>{}</summary>\n",
        reasoning::TITLE
    );
    for steps in reasoning::stages(report) {
        let Some(first) = steps.first() else { continue };
        let _ = writeln!(html, "<h3>{}</h3>", text(first.stage.words()));
        html.extend(steps.iter().map(one));
    }
    html.push_str("</details>\n</section>\n");
    html
}

fn one(step: &Step) -> String {
    let decision = text(&reasoning::decision(step));
    let numbers = reasoning::numbers(step);
    if numbers.is_empty() {
        let question = text(&step.question);
        return format!(
            "<p class=\"question\">{question}</p>\n<p class=\"decision\">{decision}</p>\n"
        );
    }
    let heads = [
        ("Number", WORDS),
        ("Value", NUMBERS),
        ("Threshold", WORDS),
        ("Met", WORDS),
    ];
    let rows: Vec<_> = (numbers.iter())
        .map(|number| reasoning::cells(number).map(cell).into())
        .collect();
    format!(
        "{}<p class=\"decision\">{decision}</p>\n",
        table(&step.question, &heads, &rows)
    )
}
