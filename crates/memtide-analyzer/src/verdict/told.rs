//! What the gate, the owner of the pages and live blocks said, as steps of the trail.

use super::answer::Answer;
use super::facts::Facts;
use super::gate::Missing;
use super::heap::Owner;
use super::runtimes;
use super::split::{By, Cause, Parts};
use crate::trail::Trail;
use memtide_model::{Stage, Unit, text};

/// The step of the gate.
pub(super) fn gate(missing: Option<Missing>, trail: &mut Trail) {
    let question = "Does it grow enough, in all parts of the record, and late as well?";
    match missing {
        None => {
            trail.pass(Stage::Gate, question, "It passes the gate.");
        }
        Some(missing) => {
            let lacks = match missing {
                Missing::Time(seconds) => {
                    format!("It lacks {} of record.", text::duration(seconds))
                }
                Missing::Growth(Some(seconds)) => format!(
                    "It lacks growth: at its rate {} more.",
                    text::duration(seconds)
                ),
                Missing::Growth(None) => "It lacks growth.".to_owned(),
                Missing::Steadiness => "It is not steady.".to_owned(),
            };
            trail.doubt(Stage::Gate, question, &lacks);
        }
    }
}

/// The step that says whose pages they are.
pub(super) fn owner(facts: &Facts, owner: Owner, trail: &mut Trail) {
    let target = &facts.observations.target;
    let whose = match owner {
        Owner::Heap => "Most of what grew is not in anonymous mappings beside the heap.".to_owned(),
        Owner::FirstTouch => {
            "They belong to mappings whose size stays, and are touched for the first time.".to_owned()
        }
        Owner::Mappings => {
            "They belong to ever more anonymous mappings, and no runtime or other allocator is there to own those."
                .to_owned()
        }
        Owner::Anon => format!(
            "They belong to anonymous mappings, which may be {}.",
            runtimes::owner(target).map_or_else(
                || "malloc's large blocks or the program's own".to_owned(),
                |owner| format!("those of {owner}"),
            )
        ),
    };
    trail.pass(Stage::Shape, "Whose pages are they?", &whose);
}

/// Name in the trail of live bytes at their highest over what is resident at the end.
pub(super) const PEAK: &str = "live at its highest, of the end";

/// The step of live blocks: their shares, and what those decide.
pub(super) fn live(
    parts: Option<&Parts>,
    trail: &mut Trail,
    decide: impl FnOnce(&Parts, &mut Trail) -> Option<Answer>,
) -> Option<Answer> {
    let question = "What does it consist of?";
    let Some(parts) = parts else {
        let nobody = "Nobody knows: neither did the preload shim count blocks, nor do two looks into the heap span it.";
        trail.pass(Stage::Live, question, nobody);
        return None;
    };
    let found = shares(parts, trail);
    let answer = decide(parts, trail);
    trail.pass(Stage::Live, question, &found);
    answer
}

/// The shares of what grew, as numbers and as a sentence.
fn shares(parts: &Parts, trail: &mut Trail) -> String {
    trail.tell("growth", parts.grown, Unit::Bytes);
    if let By::Looks {
        count,
        seconds,
        turned,
    } = parts.by
    {
        trail.tell("looks into the heap", count as f64, Unit::Count);
        trail.tell("from the first to the last", seconds, Unit::Seconds);
        if turned {
            trail.note(
                "What grew since one of the looks has the opposite cause of what grew before.",
            );
        }
    }
    if parts.error > 0.0 {
        trail.tell("error of the live share", parts.error, Unit::Share);
    }
    trail.tell("kept by the allocator", parts.kept, Unit::Share);
    trail.tell("mapped beside the heap", parts.mapped, Unit::Share);
    let by = match parts.by {
        By::Shim => "The preload shim counted",
        By::Looks { .. } => "Looks into the heap found",
    };
    let what = match parts.cause_told(trail) {
        Cause::Live => "live blocks",
        Cause::Kept => "freed memory that the allocator keeps",
        Cause::Mapped => "mappings that are not malloc's",
        Cause::Mixed => "nothing that decides alone",
    };
    format!("{by}: {what}.")
}

/// The step that chooses among causes.
pub(super) fn causes(answer: &Answer, beside: &[Answer], trail: &mut Trail) {
    let most = answer.kind.words();
    let decision = if beside.is_empty() {
        format!("No other is proven: {most}.")
    } else {
        let others: Vec<&str> = beside.iter().map(|cause| cause.kind.words()).collect();
        format!("First: {most}. Beside it: {}.", others.join("; "))
    };
    let question = "Which cause holds most of the growth?";
    trail.pass(Stage::Causes, question, &decision);
}
