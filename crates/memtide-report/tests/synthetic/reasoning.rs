//! Findings with a reasoning: a count that proved nothing, a shape, a gate, and an answer that is open.

use super::linear_leak;
use memtide_model::{
    Findings, Number, Outcome, Reasoning, Side, Stage, Step, Threshold, Unit, VerdictKind,
};

fn told(name: &str, value: f64, unit: Unit) -> Number {
    Number {
        name: name.to_owned(),
        value: value.is_finite().then_some(value),
        unit,
        threshold: None,
    }
}

fn held(name: &str, value: f64, unit: Unit, side: Side, threshold: f64) -> Number {
    Number {
        threshold: Some(Threshold {
            side,
            value: threshold,
            met: side.holds(value, threshold),
        }),
        ..told(name, value, unit)
    }
}

fn step(stage: Stage, question: &str, numbers: Vec<Number>, decision: &str) -> Step {
    Step {
        stage,
        question: question.to_owned(),
        numbers,
        decision: decision.to_owned(),
        outcome: Outcome::PassedOn,
        verdict: None,
    }
}

fn last(kind: VerdictKind, decision: &str) -> Step {
    Step {
        outcome: Outcome::Decided,
        verdict: Some(kind),
        ..step(Stage::Verdict, "What is the verdict?", Vec::new(), decision)
    }
}

/// A leak whose every number is a round one.
pub(crate) fn reasoned() -> Findings {
    let mut findings = linear_leak();
    let mib = super::MIB;
    let threads = held("growth of threads", 2.0, Unit::Count, Side::AtLeast, 5.0);
    let late = "linear: late ratio r";
    findings.report.reasoning = Reasoning {
        steps: vec![
            step(
                Stage::Units,
                "Do threads pile up?",
                vec![threads],
                "No: growth of threads is 2, not at least 5.",
            ),
            step(
                Stage::Shape,
                "How does anonymous memory move?",
                vec![
                    held(
                        "plateau: late share l",
                        0.275,
                        Unit::Share,
                        Side::Below,
                        0.06,
                    ),
                    told("plateau: time constant tau", f64::INFINITY, Unit::Seconds),
                    held(late, 1.02, Unit::Number, Side::AtLeast, 0.8),
                ],
                "Its shape: linear.",
            ),
            step(
                Stage::Gate,
                "Does it grow enough, in all parts of the record, and late as well?",
                vec![
                    held("growth", 301.0 * mib, Unit::Bytes, Side::AtLeast, 1.5 * mib),
                    told("last block slope", 86_400.0, Unit::BytesPerSecond),
                ],
                "It passes the gate.",
            ),
            last(VerdictKind::HeapLeak, &findings.report.verdict.summary),
        ],
    };
    findings
}

/// The same where sentences and names would act on a terminal or in a page.
pub(crate) fn hostile_reasoning() -> Findings {
    let mut findings = reasoned();
    let hostile = format!("\u{1b}[2J<script>{}</details>\u{202e}", "x".repeat(500));
    for step in &mut findings.report.reasoning.steps {
        step.question.clone_from(&hostile);
        step.decision.clone_from(&hostile);
        for number in &mut step.numbers {
            number.name.clone_from(&hostile);
        }
    }
    findings
}
