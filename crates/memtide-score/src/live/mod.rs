//! The programs themselves, each under `memtide attach`, several at once; and runs of them that were kept.
//!
//! ```text
//! program ─► memtide attach ─► recording, log, report ─► answer
//!                              └► kept ─► memtide report ─┘
//! ```

mod draw;
mod keep;
mod process;

use crate::answer::{Answer, Window};
use crate::manifest::{Case, cases};
use crate::options::{Options, What};
use crate::random::Random;
use crate::{Error, Result, pool, recorded};
use keep::{About, Kept};
use memtide_analyzer::statistics::Series;
use memtide_import::read_truth;
use memtide_model::Nanos;
use memtide_model::report::Report;
use process::Program;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The program ends so much later than its recording (seconds).
const SPARE: f64 = 2.0;

/// One run of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The program and its arguments, from the corpus's folder.
    command: Vec<String>,
    /// How long it is watched, in seconds.
    seconds: f64,
    /// True if its arguments were drawn.
    drawn: bool,
}

/// What runs are made with.
struct Means {
    corpus: PathBuf,
    memtide: PathBuf,
    /// Where runs are kept.
    keep: Option<PathBuf>,
}

/// The answers of all runs. What failed is said on standard error and left out, with its number at the end.
///
/// Errors: of the manifest; of the folder for runs that are kept; `Run` where none could be made.
pub(crate) fn answers(options: &Options) -> Result<Vec<Answer>> {
    let cases = cases(&options.corpus, &options.only)?;
    let own = tempfile::tempdir().map_err(|error| Error::run("all cases", &error))?;
    let means = Means {
        corpus: absolute(&options.corpus)?,
        memtide: own.path().join("memtide"),
        keep: options.keep.clone(),
    };
    // It may be built anew while they run.
    std::fs::copy(&options.memtide, &means.memtide)
        .map_err(Error::file("copying", &options.memtide))?;
    if let Some(folder) = &means.keep {
        keep::begin(folder)?;
    }
    let runs: Vec<(usize, (&Case, Run))> = (all_runs(&cases, options).into_iter())
        .enumerate()
        .collect();
    let done = AtomicUsize::new(0);
    let begun = Instant::now();
    let limit = (options.minutes).map(|minutes| Duration::from_secs(minutes.saturating_mul(60)));
    let stop = || limit.is_some_and(|limit| begun.elapsed() >= limit);
    let results = pool::map_until(&runs, options.jobs, stop, |(number, (case, run))| {
        let result = judge(*number, case, run, &means);
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

/// Runs that were kept, judged again by the engine of today.
#[derive(Clone, Debug)]
pub(crate) struct Again {
    /// What kind of runs they are.
    pub(crate) what: What,
    /// When they were made: a day, or the first and the last.
    pub(crate) days: String,
    /// In the order of the runs.
    pub(crate) answers: Vec<Answer>,
}

/// Judges the runs that `folder` keeps.
///
/// Errors: of the manifest; of the folder; `Run` for the first run that cannot be judged.
pub(crate) fn again(folder: &Path, options: &Options) -> Result<Again> {
    let cases = cases(&options.corpus, &options.only)?;
    let memtide = absolute(&options.memtide)?;
    let mut kept = keep::read(folder)?;
    let what = keep::what(folder, &kept)?;
    kept.retain(|kept| kept.about.case.contains(&options.only));
    if kept.is_empty() {
        return Err(Error::Manifest {
            path: folder.to_owned(),
            why: format!(
                "no run that is kept is of a case with {:?} in its name",
                options.only
            ),
        });
    }
    let results = pool::map(&kept, pool::processors(), |kept| {
        let known = cases.iter().find(|case| case.name == kept.about.case);
        let case = known.ok_or_else(|| Error::Manifest {
            path: kept.folder.clone(),
            why: format!("the corpus has no case {} any more", kept.about.case),
        })?;
        judge_again(case, kept, &memtide)
    });
    Ok(Again {
        what,
        days: keep::days(&kept),
        answers: results.into_iter().collect::<Result<_>>()?,
    })
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(Error::file("looking for", path))
}

/// All runs. Drawn ones come in an order of their own, first draws of all cases first: however many are
/// made, they are a fair choice.
fn all_runs<'a>(cases: &'a [Case], options: &Options) -> Vec<(&'a Case, Run)> {
    let runs = (cases.iter()).flat_map(|case| {
        let each = runs(case, options).into_iter().enumerate();
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
fn runs(case: &Case, options: &Options) -> Vec<Run> {
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
            command,
            drawn: options.what == What::Long,
        })
        .collect()
}

/// With the corpus's files by absolute paths: programs run in a folder of their own.
fn located(command: &[String], corpus: &Path) -> Vec<String> {
    (command.iter())
        .map(|word| match corpus.join(word) {
            file if word.contains('/') && file.exists() => file.display().to_string(),
            _ => word.clone(),
        })
        .collect()
}

/// Runs a program, watches it, keeps that if it is to be kept, and compares.
fn judge(number: usize, case: &Case, run: &Run, means: &Means) -> Result<Answer> {
    let failed = |error: std::io::Error| Error::run(&case.name, &error);
    let folder = tempfile::tempdir().map_err(failed)?;
    let log = folder.path().join(keep::LOG);
    let json = folder.path().join("report.json");
    let command = located(&run.command, &means.corpus);
    let program = Program::start(&command, folder.path(), &log).map_err(failed)?;
    let watched = program.watch(&means.memtide, run.seconds, keep::RECORDING, &json);
    program.end();
    watched.map_err(|why| Error::run(&case.name, &why))?;
    let answer = answer(case, run, &log, &json)?;
    if let Some(kept) = &means.keep {
        let about = About {
            case: case.name.clone(),
            made: crate::today(),
            run: run.clone(),
        };
        keep::keep(kept, number, &about, folder.path())?;
    }
    Ok(answer)
}

/// What the engine says today of a run that was kept.
fn judge_again(case: &Case, kept: &Kept, memtide: &Path) -> Result<Answer> {
    let failed = |why: String| Error::run(&kept.folder.display().to_string(), &why);
    let folder = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
    let json = folder.path().join("report.json");
    process::report(memtide, &kept.folder.join(keep::RECORDING), &json).map_err(failed)?;
    answer(case, &kept.about.run, &kept.folder.join(keep::LOG), &json)
}

/// A run's report, compared with what is true by its log.
fn answer(case: &Case, run: &Run, log: &Path, json: &Path) -> Result<Answer> {
    let text = std::fs::read_to_string(json).map_err(Error::file("reading", json))?;
    let report: Report =
        serde_json::from_str(&text).map_err(|error| Error::run(&case.name, &error))?;
    let window = Window {
        from: 0.0,
        to: run.seconds.round(),
    };
    let live = if log.exists() {
        live_bytes(log, run.seconds)?
    } else {
        Series::default()
    };
    let truth = recorded::truth(case, &live, &rss(&report));
    let mut answer = Answer::of(case, window, truth, &report);
    if run.drawn {
        answer.arguments = (run.command.iter())
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
