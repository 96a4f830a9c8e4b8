//! What the reader should know about the numbers: what was not seen, put off, cut off or raced.

use crate::ended;
use crate::ledger::{Ledger, Source};
use crate::record::Record;
use crate::shim::counts_all_blocks;
use crate::snapshots::of_program;
use crate::stacks::Stacks;
use crate::thresholds::{
    FEWEST_SAMPLES, SAMPLES_FOR_GROWTH, SAMPLING_ERROR, SECONDS_FOR_GROWTH, UNEXPLAINED_SHARE,
};
use memtide_model::{Account, Lost, Observations, ReadCost, ReadKind, Visibility, text};

/// Share of the time that some task waited for memory from which it is worth a word.
const PRESSURE_SHARE: f64 = 0.01;

/// Share of the reads that were due from which putting them off is worth a word.
const PUT_OFF_SHARE: f64 = 0.1;

/// All warnings, each a sentence.
pub(crate) fn warnings(
    observations: &Observations,
    record: &Record,
    ledger: Option<&Ledger>,
    stacks: Option<&Stacks>,
) -> Vec<String> {
    let mut all = Vec::new();
    length(observations, record, &mut all);
    recording(observations, &mut all);
    sources(record, ledger, &mut all);
    if let Some(stacks) = stacks {
        all.extend(sampled(stacks));
        all.extend(lost(&stacks.allocations.lost));
    }
    if let Some(stacks) = &observations.stacks {
        if !counts_all_blocks(stacks) {
            all.push(
                "Too many blocks could not be recorded: of the heap's memory nobody can say what is live."
                    .to_owned(),
            );
        }
        all.extend(stacks.symbol_warnings.iter().cloned());
    }
    all.extend(tree(observations));
    all.extend(looks(observations));
    all.extend(pressure(record));
    let looked = !record.heap.looks().is_empty();
    all.extend(unseen(observations, |what| match what {
        Visibility::LIVE_BLOCKS => stacks.is_some() || looked,
        Visibility::ALLOCATING_CODE => stacks.is_some(),
        _ => false,
    }));
    all
}

/// Records of forks that were lost.
fn tree(observations: &Observations) -> Option<String> {
    let tree = observations.tree.as_ref().filter(|tree| tree.lost > 0)?;
    Some(format!(
        "{} of forks, execs and exits lost: processes may be missing from the tree.",
        if tree.lost == 1 {
            "1 record was".to_owned()
        } else {
            format!("{} records were", tree.lost)
        }
    ))
}

/// Of a look or two: nobody asked for a record, so its length is nothing to warn of, nor what looking cannot
/// show by its nature.
pub(crate) fn of_looks(observations: &Observations) -> Vec<String> {
    let mut all = looks(observations);
    all.extend(unseen(observations, |what| {
        [Visibility::LIVE_BLOCKS, Visibility::ALLOCATING_CODE].contains(&what)
    }));
    all
}

/// What could not be seen, but for what `is_told` knows to be told otherwise.
fn unseen(observations: &Observations, is_told: impl Fn(&str) -> bool) -> Vec<String> {
    let unseen = observations.target.unseen.iter();
    unseen
        .filter(|unseen| !is_told(&unseen.what))
        .map(|unseen| {
            let remedy = if unseen.remedy.is_empty() {
                String::new()
            } else {
                format!(" Remedy: {}", unseen.remedy)
            };
            format!("Not seen: {} ({}).{remedy}", unseen.what, unseen.why)
        })
        .collect()
}

/// What of the looks into the heap does not serve, and why there are none or no more.
fn looks(observations: &Observations) -> Vec<String> {
    let looks = of_program(observations);
    let mut doubtful = looks.iter().filter(|look| !look.quality.is_conclusive());
    let mut all = Vec::new();
    if let Some(last) = doubtful.next_back() {
        let count = 1 + doubtful.count();
        let why = last.quality.doubts.iter();
        let why: Vec<&str> = why.map(|doubt| doubt.trim_end_matches('.')).collect();
        all.push(format!(
            "{count} of {} at the heap cannot be relied on and were left out: {}.",
            text::plural(looks.len() as u64, "look"),
            why.join("; ")
        ));
    }
    if let Some(look) = looks.iter().rfind(|look| look.is_untested) {
        all.push(format!(
            "The heap was read by the layout of {}, which was not tested with this C library; all checks hold.",
            look.layout
        ));
    }
    let heap = observations.heap.as_ref();
    all.extend(heap.and_then(|heap| {
        Some(format!(
            "The heap could not be read: {}.",
            heap.unavailable.as_ref()?.trim_end_matches('.')
        ))
    }));
    all
}

fn length(observations: &Observations, record: &Record, all: &mut Vec<String>) {
    if ended::is_gone(observations) {
        let samples = text::plural(observations.recording.samples, "sample");
        all.push(format!("The process ended after {samples}."));
    }
    if record.after_exec {
        all.push(
            "The process replaced its program (exec): only what came after is analysed.".to_owned(),
        );
    }
    let (samples, seconds) = (record.samples.len(), record.seconds());
    if observations.samples.is_empty() && observations.stacks.is_some() {
        all.push(
            "The process was not sampled: there is no ledger, and its growth is not known."
                .to_owned(),
        );
    } else if samples < FEWEST_SAMPLES {
        all.push(format!(
            "The record is too short: {}.",
            text::plural(samples as u64, "sample")
        ));
    } else if samples < SAMPLES_FOR_GROWTH || record.lacks(SECONDS_FOR_GROWTH) > 0.0 {
        all.push(format!(
            "The record is short ({}, {}): growth is judged from {} and {SAMPLES_FOR_GROWTH} samples on.",
            text::duration(seconds),
            text::plural(samples as u64, "sample"),
            text::duration(SECONDS_FOR_GROWTH),
        ));
    }
}

fn recording(observations: &Observations, all: &mut Vec<String>) {
    let recording = &observations.recording;
    if recording.gaps > 0 {
        all.push(format!(
            "{} due but not taken: there are gaps.",
            ticks_were(recording.gaps)
        ));
    }
    for read in &recording.reads {
        let name = read.kind.name();
        if matters_when_put_off(read) {
            all.push(format!(
                "Reading {name} was put off {} to keep its cost within the budget.",
                times(read.skipped)
            ));
        }
        if read.failed > 0 {
            all.push(format!("Reading {name} failed {}.", times(read.failed)));
        }
    }
}

/// Whether so many of a read that the verdict rests on were put off that its rates are coarser for it.
fn matters_when_put_off(read: &ReadCost) -> bool {
    let weighs = matches!(
        read.kind,
        ReadKind::Smaps | ReadKind::SmapsRollup | ReadKind::Threads | ReadKind::Descriptors
    );
    let due = (read.reads + read.skipped) as f64;
    weighs && read.skipped as f64 > PUT_OFF_SHARE * due
}

fn sources(record: &Record, ledger: Option<&Ledger>, all: &mut Vec<String>) {
    let Some(ledger) = ledger else { return };
    match ledger.split.source {
        Source::Maps => {}
        Source::Status => all.push("The mappings could not be read: heap, stacks and other anonymous memory are not told apart.".to_owned()),
        Source::Nothing => all.push("This kernel does not split RSS and the mappings could not be read: all of it is unexplained.".to_owned()),
    }
    if ledger.split.source == Source::Maps
        && record.samples.iter().filter(|s| s.maps.is_some()).count() < 6
    {
        all.push(
            "The mappings were read fewer than six times: the accounts have no rates.".to_owned(),
        );
    }
    let rss = ledger.rss.0.as_f64().max(ledger.rss.1.as_f64());
    let unexplained = (ledger
        .rows
        .iter()
        .filter(|row| row.account == Account::Unexplained))
    .map(|row| row.start.abs().max(row.end.abs()))
    .max()
    .unwrap_or(0) as f64;
    if ledger.split.source != Source::Nothing && unexplained > UNEXPLAINED_SHARE * rss {
        all.push(format!(
            "{} of RSS is unexplained: RSS and the mappings were read while they changed.",
            text::bytes(unexplained)
        ));
    }
}

/// The error of estimates, where it is worth a word.
fn sampled(stacks: &Stacks) -> Option<String> {
    let samples = stacks.live_samples?;
    let error = 1.0 / (samples.max(1) as f64).sqrt();
    let remedy = "record in full mode, or with more samples (a smaller --interval)";
    (error > SAMPLING_ERROR).then(|| match samples {
        0 => format!(
            "No block that is live was drawn as a sample: live bytes are not known; {remedy}."
        ),
        _ => format!(
            "Live bytes are an estimate from {}: about {:.0} % off; {remedy}.",
            text::plural(samples, "sample"),
            100.0 * error.min(1.0)
        ),
    })
}

/// What the shim could not record, in one sentence.
fn lost(lost: &Lost) -> Option<String> {
    let parts: Vec<String> = [
        (lost.reentered, "block", "in signal handlers"),
        (lost.threadless, "block", "of threads without a slot"),
        (lost.no_room, "block", "for want of room"),
        (
            lost.overflow,
            "stack",
            "put together because their table was full",
        ),
        (
            lost.ruleless,
            "stack",
            "cut off at code without unwinding rules",
        ),
        (
            lost.truncated,
            "stack",
            "cut off because they were too deep",
        ),
        (
            lost.foreign,
            "stack",
            "known by the caller only (fibers, signal stacks)",
        ),
        (lost.processes, "process", "not at all"),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, unit, why)| match unit {
        "process" if count > 1 => format!("{count} processes {why}"),
        _ => format!("{} {why}", text::plural(count, unit)),
    })
    .collect();
    (!parts.is_empty()).then(|| {
        format!(
            "Allocations not or not wholly recorded: {}.",
            parts.join(", ")
        )
    })
}

/// Stalls for memory during the record, where the kernel measures them.
fn pressure(record: &Record) -> Option<String> {
    let stalls = record.series_by(|s| Some(s.host?.pressure?.some_us as f64 / 1e6));
    let (first, last) = (stalls.y.first()?, stalls.y.last()?);
    let share = (last - first) / stalls.span();
    (share > PRESSURE_SHARE && share.is_finite()).then(|| {
        format!(
            "The machine was short of memory: tasks waited for it in {:.0} % of the time.",
            100.0 * share
        )
    })
}

fn times(count: u64) -> String {
    text::plural(count, "time")
}

fn ticks_were(count: u64) -> String {
    let verb = if count == 1 { "was" } else { "were" };
    format!("{} {verb}", text::plural(count, "tick"))
}
