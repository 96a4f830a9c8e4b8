//! The verdict in four stages: counters, shape, gate, live bytes; then how sure.
//!
//! Counters come first because they prove, and because no detector that looks at RSS alone passes an
//! F1 of .87 against all causes: the cause is in the other counters. The order of the stages is that
//! of [`decide`]. Before a record has its least length (20 s, 15 samples) only counts that rise in all
//! its parts are named; everything else is "too early".

mod answer;
mod between;
mod causes;
mod confidence;
mod counted;
mod counters;
mod culprit;
mod facts;
mod gate;
mod heap;
mod limit;
mod looked;
mod runtimes;
mod split;
mod units;
mod words;

pub use answer::{Answer, Standing};
pub use facts::Facts;
pub use gate::{Missing, missing};

use crate::ended;
use crate::record::Record;
use crate::stacks::Stacks;
use crate::thresholds::{FEWEST_SAMPLES, LEAST_CONFIDENCE, SHORTER};
use memtide_model::report::{Evidence, Verdict};
use memtide_model::{Observations, VerdictKind, text};

/// A verdict, and what the other rooms need of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The verdict; its summary lacks the forecast and the full stop.
    pub verdict: Verdict,
    /// True if growth is claimed to go on: a forecast makes sense.
    pub goes_on: bool,
}

/// Judges a record. `stacks` as found in the same observations, where the preload shim looked.
pub fn judge(record: &Record, observations: &Observations, stacks: Option<&Stacks>) -> Judgement {
    if record.samples.len() < FEWEST_SAMPLES || record.seconds() <= 0.0 {
        return too_short(record, observations, stacks);
    }
    let facts = Facts::of(record, observations, stacks);
    let (answer, also) = causes::decide(&facts);
    if !facts.is_long_enough() && !is_count(answer.kind) {
        return too_early(&facts, &answer);
    }
    let agreeing = SHORTER
        .iter()
        .filter(|&&share| agrees(&answer, &facts, &record.first_part(share)))
        .count();
    let sure = confidence::confidence(&answer, agreeing, record.samples.len());
    let mut answer = if sure < LEAST_CONFIDENCE && answer.kind != VerdictKind::Undetermined {
        doubtful(answer)
    } else {
        answer
    };
    if answer.evidence.len() < 2 {
        answer = answer.number(
            format!(
                "RSS moved by {} in {}.",
                text::signed_bytes(facts.rss),
                facts.time()
            ),
            facts.rss,
            "bytes",
        );
    }
    for other in also {
        answer = answer.beside(other);
    }
    answer = runtimes::opaque(&facts, answer);
    Judgement {
        goes_on: answer.goes_on,
        verdict: Verdict {
            kind: answer.kind,
            confidence: sure,
            summary: answer.headline,
            candidates: answer.candidates,
            evidence: answer.evidence,
            advice: still_possible(answer.advice, observations),
        },
    }
}

/// Advice that can be followed: what names the pid of a process that has ended cannot.
fn still_possible(mut advice: Vec<String>, observations: &Observations) -> Vec<String> {
    if ended::is_gone(observations) {
        let pid = format!(" {}", observations.target.id.pid);
        let count = advice.len();
        advice.retain(|sentence| !sentence.contains(&pid));
        if advice.len() < count {
            advice.push(FROM_ITS_START.to_owned());
        }
    }
    advice
}

/// The answer to a record of any length, before it is weighed.
pub fn decide(facts: &Facts) -> Answer {
    causes::decide(facts).0
}

/// True for causes that are counted in units without noise, which may be named early.
fn is_count(kind: VerdictKind) -> bool {
    matches!(
        kind,
        VerdictKind::ProcessLeak | VerdictKind::ThreadLeak | VerdictKind::FdLeak
    )
}

/// True if a shorter record gives the same answer.
fn agrees(answer: &Answer, facts: &Facts, shorter: &Record) -> bool {
    if shorter.samples.len() < FEWEST_SAMPLES {
        return false;
    }
    let other = decide(&Facts::of(shorter, facts.observations, facts.stacks));
    other.kind == answer.kind && other.candidates.first() == answer.candidates.first()
}

/// A decided answer that is not sure enough to be given.
fn doubtful(answer: Answer) -> Answer {
    let headline = format!(
        "Not sure enough to decide: {}",
        answer::lowercase_first(&answer.headline)
    );
    Answer {
        kind: VerdictKind::Undetermined,
        headline,
        ..answer
    }
    .advise("Record longer: shorter parts of this record tell something else.")
}

fn too_short(record: &Record, observations: &Observations, stacks: Option<&Stacks>) -> Judgement {
    let count = text::plural(record.samples.len() as u64, "sample");
    let pid = observations.target.id.pid;
    let summary = if observations.samples.is_empty() && stacks.is_some() {
        "No samples of the process: only its allocations were recorded".to_owned()
    } else {
        format!("The record is too short: {count} cannot tell growth")
    };
    let advice = if observations.samples.is_empty() && stacks.is_some() {
        format!(
            "To see its memory beside its allocations: memtide run --heap full -- {}",
            words::command(&observations.target)
        )
    } else if ended::is_gone(observations) {
        FROM_ITS_START.to_owned()
    } else {
        format!("Record at least 20 s: memtide attach {pid} --for 1m")
    };
    let facts = counted::allocations(stacks, Answer::open(&[], String::new()));
    undecided(summary, facts.evidence, advice)
}

/// Before the least record: what moved, and what is missing. No cause is named.
fn too_early(facts: &Facts, answer: &Answer) -> Judgement {
    let needs = text::duration(facts.seconds_missing());
    let told = counted::allocations(facts.stacks, Answer::open(&[], String::new()));
    let moved = if facts.rss.abs() < facts.material {
        "RSS did not grow".to_owned()
    } else {
        format!("RSS moved by {}", text::signed_bytes(facts.rss))
    };
    let advice = if ended::is_gone(facts.observations) {
        FROM_ITS_START.to_owned()
    } else {
        format!("Record at least {needs} more; healthy processes grow while they warm up.")
    };
    undecided(
        format!(
            "It is too early to tell: {moved} in {}; needs {needs} more",
            facts.time()
        ),
        // The first fact is what was measured; shapes and candidates would be guesses.
        (answer.evidence.iter().take(1).cloned())
            .chain(told.evidence)
            .collect(),
        advice,
    )
}

/// Advice where more cannot be had of this process.
const FROM_ITS_START: &str = "It has ended: record the next one from its start, for 20 s or more.";

fn undecided(summary: String, evidence: Vec<Evidence>, advice: String) -> Judgement {
    Judgement {
        verdict: Verdict {
            kind: VerdictKind::Undetermined,
            confidence: 0.0,
            summary,
            candidates: Vec::new(),
            evidence,
            advice: vec![advice],
        },
        goes_on: false,
    }
}
