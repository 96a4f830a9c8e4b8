//! The programs themselves, each under `memtide attach`, several at once.

mod draw;
mod process;

use crate::answer::{Answer, Window};
use crate::manifest::{Case, cases};
use crate::options::{Options, What};
use crate::random::Random;
use crate::{Error, Result, pool, recorded};
use memtide_analyzer::statistics::Series;
use memtide_import::read_truth;
use memtide_model::Nanos;
use memtide_model::report::Report;
use process::Program;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The program ends so much later than its recording (seconds).
const SPARE: f64 = 2.0;

/// One run of a case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    /// The program and its arguments, absolute.
    command: Vec<String>,
    /// How long it is watched, in seconds.
    seconds: f64,
    /// True if its arguments were drawn.
    drawn: bool,
}

/// The answers of all runs. What failed is said on standard error and left out, with its number at the end.
///
/// Errors: of the manifest; `Run` where none could be made.
pub(crate) fn answers(options: &Options) -> Result<Vec<Answer>> {
    let cases = cases(&options.corpus, &options.only)?;
    let corpus = absolute(&options.corpus)?;
    let memtide = absolute(&options.memtide)?;
    let runs = all_runs(&cases, &corpus, options);
    let done = AtomicUsize::new(0);
    let begun = Instant::now();
    let limit = (options.minutes).map(|minutes| Duration::from_secs(minutes.saturating_mul(60)));
    let stop = || limit.is_some_and(|limit| begun.elapsed() >= limit);
    let results = pool::map_until(&runs, options.jobs, stop, |(case, run)| {
        let result = judge(case, run, &memtide);
        let count = done.fetch_add(1, Ordering::Relaxed) + 1;
        let said = match &result {
            Ok(answer) => format!("{} → {}", case.label.name(), answer.kind.name()),
            Err(error) => error.to_string(),
        };
        eprintln!("{count}/{} {} {said}", runs.len(), case.name);
        result
    });
    let all = results.len();
    if all < runs.len() {
        eprintln!("time is up: {all} of {} runs were made", runs.len());
    }
    let answers: Vec<Answer> = results.into_iter().filter_map(Result::ok).collect();
    if answers.len() < all {
        eprintln!(
            "{} of {all} runs failed and are not scored",
            all - answers.len()
        );
    }
    if answers.is_empty() {
        return Err(Error::run(
            "all cases",
            "no run gave an answer; is memtide built?",
        ));
    }
    Ok(answers)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(Error::file("looking for", path))
}

/// All runs. Drawn ones come in an order of their own, first draws of all cases first: however many are
/// made, they are a fair choice.
fn all_runs<'a>(cases: &'a [Case], corpus: &Path, options: &Options) -> Vec<(&'a Case, Run)> {
    let runs = (cases.iter()).flat_map(|case| {
        let each = runs(case, corpus, options).into_iter().enumerate();
        each.map(move |(repeat, run)| (repeat, case, run))
    });
    let mut runs: Vec<(usize, &Case, Run)> = runs.collect();
    if options.what == What::Long {
        let count = runs.len();
        runs = Random::new(options.seed).some(runs, count);
        runs.sort_by_key(|(repeat, ..)| *repeat);
    }
    (runs.into_iter())
        .map(|(_, case, run)| (case, run))
        .collect()
}

/// The runs of a case.
fn runs(case: &Case, corpus: &Path, options: &Options) -> Vec<Run> {
    let commands = match options.what {
        What::Long => {
            let (of_leaks, of_others) = options.repeats;
            let repeats = if case.is_leak() { of_leaks } else { of_others };
            (0..repeats)
                .map(|repeat| draw::draw(case, options.seed, repeat))
                .collect()
        }
        _ => vec![case.run.clone()],
    };
    (commands.into_iter())
        .map(|command| Run {
            seconds: (draw::seconds(&command) - SPARE).max(1.0),
            command: located(command, corpus),
            drawn: options.what == What::Long,
        })
        .collect()
}

/// With the corpus's files by absolute paths: programs run in a folder of their own.
fn located(command: Vec<String>, corpus: &Path) -> Vec<String> {
    (command.into_iter())
        .map(|word| match corpus.join(&word) {
            file if word.contains('/') && file.exists() => file.display().to_string(),
            _ => word,
        })
        .collect()
}

/// Runs a program, watches it, and compares.
fn judge(case: &Case, run: &Run, memtide: &Path) -> Result<Answer> {
    let failed = |error: std::io::Error| Error::run(&case.name, &error);
    let folder = tempfile::tempdir().map_err(failed)?;
    let log = folder.path().join("truth.csv");
    let json = folder.path().join("report.json");
    let program = Program::start(&run.command, folder.path(), &log).map_err(failed)?;
    let watched = program.watch(memtide, run.seconds, &json);
    program.end();
    watched.map_err(|why| Error::run(&case.name, &why))?;
    let text = std::fs::read_to_string(&json).map_err(Error::file("reading", &json))?;
    let report: Report =
        serde_json::from_str(&text).map_err(|error| Error::run(&case.name, &error))?;
    let window = Window {
        from: 0.0,
        to: run.seconds.round(),
    };
    let live = if log.exists() {
        live_bytes(&log, run.seconds)?
    } else {
        Series::default()
    };
    let truth = recorded::truth(case, &live, &rss(&report));
    let mut answer = Answer::of(case, window, truth, &report);
    if run.drawn {
        answer.arguments = run
            .command
            .iter()
            .filter(|word| word.contains('='))
            .cloned()
            .collect();
    }
    Ok(answer)
}

/// Live bytes by the program's log while it was watched.
fn live_bytes(log: &Path, seconds: f64) -> Result<Series> {
    let held = read_truth(log, Nanos(0))?;
    Ok(Series::of(
        (held.iter())
            .map(|held| (held.at.as_secs_f64(), held.live.as_f64()))
            .filter(|(t, _)| *t <= seconds),
    ))
}

/// RSS as far as the report tells of it: a line from its start to its end.
fn rss(report: &Report) -> Series {
    let sum = |ends: fn(&memtide_model::report::LedgerRow) -> i64| {
        report.ledger.iter().map(ends).sum::<i64>() as f64
    };
    Series::of([
        (0.0, sum(|row| row.start_bytes)),
        (report.recording.seconds, sum(|row| row.end_bytes)),
    ])
}
