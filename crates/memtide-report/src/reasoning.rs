//! How a verdict came about, in the words that the terminal and the page share.
//!
//! Refuses to judge: numbers, thresholds and decisions are the analyzer's. What it decides is what a reader is
//! spared: a single number that the decision names itself.

use memtide_model::report::Report;
use memtide_model::{Number, Outcome, Step};

/// The heading.
pub(crate) const TITLE: &str = "How this was decided";

/// The steps of each stage, in order.
pub(crate) fn stages(report: &Report) -> impl Iterator<Item = &[Step]> {
    report.reasoning.steps.chunk_by(|a, b| a.stage == b.stage)
}

/// The numbers of a step that are worth a line.
pub(crate) fn numbers(step: &Step) -> &[Number] {
    match step.numbers.as_slice() {
        [only] if step.decision.contains(&only.name) => &[],
        numbers => numbers,
    }
}

/// Name, value, threshold, and whether it was met; empty where there is none.
pub(crate) fn cells(number: &Number) -> [String; 4] {
    let met = match number.threshold {
        Some(threshold) if threshold.met => "yes",
        Some(_) => "no",
        None => "",
    };
    [
        number.name.clone(),
        number.text(),
        number.bound().unwrap_or_default(),
        met.to_owned(),
    ]
}

/// What was decided, behind what it meant where it meant more than to go on.
pub(crate) fn decision(step: &Step) -> String {
    match step.outcome {
        Outcome::PassedOn => step.decision.clone(),
        Outcome::Decided | Outcome::Doubted => {
            format!("{}: {}", capital(step.outcome.words()), step.decision)
        }
    }
}

fn capital(words: &str) -> String {
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}
