//! The reasoning is the verdict's own: its steps end with it, its numbers are those of the evidence, and its
//! thresholds those of `thresholds`.

mod support;

use memtide_analyzer::thresholds::*;
use memtide_analyzer::{analyze, trail::Trail};
use memtide_model::{
    Number, Observations, Outcome, Report, Side, Stage, Step, Unit, VerdictKind, text,
};
use support::judged::looked;
use support::{Random, cases, heap_sample, observations, window};

fn case(name: &str, to: f64) -> Observations {
    let cases = cases();
    let case = cases.iter().find(|case| case.name == name);
    window(case.expect("a case of the corpus"), 0.0, to)
}

/// The report of a case by samples alone.
fn sampled(name: &str) -> Report {
    analyze(&case(name, f64::INFINITY)).report
}

/// The same with looks into the heap, as often as a recording takes them.
fn with_looks(name: &str) -> Report {
    let cases = cases();
    let case = cases.iter().find(|case| case.name == name);
    let observations = looked(case.expect("a case of the corpus"), 0.0, f64::INFINITY);
    analyze(&observations.expect("a truth log")).report
}

fn steps(report: &Report, stage: Stage) -> Vec<&Step> {
    let steps = report.reasoning.steps.iter();
    steps.filter(|step| step.stage == stage).collect()
}

fn number<'a>(report: &'a Report, stage: Stage, name: &str) -> &'a Number {
    (report.reasoning.steps.iter())
        .filter(|step| step.stage == stage)
        .flat_map(|step| &step.numbers)
        .find(|number| number.name == name)
        .unwrap_or_else(|| panic!("{name}: {:#?}", steps(report, stage)))
}

fn value(report: &Report, stage: Stage, name: &str) -> f64 {
    number(report, stage, name).value.expect("a value")
}

fn threshold(report: &Report, stage: Stage, name: &str) -> f64 {
    let threshold = number(report, stage, name).threshold;
    threshold.expect("a threshold").value
}

/// The value of the evidence with that unit whose sentence holds those words.
fn evidence(report: &Report, words: &str, unit: &str) -> f64 {
    let all = &report.verdict.evidence;
    let found = all
        .iter()
        .find(|fact| fact.fact.contains(words) && fact.unit.as_deref() == Some(unit));
    found
        .and_then(|fact| fact.value)
        .unwrap_or_else(|| panic!("{words}: {all:#?}"))
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// What must hold of all reasoning; the stages that were asked.
fn checked(report: &Report) -> Vec<Stage> {
    let steps = &report.reasoning.steps;
    let last = steps.last().expect("a step");
    assert_eq!(
        (last.stage, last.verdict),
        (Stage::Verdict, Some(report.verdict.kind))
    );
    assert!(
        last.decision.contains(&report.verdict.summary),
        "{}",
        last.decision
    );
    assert!(steps.is_sorted_by_key(|step| step.stage), "{steps:#?}");
    for step in steps {
        assert!(
            !step.decision.is_empty() && step.question.ends_with('?'),
            "{step:#?}"
        );
        for number in &step.numbers {
            if let (Some(value), Some(threshold)) = (number.value, number.threshold) {
                let holds = threshold.side.holds(value, threshold.value);
                assert_eq!(threshold.met, holds, "{number:?}");
            }
        }
        if step.outcome == Outcome::PassedOn {
            assert_eq!(step.verdict, None, "{step:#?}");
        }
    }
    let mut stages: Vec<Stage> = steps.iter().map(|step| step.stage).collect();
    stages.dedup();
    stages
}

const COUNTED: [Stage; 5] = [
    Stage::Record,
    Stage::Counters,
    Stage::Load,
    Stage::Units,
    Stage::Shape,
];

/// The stages of an answer by shape: those that are always asked, some, and the last.
fn stages(more: &[Stage]) -> Vec<Stage> {
    let mut stages = COUNTED.to_vec();
    stages.extend(more);
    stages.extend([Stage::Confidence, Stage::Verdict]);
    stages
}

/// The shape that a step found was told by a number that speaks for it.
fn spoke_for(report: &Report, shape: &str) {
    let step = steps(report, Stage::Shape).into_iter().rev();
    let mut found = step.filter(|step| step.decision.contains(&format!("Its shape: {shape}.")));
    let step = found.next().expect("a step of that shape");
    let met = |number: &&Number| number.name.starts_with(shape) && number.is_met();
    assert!(step.numbers.iter().any(|number| met(&number)), "{step:#?}");
}

#[test]
fn a_counter_is_held_against_its_constant_and_decides() {
    let report = sampled("fd-leak-socket");
    let asked = checked(&report);
    assert!(
        asked.starts_with(&COUNTED) && asked.contains(&Stage::Causes),
        "{asked:?}"
    );
    let found = steps(&report, Stage::Units).into_iter();
    let decided: Vec<_> = found
        .filter(|step| step.outcome == Outcome::Decided)
        .collect();
    assert_eq!(decided.len(), 1, "{decided:#?}");
    assert_eq!(decided[0].verdict, Some(VerdictKind::FdLeak));
    assert!(near(
        threshold(&report, Stage::Units, "growth of descriptors"),
        DESCRIPTORS
    ));
    // "Descriptors 10 → 227 in 47 s": the medians at the ends of the record.
    let row = report
        .counts
        .iter()
        .find(|row| row.count == "fds" && row.group.is_none());
    let row = row.expect("descriptors are counted");
    let grown = value(&report, Stage::Units, "growth of descriptors");
    assert!(
        (grown - (row.end as f64 - row.start as f64)).abs() <= 1.0,
        "{grown} {row:?}"
    );
    for (name, constant) in [
        ("growth of zombies", ZOMBIES),
        ("growth of processes", PROCESSES),
    ] {
        assert!(
            near(threshold(&report, Stage::Counters, name), constant),
            "{name}"
        );
    }
    let samples = threshold(&report, Stage::Record, "samples");
    assert!(near(samples, SAMPLES_FOR_GROWTH as f64));
    assert!(near(
        threshold(&report, Stage::Load, "their swing"),
        LOAD_SWING
    ));
}

#[test]
fn load_tells_its_regression() {
    let report = sampled("load-wave");
    let asked = checked(&report);
    assert!(
        asked.contains(&Stage::Load) && !asked.contains(&Stage::Shape),
        "{asked:?}"
    );
    assert_eq!(report.verdict.kind, VerdictKind::LoadGrowth);
    let each = evidence(&report, "for each socket", "bytes");
    assert!(near(value(&report, Stage::Load, "memory for each"), each));
    for (name, constant) in [
        ("their correlation with time", LOAD_COLLINEAR),
        ("memory for each", LOAD_BYTES_PER_UNIT),
        ("correlation of memory with them", LOAD_CORRELATION),
    ] {
        assert!(
            near(threshold(&report, Stage::Load, name), constant),
            "{name}"
        );
    }
}

#[test]
fn a_sawtooth_tells_its_period_and_its_troughs() {
    let report = sampled("saw-clean-a");
    assert_eq!(checked(&report), stages(&[]));
    assert_eq!(report.verdict.kind, VerdictKind::Sawtooth);
    spoke_for(&report, "sawtooth");
    let period = evidence(&report, "Period about", "s");
    assert!(near(value(&report, Stage::Shape, "swings: period"), period));
    let fall = threshold(&report, Stage::Shape, "sawtooth: fall of the period");
    assert!(near(fall, SAWTOOTH_FALL));
}

#[test]
fn a_plateau_tells_what_the_last_part_brought() {
    let report = sampled("burst-retain-a");
    assert_eq!(checked(&report), stages(&[Stage::Live]));
    assert_eq!(report.verdict.kind, VerdictKind::Plateau);
    let mut asked = steps(&report, Stage::Shape).into_iter();
    let shape = asked.find(|step| step.question == "How does anonymous memory move?");
    let shape = shape.expect("its shape was asked for");
    assert_eq!(shape.verdict, Some(VerdictKind::Plateau), "{shape:#?}");
    let live = steps(&report, Stage::Live);
    assert_eq!(
        live[0].outcome,
        Outcome::PassedOn,
        "nobody looked: {live:#?}"
    );
}

#[test]
fn looks_decide_by_the_shares_of_the_evidence() {
    let leak = with_looks("leak-small-mid");
    assert_eq!(leak.verdict.kind, VerdictKind::HeapLeak);
    let shapes = checked(&leak);
    assert!(
        shapes.starts_with(&stages(&[Stage::Gate, Stage::Live])[..7]),
        "{shapes:?}"
    );
    spoke_for(&leak, "linear");
    let (grown, live) = (
        value(&leak, Stage::Live, "growth"),
        value(&leak, Stage::Live, "live share"),
    );
    let told = evidence(&leak, "has not freed", "bytes");
    assert!(
        near(grown * live.clamp(0.0, 1.0), told),
        "{grown} {live} {told}"
    );
    assert!(near(
        threshold(&leak, Stage::Live, "live share"),
        LIVE_SHARE
    ));
    assert!(near(
        threshold(&leak, Stage::Live, "live share less its error"),
        FREE_SHARE
    ));
    let rises = number(&leak, Stage::Gate, "rises between blocks");
    assert_eq!(rises.value, Some((BLOCKS - 1) as f64));

    let holes = with_looks("frag-survivor-a");
    assert_eq!(holes.verdict.kind, VerdictKind::Fragmentation);
    checked(&holes);
    let last = steps(&holes, Stage::Live).pop().expect("asked");
    assert_eq!(last.verdict, Some(VerdictKind::Fragmentation), "{last:#?}");
    assert!(near(
        threshold(&holes, Stage::Live, "kept share"),
        LIVE_SHARE
    ));
}

#[test]
fn what_is_open_names_its_candidates() {
    let report = sampled("leak-small-mid");
    let asked = checked(&report);
    assert!(
        asked.contains(&Stage::Gate) && asked.contains(&Stage::Live),
        "{asked:?}"
    );
    assert_eq!(report.verdict.kind, VerdictKind::Undetermined);
    let live = steps(&report, Stage::Live).pop().expect("asked");
    assert_eq!(live.outcome, Outcome::Doubted);
    for candidate in &report.verdict.candidates {
        assert!(live.decision.contains(candidate.words()), "{live:#?}");
    }
    let sure = value(&report, Stage::Confidence, "confidence");
    assert!(near(sure, report.verdict.confidence));
    assert!(near(
        threshold(&report, Stage::Confidence, "confidence"),
        LEAST_CONFIDENCE
    ));
    let odds = value(&report, Stage::Confidence, "log odds in all");
    assert!(near(1.0 / (1.0 + (-odds).exp()), sure));
    assert!(near(
        value(
            &report,
            Stage::Confidence,
            "log odds: open between candidates"
        ),
        STANDINGS[3]
    ));
}

#[test]
fn too_early_is_said_first_and_decides_last() {
    let report = analyze(&case("leak-small-mid", 8.0)).report;
    checked(&report);
    assert_eq!(report.reasoning.steps[0].outcome, Outcome::Doubted);
    let missing = format!("missing to {}", text::duration(SECONDS_FOR_GROWTH));
    let lacks = value(&report, Stage::Record, &missing);
    assert!((10.0..=14.0).contains(&lacks), "{lacks}");
    assert!(
        report.verdict.summary.starts_with("It is too early"),
        "{}",
        report.verdict.summary
    );

    let nothing = analyze(&observations(Vec::new(), "none")).report;
    assert_eq!(checked(&nothing), [Stage::Record, Stage::Verdict]);
}

/// Noise with a memory of 6 % of the record and no trend, its deviation 10 % of RSS.
#[test]
fn noise_with_a_memory_is_told_by_the_gate_or_the_shape() {
    let noise = Random(9).autoregressive(160, 0.06);
    let samples = (noise.into_iter().zip(0..))
        .map(|(noise, k)| heap_sample(f64::from(k) * 0.3, 3e7 + 3e6 * noise));
    let report = analyze(&observations(samples.collect(), "none")).report;
    let asked = checked(&report);
    assert!(asked.contains(&Stage::Shape), "{asked:?}");
    assert!(
        report.verdict.kind != VerdictKind::HeapLeak,
        "{}",
        report.verdict.summary
    );
}

#[test]
fn a_trail_that_nobody_hears_compares_alike() {
    let (mut heard, mut unheard) = (Trail::new(), Trail::unheard());
    for value in [0.0, 0.6, 1.0, f64::NAN, f64::INFINITY] {
        for trail in [&mut heard, &mut unheard] {
            assert_eq!(trail.above("x", value, Unit::Share, 0.6), value > 0.6);
            assert_eq!(trail.at_most("x", value, Unit::Share, 0.6), value <= 0.6);
        }
    }
    heard.pass(Stage::Gate, "Is it?", "It is.");
    unheard.pass(Stage::Gate, "Is it?", "It is.");
    let steps = heard.into_reasoning().steps;
    assert_eq!(steps[0].numbers.len(), 10);
    assert_eq!(
        steps[0].numbers[6].value, None,
        "what is not a number has no value"
    );
    assert_eq!(
        steps[0].numbers[0].threshold.map(|t| t.side),
        Some(Side::Above)
    );
    assert!(unheard.into_reasoning().steps.is_empty());
}
