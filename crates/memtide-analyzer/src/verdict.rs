//! The verdict, from top to bottom: how a recording gets its answer.
//!
//! 1. **The record**: is it long enough (20 s, 15 samples)? Before that only counts that rise in all its
//!    parts are named; everything else is "too early".
//! 2. **Stage 1, counters of the kernel** ([`COUNTERS`], in this order). They come first because they
//!    prove, and because no detector that looks at RSS alone passes an F1 of .87 against all causes: the
//!    cause is in the other counters.
//! 3. **Load**: memory that follows sockets, descriptors or threads; and, where it is none of that,
//!    the counts themselves and address space (stage 1, once load is known).
//!    Kernel objects that the process makes and leaves behind are asked for here, too; and where nothing
//!    grows, whether the machine's memory shrinks all the same ([`host`]).
//! 4. **Stage 2, shape**, where no counter proved a cause ([`heap`]): whose pages they are and how they move.
//! 5. **Stage 3, the gate** before growth is called growth without bound ([`gate`]).
//! 6. **Stage 4, what it consists of**, where live blocks were counted ([`split`], [`between`]).
//! 7. **Several causes** ([`causes`]): the one that holds most of the growth is the verdict, the others are
//!    told beside it.
//! 8. **Confidence** ([`confidence`]): what the answer stands on, and whether shorter parts of the record
//!    agree. Below [`LEAST_CONFIDENCE`] nothing is decided.
//!
//! Each step writes what it measured, against which threshold, and what it decided into a [`Trail`];
//! `memtide report --explain` prints that.

mod advice;
mod answer;
mod apart;
mod between;
mod causes;
mod confidence;
mod counted;
mod counters;
mod culprit;
mod descriptors;
mod facts;
mod gate;
mod heap;
mod host;
mod limit;
mod looked;
mod queues;
mod runtimes;
mod shared;
mod split;
mod threads;
mod told;
mod units;
mod words;

pub use answer::{Answer, Standing};
pub use apart::Apart;
pub use facts::Facts;
pub use gate::{Missing, missing};

use crate::ended;
use crate::record::Record;
use crate::stacks::Stacks;
use crate::statistics::Series;
use crate::thresholds::{
    FEWEST_SAMPLES, LEAST_CONFIDENCE, SAMPLES_FOR_GROWTH, SECONDS_FOR_GROWTH, SHORTER,
};
use crate::trail::Trail;
use memtide_model::report::{Evidence, Verdict};
use memtide_model::{Observations, Stage, Unit, VerdictKind, text};
use units::Load;

/// A verdict, and what the other rooms need of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The verdict; its summary lacks the forecast and the full stop.
    pub verdict: Verdict,
    /// True if growth is claimed to go on: a forecast makes sense.
    pub goes_on: bool,
    /// That growth, where it was judged apart from what moves about it.
    pub apart: Option<Apart>,
}

/// Judges a record. `stacks` as found in the same observations, where the preload shim looked. The steps are
/// written to the trail, but for the last, the verdict, which lacks its forecast here.
pub fn judge(
    record: &Record,
    observations: &Observations,
    stacks: Option<&Stacks>,
    trail: &mut Trail,
) -> Judgement {
    if record.samples.len() < FEWEST_SAMPLES || record.seconds() <= 0.0 {
        trail.tell("samples", record.samples.len() as f64, Unit::Count);
        trail.doubt(Stage::Record, LONG_ENOUGH, "No: nothing can be told.");
        return too_short(record, observations, stacks);
    }
    let facts = Facts::of(record, observations, stacks);
    let long_enough = is_long_enough(&facts, trail);
    let (mut answer, also) = ask(&facts, trail);
    if !long_enough && !is_count(answer.kind) {
        return too_early(&facts, &answer);
    }
    let sure = how_sure(&facts, &answer, trail);
    if sure < LEAST_CONFIDENCE && answer.kind != VerdictKind::Undetermined {
        answer = doubtful(&facts, answer);
    }
    let answer = complete(&facts, answer, also);
    Judgement {
        goes_on: answer.goes_on,
        apart: answer.apart,
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

/// The answer to a record of any length, before it is weighed.
pub fn decide(facts: &Facts) -> Answer {
    ask(facts, &mut Trail::unheard()).0
}

const LONG_ENOUGH: &str = "Is the record long enough to judge growth by?";

/// Whether growth may be judged at all.
fn is_long_enough(facts: &Facts, trail: &mut Trail) -> bool {
    let record = facts.record;
    let samples = record.samples.len() as f64;
    trail.tell("watched", record.seconds() + record.settled, Unit::Seconds);
    trail.at_least("samples", samples, Unit::Count, SAMPLES_FOR_GROWTH as f64);
    let name = format!("missing to {}", text::duration(SECONDS_FOR_GROWTH));
    let missing = facts.seconds_missing();
    let enough = trail.at_most(&name, missing.max(0.0), Unit::Seconds, 0.0);
    let material =
        "Movement below what is material is noise, growth below the gate is never called a leak.";
    trail.tell("material", facts.material, Unit::Bytes);
    trail.tell("material for the gate", record.gate_material(), Unit::Bytes);
    if enough {
        trail.pass(Stage::Record, LONG_ENOUGH, &format!("Yes. {material}"));
    } else {
        let decision = format!("No: only counts that rise in all its parts are named. {material}");
        trail.doubt(Stage::Record, LONG_ENOUGH, &decision);
    }
    enough
}

/// Asks stage after stage: the answer, and the causes that are proven beside it.
fn ask(facts: &Facts, trail: &mut Trail) -> (Answer, Vec<Answer>) {
    let mut proven = by_counters(facts, trail);
    let (rest, by_unit) = by_load(facts, trail);
    proven.extend(by_unit);
    if queues::were_counted(facts) {
        let stage = Stage::Counters;
        let question = "Do message queues pile up?";
        proven.extend(one(stage, question, queues::pile_up, facts, trail));
        let question = "Do segments pile up that it does not map?";
        proven.extend(one(stage, question, queues::segments, facts, trail));
    }
    if proven.is_empty() {
        let answer = heap::decide(facts, rest, trail);
        let around = (answer.kind == VerdictKind::NoGrowth && facts.is_long_enough())
            .then(|| host::around(facts, trail))
            .flatten();
        return (around.unwrap_or(answer), Vec::new());
    }
    causes::choose(facts, proven, trail)
}

/// A question to the counters of the kernel.
type Counter = fn(&Facts, &mut Trail) -> Option<Answer>;

/// Stage 1, in the order in which it is asked.
const COUNTERS: [(&str, Counter); 6] = [
    ("Do processes pile up?", counters::processes),
    ("Does shared memory carry the growth?", shared::mapped),
    ("Do mapped files carry the growth?", counters::files),
    (
        "Do page tables grow and their pages not?",
        counters::page_tables,
    ),
    ("Do huge pages carry the growth?", counters::huge_pages),
    (
        "Was it given back, and only counts until the kernel needs it?",
        counters::lazy_free,
    ),
];

/// Stage 1: what counters prove.
fn by_counters(facts: &Facts, trail: &mut Trail) -> Vec<Answer> {
    (COUNTERS.into_iter())
        .filter_map(|(question, counter)| one(Stage::Counters, question, counter, facts, trail))
        .collect()
}

/// One question and its step.
fn one(
    stage: Stage,
    question: &str,
    counter: Counter,
    facts: &Facts,
    trail: &mut Trail,
) -> Option<Answer> {
    let found = counter(facts, trail);
    trail.answer(stage, question, found.as_ref());
    found
}

/// Load, and the counts that load may explain. The series is what load leaves of anonymous memory; where
/// that grows at equal load it comes before threads and descriptors, which are the load.
fn by_load(facts: &Facts, trail: &mut Trail) -> (Option<Series>, Vec<Answer>) {
    let load = units::load(facts, trail);
    let coupled = load.is_some();
    let mut proven = Vec::new();
    match load {
        Some(Load::Leaves(rest)) => return (Some(rest), proven),
        Some(Load::Explains(answer)) => proven.push(*answer),
        Some(Load::Coupled) | None => {}
    }
    let stage = Stage::Units;
    let threads = one(stage, "Do threads pile up?", threads::pile_up, facts, trail);
    // The stacks of more threads are more address space.
    let stacks = threads.is_some();
    proven.extend(threads);
    if !coupled {
        let question = "Do descriptors pile up?";
        proven.extend(one(stage, question, descriptors::pile_up, facts, trail));
    }
    if !stacks {
        let question = "Does address space grow and resident memory not?";
        proven.extend(one(stage, question, counters::address_space, facts, trail));
    }
    (None, proven)
}

/// True for causes that are counted in units without noise, which may be named early.
fn is_count(kind: VerdictKind) -> bool {
    matches!(
        kind,
        VerdictKind::ProcessLeak | VerdictKind::ThreadLeak | VerdictKind::FdLeak
    )
}

/// How sure the answer is: what it stands on, and what shorter parts of the record say.
fn how_sure(facts: &Facts, answer: &Answer, trail: &mut Trail) -> f64 {
    let mut agreeing = 0;
    for share in SHORTER {
        let said = on_a_part(facts, share);
        let agrees = said.as_ref().is_some_and(|said| same(said, answer));
        agreeing += usize::from(agrees);
        let what = said.map_or("nothing, it is too short".to_owned(), |said| name_of(&said));
        trail.note(format!("On the first {:.0} %: {what}.", 100.0 * share));
    }
    trail.note(format!("On all of it: {}.", name_of(answer)));
    let sure = confidence::confidence(answer, agreeing, facts.record.samples.len(), trail);
    let question = "How sure is it, and do shorter parts of the record say the same?";
    if trail.at_least("confidence", sure, Unit::Share, LEAST_CONFIDENCE) {
        trail.pass(Stage::Confidence, question, "Sure enough to be said.");
    } else {
        trail.doubt(Stage::Confidence, question, "Not sure enough to decide.");
    }
    sure
}

/// The answer to the first part of a record; `None` where that is too short for any.
fn on_a_part(facts: &Facts, share: f64) -> Option<Answer> {
    let shorter = facts.record.first_part(share);
    let long_enough = shorter.samples.len() >= FEWEST_SAMPLES;
    long_enough.then(|| decide(&Facts::of(&shorter, facts.observations, facts.stacks)))
}

/// True if two answers are the same.
fn same(one: &Answer, other: &Answer) -> bool {
    one.kind == other.kind && one.candidates.first() == other.candidates.first()
}

/// "undetermined, first plateau".
fn name_of(answer: &Answer) -> String {
    match (answer.kind, answer.candidates.first()) {
        (VerdictKind::Undetermined, Some(first)) => {
            format!("{}, first {}", answer.kind.words(), first.words())
        }
        (kind, _) => kind.words().to_owned(),
    }
}

/// A decided answer that is not sure enough to be given.
fn doubtful(facts: &Facts, answer: Answer) -> Answer {
    let headline = format!(
        "Not sure enough to decide: {}",
        answer::lowercase_first(&answer.headline)
    );
    Answer {
        kind: VerdictKind::Undetermined,
        headline,
        ..answer
    }
    .advise(advice::longer_because(
        facts,
        facts.record.seconds(),
        "Record twice as long, for shorter parts of this record tell something else",
    ))
}

/// With a second fact where there is one alone, the other causes, and what no lens can see.
fn complete(facts: &Facts, mut answer: Answer, also: Vec<Answer>) -> Answer {
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
    let answer = also.into_iter().fold(answer, Answer::beside);
    runtimes::opaque(facts, answer)
}

/// Advice that can be followed: what names the pid of a process that has ended, or that was never here, cannot; nor what has
/// its command line where nobody knows it.
fn still_possible(mut advice: Vec<String>, observations: &Observations) -> Vec<String> {
    let Some(instead) = instead(observations) else {
        return advice;
    };
    let pid = observations.target.id.pid;
    let mut names = vec![format!(" {pid}"), format!("/{pid}"), format!("pid={pid}")];
    if ended::is_imported(observations) {
        names.push(format!(" -- {}", advice::UNKNOWN_COMMAND));
    }
    let holds = |sentence: &str, name: &str| {
        let goes_on = |at: usize| {
            let rest = sentence.get(at + name.len()..).unwrap_or_default();
            rest.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        };
        (sentence.match_indices(name)).any(|(at, _)| !goes_on(at))
    };
    let count = advice.len();
    advice.retain(|sentence| !names.iter().any(|name| holds(sentence, name)));
    if advice.len() < count {
        advice.push(instead.to_owned());
    }
    advice
}

/// What to do where this process cannot be asked any more; `None` where it can.
fn instead(observations: &Observations) -> Option<&'static str> {
    if ended::is_imported(observations) {
        Some(ITSELF)
    } else {
        ended::is_gone(observations).then_some(FROM_ITS_START)
    }
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
            advice::command(&observations.target)
        )
    } else if let Some(instead) = instead(observations) {
        instead.to_owned()
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
    let advice = if let Some(instead) = instead(facts.observations) {
        instead.to_owned()
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
const ITSELF: &str = "The series was imported: for more than it holds, record the program itself, with memtide attach or memtide run --heap full.";
/// The same of a process that was recorded.
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
        apart: None,
    }
}
