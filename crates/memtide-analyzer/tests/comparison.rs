//! Comparisons of arms: how often a difference is found where there is none and where there is one, which arm is
//! taken, and that no number makes it stumble.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "random numbers of any size are what is wanted"
)]

mod support;

use memtide_analyzer::comparison::{ArmInput, Inputs, allocators, permutation, power};
use memtide_model::Shape;
use memtide_model::comparison::{Arm, Comparison, ComparisonKind, Trial};
use support::Random;
use support::arms::{MIB, Scatter, arm, growing, inputs, level, scattered};

const SCATTERS: [Scatter; 5] = [
    Scatter::LogNormal(0.01),
    Scatter::LogNormal(0.03),
    Scatter::LogNormal(0.05),
    Scatter::Bimodal,
    Scatter::HeavyTailed,
];

/// Two arms whose settled RSS scatters, the second `factor` times as large.
fn pair(runs: usize, factor: f64, scatter: Scatter, random: &mut Random) -> Comparison {
    let run = |factor: f64| {
        move |random: &mut Random| Trial {
            settled_rss: (100.0 * MIB * factor * scatter.draw(random)) as u64,
            ..Trial::default()
        }
    };
    let arms = vec![
        scattered("glibc", runs, random, run(1.0)),
        scattered("jemalloc", runs, random, run(factor)),
    ];
    allocators(Inputs {
        seed: (random.uniform() * 1e9) as u64,
        ..inputs(arms)
    })
}

fn ratio(comparison: &Comparison) -> memtide_model::comparison::Ratio {
    comparison.arms[1]
        .settled_rss_ratio
        .expect("there are runs enough")
}

#[test]
fn identical_arms_are_called_different_as_rarely_as_alpha_says() {
    let mut random = Random(11);
    for scatter in SCATTERS {
        let (mut different, mut covered) = (0, 0);
        for _ in 0..200 {
            let comparison = pair(6, 1.0, scatter, &mut random);
            let ratio = ratio(&comparison);
            covered += u32::from((ratio.low..=ratio.high).contains(&1.0));
            different += u32::from(ratio.differs);
            let named = comparison.verdict.kind != ComparisonKind::NoDifference;
            assert!(!named || ratio.differs, "{:?}", comparison.verdict);
        }
        println!("{scatter:?}: {different} of 200 different, {covered} of 200 intervals hold 1");
        assert!(different <= 9, "{scatter:?}: {different} of 200 differ");
        assert!(
            covered >= 170,
            "{scatter:?}: {covered} of 200 intervals hold 1"
        );
    }
}

#[test]
fn many_identical_arms_are_no_more_often_different() {
    let mut random = Random(12);
    let run = |random: &mut Random| Trial {
        settled_rss: (100.0 * MIB * Scatter::LogNormal(0.03).draw(random)) as u64,
        ..Trial::default()
    };
    let different = (0..200).filter(|_| {
        let names = ["glibc", "a", "b", "c", "d"];
        let arms = names
            .map(|name| scattered(name, 6, &mut random, run))
            .to_vec();
        let comparison = allocators(inputs(arms));
        (comparison.arms.iter()).any(|arm| arm.settled_rss_ratio.is_some_and(|r| r.differs))
    });
    let different = different.count();
    println!("four arms: {different} of 200 comparisons name a difference");
    assert!(different <= 9, "{different}");
}

#[test]
fn a_difference_of_three_scatters_is_found_and_its_interval_holds_it() {
    let mut random = Random(13);
    for deviation in [0.01, 0.03, 0.05] {
        let factor = (-3.0_f64 * deviation).exp();
        let (mut found, mut covered) = (0, 0);
        for _ in 0..100 {
            let comparison = pair(6, factor, Scatter::LogNormal(deviation), &mut random);
            let ratio = ratio(&comparison);
            found += u32::from(comparison.verdict.kind == ComparisonKind::Take);
            covered += u32::from((ratio.low..=ratio.high).contains(&factor));
        }
        println!("{deviation}: {found} of 100 found, {covered} of 100 intervals hold it");
        assert!(found > 80, "{deviation}: {found}");
        assert!(covered >= 85, "{deviation}: {covered}");
    }
}

/// Runs whose logarithms have just this standard deviation.
fn exact(runs: u32, deviation: f64) -> Vec<f64> {
    let half = deviation * (f64::from(runs - 1) / f64::from(runs)).sqrt();
    let signs = (0..runs).map(|k| if k % 2 == 0 { half } else { -half });
    signs.map(f64::exp).collect()
}

#[test]
fn what_is_called_detectable_is_detected_in_four_of_five() {
    let mut random = Random(14);
    let mut rng = fastrand::Rng::with_seed(14);
    let scatter = Scatter::LogNormal(0.03);
    // Power of the permutation test at that change, by 4,000 simulations elsewhere: .78, .79 and, where
    // only the two most extreme of 924 arrangements pass, .66.
    for (runs, level, expected) in [(6, 0.02, 0.78), (8, 0.02, 0.79), (6, 0.0025, 0.66)] {
        let arm = exact(runs, 0.03);
        let factor = 1.0 + power::detectable(&arm, &arm, level).expect("runs enough");
        let mut draw = |factor| -> Vec<f64> {
            (0..runs)
                .map(|_| factor * scatter.draw(&mut random))
                .collect()
        };
        let found = (0..3_000).filter(|_| {
            let (here, there) = (draw(factor), draw(1.0));
            permutation::p_value(&here, &there, &mut rng).is_some_and(|p| p <= level)
        });
        let found = found.count() as f64 / 3_000.0;
        println!("{runs} runs at {level}: {factor:.3} found in {found:.2}");
        assert!(
            (found - expected).abs() < 0.03,
            "{runs} at {level}: {found}"
        );
    }
}

/// Six runs about a value, 1 % apart.
fn about(settled: f64, cpu: f64) -> Vec<Trial> {
    [0.99, 1.0, 1.01, 0.995, 1.005, 1.002]
        .map(|factor| level(settled * factor, cpu * factor))
        .to_vec()
}

fn leaks(rate: f64, given_back: f64) -> Vec<Trial> {
    [0.99, 1.0, 1.01, 0.995, 1.005, 1.002]
        .map(|factor| growing(rate * factor, given_back))
        .to_vec()
}

fn find<'a>(comparison: &'a Comparison, name: &str) -> &'a Arm {
    comparison
        .arms
        .iter()
        .find(|arm| arm.arm == name)
        .expect("the arm is there")
}

fn said(sentences: &[String], part: &str) {
    assert!(
        sentences.iter().any(|sentence| sentence.contains(part)),
        "{part:?} in {sentences:#?}"
    );
}

#[test]
fn the_arm_with_the_least_memory_is_taken_with_its_cost_and_its_settings() {
    let comparison = allocators(inputs(vec![
        arm("glibc", about(100.0 * MIB, 10.0)),
        arm("jemalloc", about(60.0 * MIB, 11.0)),
        arm("tcmalloc", about(80.0 * MIB, 10.0)),
        arm("mimalloc", about(100.3 * MIB, 10.0)),
    ]));
    let verdict = &comparison.verdict;
    assert_eq!(
        (verdict.kind, verdict.arm.as_deref()),
        (ComparisonKind::Take, Some("jemalloc"))
    );
    // Medians of all arms are factor 1.001 of the same: the ratio is exact.
    let ratio = find(&comparison, "jemalloc").settled_rss_ratio.unwrap();
    assert!((ratio.value - 0.6).abs() < 1e-6 && ratio.low < 0.6 && ratio.high > 0.6);
    // Holm: the smallest of three, times three.
    assert!(
        (ratio.p_corrected.unwrap() - 3.0 * 2.0 / 924.0).abs() < 1e-9,
        "{ratio:?}"
    );
    for part in [
        "Take jemalloc: RSS after settling is 40 % less than under glibc (",
        "it takes 10 % more CPU time (",
        "no difference in time is shown",
    ] {
        assert!(
            verdict.summary.contains(part),
            "{part:?} in {}",
            verdict.summary
        );
    }
    said(&verdict.advice, "LD_PRELOAD=/usr/lib/libjemalloc.so");
    said(&verdict.advice, "Confirm it under real load");
    said(
        &verdict.evidence,
        "tcmalloc: RSS after settling is 80.1 MiB (median of 6 runs)",
    );
    said(&verdict.evidence, "mimalloc: RSS after settling is");
    assert!((comparison.overhead.used_percent - 0.5).abs() < 1e-9);
    assert_eq!(
        (
            comparison.statistics.tested,
            comparison.statistics.runs_needed
        ),
        (3, 6)
    );
}

#[test]
fn an_arm_within_the_interval_at_less_cpu_is_named() {
    let comparison = allocators(inputs(vec![
        arm("glibc", about(100.0 * MIB, 10.0)),
        arm("jemalloc", about(60.0 * MIB, 13.0)),
        arm("tcmalloc", about(60.1 * MIB, 10.0)),
    ]));
    assert_eq!(comparison.verdict.arm.as_deref(), Some("jemalloc"));
    said(
        &comparison.verdict.evidence,
        "tcmalloc is the cheaper choice",
    );
}

#[test]
fn a_leak_is_cured_by_no_allocator_and_a_lower_start_buys_time() {
    let lower = |mut trial: Trial| {
        trial.settled_rss -= (20.0 * MIB) as u64;
        trial.end_rss = trial.settled_rss;
        trial
    };
    let comparison = allocators(inputs(vec![
        arm("glibc", leaks(MIB, 0.0)),
        arm("jemalloc", leaks(MIB, 0.0).into_iter().map(lower).collect()),
        arm("tcmalloc", leaks(1.05 * MIB, 0.0)),
    ]));
    let verdict = &comparison.verdict;
    assert_eq!(
        verdict.kind,
        ComparisonKind::NoneHelps,
        "{}",
        verdict.summary
    );
    assert!(
        verdict
            .summary
            .contains("A leak is not cured by an allocator")
    );
    said(&verdict.evidence, "jemalloc holds 29 % less");
    said(&verdict.evidence, "it only buys time");
    said(
        &verdict.advice,
        "memtide run --heap sampled -- ./server --port=1",
    );
    assert_eq!(find(&comparison, "jemalloc").grows, Some(true));
}

#[test]
fn growth_that_stops_slows_or_is_given_back_is_a_reason_to_take_an_arm() {
    let of = |trials: Vec<Trial>| {
        let verdict = allocators(inputs(vec![
            arm("glibc", leaks(MIB, 0.0)),
            arm("x", trials),
        ]))
        .verdict;
        assert_eq!(
            (verdict.kind, verdict.arm.as_deref()),
            (ComparisonKind::Take, Some("x")),
            "{}",
            verdict.summary
        );
        verdict
    };
    assert!(
        of(about(60.0 * MIB, 5.0))
            .summary
            .contains("memory does not go on growing")
    );
    let slower = of(leaks(0.3 * MIB, 0.0));
    assert!(
        slower.summary.contains("memory grows 70 % more slowly"),
        "{}",
        slower.summary
    );
    said(&slower.advice, "memtide run --heap");
    // The same rate under load, and all of it comes back.
    let back = of(leaks(MIB, 20.0 * MIB));
    assert!(
        back.summary.contains("it gives back afterwards"),
        "{}",
        back.summary
    );
}

#[test]
fn no_difference_says_what_could_have_been_seen() {
    let same = allocators(inputs(vec![
        arm("glibc", about(100.0 * MIB, 10.0)),
        arm("glibc#2", about(100.1 * MIB, 10.0)),
    ]));
    assert_eq!(same.verdict.kind, ComparisonKind::NoDifference);
    assert!(
        same.verdict.summary.contains("a saving of 1."),
        "{}",
        same.verdict.summary
    );
    // Shown, and too little to matter: the baseline is exact, the other .2 % below.
    let little = allocators(inputs(vec![
        arm("glibc", vec![level(100.0 * MIB, 1.0); 6]),
        arm("jemalloc", vec![level(99.8 * MIB, 1.0); 6]),
    ]));
    assert!(ratio(&little).differs);
    assert_eq!(little.verdict.kind, ComparisonKind::NoDifference);
    said(
        &little.verdict.evidence,
        "below 1.0 % it is not worth a change",
    );
}

#[test]
fn the_baseline_is_taken_where_all_others_need_more() {
    let comparison = allocators(inputs(vec![
        arm("glibc", about(100.0 * MIB, 10.0)),
        arm("jemalloc", about(120.0 * MIB, 10.0)),
    ]));
    assert_eq!(comparison.verdict.arm.as_deref(), Some("glibc"));
    assert!(
        comparison
            .verdict
            .summary
            .starts_with("Stay with glibc: jemalloc needs 20 % more")
    );
}

#[test]
fn an_arm_that_grows_is_not_taken_from_a_baseline_that_does_not() {
    let low: Vec<Trial> = (leaks(0.1 * MIB, 0.0).into_iter())
        .map(|trial| Trial {
            settled_rss: (40.0 * MIB) as u64,
            end_rss: (40.0 * MIB) as u64,
            ..trial
        })
        .collect();
    let comparison = allocators(inputs(vec![
        arm("glibc", about(100.0 * MIB, 10.0)),
        arm("x", low),
    ]));
    assert_ne!(comparison.verdict.kind, ComparisonKind::Take);
}

#[test]
fn too_few_runs_are_undetermined() {
    let few = |runs: usize, arms: usize| {
        let arms = (0..arms).map(|k| {
            arm(
                &format!("a{k}"),
                about(100.0 * MIB * (1.0 + k as f64), 1.0)[..runs].to_vec(),
            )
        });
        allocators(inputs(arms.collect()))
    };
    let three = few(3, 2);
    assert_eq!(three.verdict.kind, ComparisonKind::Undetermined);
    assert!(ratio(&three).p.is_none() && !ratio(&three).differs);
    said(&three.verdict.advice, "--runs 5");
    // Five runs show one difference at alpha .02, and not one of three.
    assert_eq!(few(5, 2).verdict.kind, ComparisonKind::Take);
    let many = few(5, 4);
    assert_eq!(
        many.verdict.kind,
        ComparisonKind::Undetermined,
        "{}",
        many.verdict.summary
    );
    said(&many.verdict.advice, "--runs 6");
}

#[test]
fn a_failed_arm_is_named_and_the_others_stand() {
    let mut jemalloc = about(60.0 * MIB, 10.0);
    jemalloc.push(Trial {
        failed: Some("the load exited with 1".to_owned()),
        order: 9,
        ..level(900.0 * MIB, 1.0)
    });
    let broken = ArmInput {
        failed: Some("it is linked statically".to_owned()),
        ..arm("tcmalloc", Vec::new())
    };
    let comparison = allocators(inputs(vec![
        arm("glibc", about(100.0 * MIB, 10.0)),
        broken,
        arm("jemalloc", jemalloc),
    ]));
    assert_eq!(comparison.verdict.arm.as_deref(), Some("jemalloc"));
    assert_eq!(comparison.statistics.tested, 1);
    said(
        &comparison.warnings,
        "tcmalloc is not compared: it is linked statically.",
    );
    said(
        &comparison.warnings,
        "1 of 7 runs of jemalloc failed and count for nothing; run 9: the load exited with 1.",
    );
    let median = find(&comparison, "jemalloc").median.settled_rss.unwrap();
    assert!((median / MIB - 60.06).abs() < 0.1);
}

#[test]
fn unequal_lengths_are_said() {
    let mut longer = about(100.0 * MIB, 10.0);
    for trial in &mut longer {
        trial.work_ended_at = Some(41.0);
    }
    let comparison = allocators(inputs(vec![
        arm("glibc", about(100.0 * MIB, 10.0)),
        arm("x", longer),
    ]));
    said(
        &comparison.warnings,
        "The work took 20 s under glibc and 40 s under x",
    );
}

/// Any number there is, those that are none included.
fn any(random: &mut Random) -> f64 {
    match (random.uniform() * 10.0) as u32 {
        0 => 0.0,
        1 => f64::NAN,
        2 => f64::INFINITY,
        3 => -random.uniform() * 1e9,
        4 => f64::MAX,
        5 => f64::MIN_POSITIVE,
        6 => 1.0,
        _ => random.uniform() * 1e9,
    }
}

fn any_trial(random: &mut Random) -> Trial {
    let size = |random: &mut Random| match (random.uniform() * 6.0) as u32 {
        0 => 0,
        1 => u64::MAX,
        2 => 4096,
        _ => (random.uniform() * 1e9) as u64,
    };
    let maybe = |random: &mut Random| (random.uniform() < 0.7).then(|| any(random));
    let shapes = [Shape::Linear, Shape::Flat, Shape::Stairs, Shape::Unclear];
    Trial {
        failed: (random.uniform() < 0.1).then(|| "broken".to_owned()),
        peak_rss: size(random),
        end_rss: size(random),
        settled_rss: size(random),
        mean_rss: size(random),
        bytes_per_second: maybe(random),
        low: maybe(random),
        high: maybe(random),
        shape: shapes.get((random.uniform() * 5.0) as usize).copied(),
        heap_live: Some(size(random)),
        heap_retained: Some(size(random)),
        minor_faults: size(random),
        major_faults: size(random),
        cpu_seconds: any(random),
        wall_seconds: any(random),
        metric: maybe(random),
        cost_cpu_seconds: any(random),
        ready_at: maybe(random),
        work_ended_at: maybe(random),
        rss: vec![(any(random), size(random)), (any(random), size(random))],
        ..Trial::default()
    }
}

/// Every number of a JSON value, with its path; text that says NaN or inf.
fn unsound(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(key, value)| unsound(value, &format!("{path}.{key}"), found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| unsound(item, path, found)),
        serde_json::Value::String(text) if text.contains("NaN") || text.contains("inf ") => {
            found.push(format!("{path}: {text}"));
        }
        _ => {}
    }
}

#[test]
fn no_number_makes_a_comparison_stumble() {
    let mut random = Random(15);
    for round in 0..150 {
        let arms = (random.uniform() * 5.0) as usize;
        let arms = (0..arms).map(|k| {
            let runs = (random.uniform() * 9.0) as usize;
            let alike = random.uniform() < 0.3;
            let first = any_trial(&mut random);
            let again = |random: &mut Random| {
                if alike {
                    first.clone()
                } else {
                    any_trial(random)
                }
            };
            let trials: Vec<Trial> = (0..runs).map(|_| again(&mut random)).collect();
            ArmInput {
                failed: (random.uniform() < 0.1).then(|| "gone".to_owned()),
                ..arm(&format!("a{k}"), trials)
            }
        });
        let arms = arms.collect();
        let comparison = allocators(Inputs {
            alpha: any(&mut random),
            ..inputs(arms)
        });
        // A number that is none becomes null in JSON, and a required one that is null cannot be read back.
        let json = serde_json::to_string(&comparison).unwrap();
        let back: Comparison = serde_json::from_str(&json)
            .unwrap_or_else(|error| panic!("round {round}: {error}: {json}"));
        for arm in &comparison.arms {
            let ratios = [
                arm.settled_rss_ratio,
                arm.cpu_ratio,
                arm.growth_ratio,
                arm.metric_ratio,
            ];
            for ratio in ratios.into_iter().flatten() {
                assert!(
                    ratio.low <= ratio.value && ratio.value <= ratio.high,
                    "{ratio:?}"
                );
                assert!(
                    ratio.p.is_none_or(|p| (0.0..=1.0).contains(&p)),
                    "{ratio:?}"
                );
            }
        }
        assert_eq!(back.arms.len(), comparison.arms.len());
        let mut found = Vec::new();
        unsound(&serde_json::to_value(&comparison).unwrap(), "", &mut found);
        assert!(found.is_empty(), "round {round}: {found:#?}");
    }
}

#[test]
fn the_same_runs_and_seed_give_the_same_comparison() {
    let of = |seed| {
        let mut random = Random(16);
        let comparison = pair(6, 0.98, Scatter::LogNormal(0.02), &mut random);
        let arms = comparison
            .arms
            .into_iter()
            .map(|arm| support::arms::arm(&arm.arm, arm.runs));
        allocators(Inputs {
            seed,
            ..inputs(arms.collect())
        })
    };
    assert_eq!(of(1), of(1));
    assert_eq!(
        ratio(&of(1)).p,
        ratio(&of(2)).p,
        "an exact test draws nothing"
    );
}
