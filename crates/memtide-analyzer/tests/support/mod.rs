//! Turns the corpus's series into the observations that a recording of them would give.

#![allow(
    dead_code,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "each test file uses its own part of this module, and series hold small positive numbers"
)]

pub(crate) mod arms;
pub(crate) mod judged;
pub(crate) mod look;
pub(crate) mod shim;

use memtide_import::{Held, Known, read_series, read_truth};
use memtide_model::report::Report;
use memtide_model::{Bytes, Findings, Nanos, Observations, Pid, ProcessId, Sample, StartTime};
use memtide_report::terminal::{Options, render};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Second 0 of all records, as `memtide_import` counts.
pub(crate) const ORIGIN: Nanos = Nanos::from_secs(1_000);

/// One labelled case.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) run: String,
    pub(crate) label: String,
    pub(crate) outside: Vec<String>,
    pub(crate) series: String,
    pub(crate) live_rate: Option<f64>,
}

#[derive(Deserialize)]
struct Manifest {
    program: Vec<Case>,
}

/// Where the corpus lies.
pub(crate) fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/corpus")
}

/// All cases of the manifest.
pub(crate) fn cases() -> Vec<Case> {
    let text =
        std::fs::read_to_string(corpus().join("manifest.toml")).expect("the corpus is there");
    toml::from_str::<Manifest>(&text)
        .expect("a manifest")
        .program
}

/// The recording of a case from second `from` to second `to` of it.
pub(crate) fn window(case: &Case, from: f64, to: f64) -> Observations {
    let series = read_series(&corpus().join(&case.series)).expect("a series");
    let origin = series.origin;
    let within = |sample: &Sample| (from..=to).contains(&sample.at.seconds_since(origin));
    let samples = series.samples.into_iter().filter(within).collect();
    let runtime = if case.run.contains("python") {
        "cpython 3.11"
    } else {
        "none"
    };
    observations(samples, runtime)
}

/// What malloc held of the case in that time; `None` for the programs that kept no log.
pub(crate) fn log(case: &Case) -> Option<Vec<Held>> {
    let path = corpus().join(case.series.replace(".csv.gz", ".truth.csv.gz"));
    path.exists()
        .then(|| read_truth(&path, ORIGIN).expect("a log"))
}

/// Observations of samples alone, of a process that is an hour old.
pub(crate) fn observations(samples: Vec<Sample>, runtime: &str) -> Observations {
    let known = Known {
        name: "case",
        runtime,
        age: Nanos::from_secs(3_600),
        limits: memtide_model::Limits::default(),
    };
    let mut observations = memtide_import::observations(&known, samples, None);
    "/bin/case".clone_into(&mut observations.target.exe);
    observations.target.cmdline = vec!["case".to_owned()];
    observations
}

fn process() -> ProcessId {
    ProcessId {
        pid: Pid(4182),
        start: StartTime(77),
    }
}

/// A sample of synthetic RSS in bytes, all of it in `[heap]`.
pub(crate) fn heap_sample(seconds: f64, bytes: f64) -> Sample {
    let at = Nanos::from_secs_f64(1_000.0 + seconds);
    memtide_import::heap_sample(at, process(), Bytes(bytes.max(0.0) as u64))
}

/// Observations of synthetic RSS.
pub(crate) fn heap(points: impl IntoIterator<Item = (f64, f64)>) -> Observations {
    observations(
        points.into_iter().map(|(t, y)| heap_sample(t, y)).collect(),
        "none",
    )
}

/// A report may hold no number that is none, wherever it is shown: as JSON (where one would be a null), as text
/// with all that can be asked for, on a page.
pub(crate) fn assert_has_numbers_only(findings: &Findings, of: &str) {
    let numbers = format!("{findings:?}");
    let shown = |word: &str| ["NaN", "inf", "-inf", "infs"].contains(&word);
    let apart = |c: char| !(c.is_alphanumeric() || c == '-' || c == '_');
    let found = |text: &str| text.split(apart).any(shown);
    assert!(!found(&numbers), "{of}: {numbers}");
    let json = memtide_report::json::render(&findings.report);
    let back: Report = serde_json::from_str(&json).expect("a report can be read again");
    assert_eq!(back.verdict.kind, findings.report.verdict.kind, "{of}");
    for explain in [false, true] {
        let options = Options {
            explain,
            ..Options::default()
        };
        let text = render(findings, &options);
        assert!(!text.is_empty() && !found(&text), "{of}: {text}");
    }
    assert!((0.0..=1.0).contains(&findings.report.verdict.confidence));
}

/// Random numbers that every run repeats: xorshift64* (Vigna 2016).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Uniform within 0 and 1, never 0.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        (bits as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let (u, v) = (self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (core::f64::consts::TAU * v).cos()
    }

    /// A first-order autoregressive series of `n` values with deviation 1 whose time constant is
    /// `tau` records; independent values for `tau` 0.
    pub(crate) fn autoregressive(&mut self, n: usize, tau: f64) -> Vec<f64> {
        let phi = if tau > 0.0 {
            (-1.0 / (n as f64 * tau)).exp()
        } else {
            0.0
        };
        let mut last = self.normal();
        (0..n)
            .map(|_| {
                let value = last;
                last = phi * last + (1.0 - phi * phi).sqrt() * self.normal();
                value
            })
            .collect()
    }
}
