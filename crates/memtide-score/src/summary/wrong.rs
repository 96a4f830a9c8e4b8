//! The wrong answers, worst first: leaks that are none, then leaks that were missed, then the others.

use super::view::View;
use crate::answer::Answer;
use crate::markdown::Table;
use memtide_model::VerdictKind;

/// How bad an answer is; 0 for one that may be said.
fn badness(answer: &Answer) -> u32 {
    let denied =
        |answer: &Answer| !answer.is_of_no_leak() && !answer.is_open() && !answer.acceptable;
    match answer {
        _ if answer.is_false_leak() => 4,
        _ if denied(answer) => 3,
        _ if !answer.acceptable && answer.kind != VerdictKind::Undetermined => 2,
        _ if !answer.acceptable && !answer.is_too_early() => 1,
        _ => 0,
    }
}

/// The wrong answers of the view, the worst and surest first.
pub(crate) fn worst<'a>(view: &View<'a>) -> Vec<&'a Answer> {
    let mut wrong: Vec<&Answer> = (view.answers.iter().copied())
        .filter(|answer| badness(answer) > 0)
        .collect();
    wrong.sort_by(|a, b| {
        let key = |answer: &Answer| (badness(answer), answer.confidence);
        let (a_bad, a_sure) = key(a);
        let (b_bad, b_sure) = key(b);
        b_bad.cmp(&a_bad).then(b_sure.total_cmp(&a_sure))
    });
    wrong
}

/// They, as a table.
pub(crate) fn table(view: &View<'_>) -> String {
    listed(&worst(view))
}

/// Answers that may be said and are not the label, by label.
pub(crate) fn not_the_label(view: &View<'_>) -> String {
    let mut answers = view
        .only(|answer| answer.acceptable && !answer.is_strict())
        .answers;
    answers.sort_by_key(|answer| answer.label);
    listed(&answers)
}

fn listed(answers: &[&Answer]) -> String {
    let mut table = Table::new(&[
        "case",
        "record",
        "looks",
        "label",
        "answer",
        "confidence",
        "what it says",
    ]);
    for answer in answers {
        let case = if answer.arguments.is_empty() {
            answer.case.clone()
        } else {
            format!("{}: {}", answer.case, answer.arguments.join(" "))
        };
        table.row([
            case,
            format!("{:.0}–{:.0} s", answer.window.from, answer.window.to),
            if answer.looked { "yes" } else { "no" }.to_owned(),
            answer.label.name().to_owned(),
            said(answer),
            format!("{:.2}", answer.confidence),
            answer.summary.clone(),
        ]);
    }
    table.text()
}

/// The answer, an open one with its candidates.
fn said(answer: &Answer) -> String {
    let candidates: Vec<&str> = answer.candidates.iter().map(|kind| kind.name()).collect();
    if answer.is_open() {
        format!("undetermined ({})", candidates.join(", "))
    } else {
        answer.kind.name().to_owned()
    }
}
