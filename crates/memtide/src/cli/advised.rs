//! Every command of memtide that a verdict advises, through the parser of this very command line.
//!
//! The verdicts are those of the corpus: whole, with what malloc held, cut short, and as other software. A command
//! stands behind a colon at the end of its sentence; a shell takes it apart. What it would start must be
//! the words that the process was started by.

use super::args::{Args, Command};
use super::options;
use clap::{CommandFactory as _, Parser as _};
use memtide_analyzer::analyze;
use memtide_import::{Series, read_series, read_truth};
use memtide_launch::allocator::Variant;
use memtide_model::{
    Bytes, HeapObservations, HeapSnapshot, Limits, Nanos, Observations, Recording, Sample, Target,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// As a process may have been started: a space, quotes, and what a shell would expand.
const STARTED_BY: [&str; 4] = ["/opt/my server/bin", "--name=it's", "$HOME", "*"];

/// Software as the sampler names it: allocator and runtime.
const SOFTWARE: [(&str, &str); 6] = [
    ("glibc 2.36", "none"),
    ("glibc 2.36", "cpython 3.11"),
    ("glibc 2.36", "jvm"),
    ("unknown", "go"),
    ("jemalloc", "none"),
    ("musl", "none"),
];

/// The series of the corpus, each with its log where it has one.
fn corpus() -> Vec<(Series, Option<PathBuf>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/corpus/series");
    let files = std::fs::read_dir(&folder).expect("the corpus is there");
    let name = |path: &Path| path.to_string_lossy().into_owned();
    let all: Vec<PathBuf> = files
        .map(|entry| entry.expect("listed").path())
        .filter(|path| name(path).ends_with(".csv.gz") && !name(path).ends_with(".truth.csv.gz"))
        .collect();
    (all.iter())
        .map(|path| {
            let log = PathBuf::from(name(path).replace(".csv.gz", ".truth.csv.gz"));
            let series = read_series(path).expect("a series");
            (series, log.exists().then_some(log))
        })
        .collect()
}

fn observations(
    samples: Vec<Sample>,
    heap: Option<Vec<HeapSnapshot>>,
    (allocator, runtime): (&str, &str),
) -> Observations {
    let process = samples[0].process;
    let target = Target {
        id: process,
        parent: None,
        name: "bin".to_owned(),
        exe: STARTED_BY[0].to_owned(),
        cmdline: STARTED_BY.map(str::to_owned).to_vec(),
        uid: 1000,
        age: Nanos::from_secs(3_600),
        allocator: allocator.to_owned(),
        runtime: runtime.to_owned(),
        limits: Limits::default(),
        cgroup: None,
        unseen: Vec::new(),
    };
    let recording = Recording {
        started: samples[0].at,
        ended: samples[samples.len() - 1].at,
        complete: true,
        samples: samples.len() as u64,
        interval: Nanos(250_000_000),
        page_size: Bytes(4096),
        ticks_per_second: 100,
        ..Recording::default()
    };
    Observations {
        heap: heap.map(|snapshots| HeapObservations {
            snapshots,
            unavailable: None,
        }),
        ..Observations::of_samples(target, recording, samples)
    }
}

/// What malloc held at five moments.
fn looks(series: &Series, log: &Path) -> Vec<HeapSnapshot> {
    let held = read_truth(log, series.origin).expect("a log");
    let step = (series.samples.len() / 4).max(1);
    (series
        .samples
        .iter()
        .step_by(step)
        .chain(series.samples.last()))
    .filter_map(|sample| {
        let row = held.iter().rfind(|held| held.at <= sample.at)?;
        Some(row.as_snapshot(sample))
    })
    .collect()
}

/// All that verdicts on the corpus advise.
fn advised() -> BTreeSet<String> {
    let mut advice = BTreeSet::new();
    for (series, log) in corpus() {
        // A quarter of the samples tells the same in a quarter of the time.
        let all: Vec<Sample> = series.samples.iter().step_by(4).copied().collect();
        let short = all[..all.len() / 5].to_vec();
        let looks = log.map(|log| looks(&series, &log));
        let told = [
            observations(all.clone(), looks, SOFTWARE[0]),
            observations(short, None, SOFTWARE[0]),
            observations(all[..2].to_vec(), None, SOFTWARE[0]),
        ];
        let others = SOFTWARE.map(|software| observations(all.clone(), None, software));
        for observations in told.into_iter().chain(others) {
            advice.extend(analyze(&observations).report.verdict.advice);
        }
    }
    advice
}

/// A line as a shell takes it apart.
fn words(line: &str) -> Vec<String> {
    let script = format!("printf '%s\\0' {line}");
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .output();
    let output = output.expect("a shell");
    assert!(output.status.success(), "{line}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// Takes the command as `main` would, up to where something would be done.
fn check(line: &str) {
    let words = words(line);
    let args = Args::try_parse_from(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
    let checked = match args.command {
        Command::Attach(args) => options::Attach::try_from(args).map(drop),
        Command::Inspect(args) => options::Inspect::try_from(args).map(drop),
        Command::Run(args) => {
            assert_eq!(args.command, STARTED_BY, "{line}");
            options::Run::try_from(args).map(drop)
        }
        Command::Compare(args) => {
            assert_eq!(args.command, STARTED_BY, "{line}");
            let arms = args.allocators.clone().unwrap_or_default();
            Variant::parse_list(&arms).unwrap_or_else(|error| panic!("{line}: {error}"));
            options::Compare::try_from(*args).map(drop)
        }
        Command::Ps(args) => super::ps::Ps::try_from(*args).map(drop),
        other => panic!("{line}: nobody checks {other:?}"),
    };
    checked.unwrap_or_else(|error| panic!("{line}: {error:#}"));
}

#[test]
fn every_command_that_is_advised_is_one() {
    let advice = advised();
    let commands = Args::command();
    let mut seen = BTreeSet::new();
    for sentence in &advice {
        let mut parts = sentence.split(": memtide ");
        let before = parts.next().unwrap_or_default();
        for command in commands.get_subcommands() {
            let inside = format!("memtide {} ", command.get_name());
            assert!(!before.contains(&inside), "not at the end: {sentence}");
        }
        if let Some(line) = parts.next() {
            check(&format!("memtide {line}"));
            seen.insert(line.to_owned());
        }
    }
    for name in ["attach", "inspect", "run", "compare"] {
        let start = format!("{name} ");
        assert!(
            seen.iter().any(|line| line.starts_with(&start)),
            "no {name} among {seen:?}"
        );
    }
}
