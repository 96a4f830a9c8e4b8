//! `memtide compare`: the same work under several allocators, or several recordings, side by side.
//!
//! ```text
//! arms ─► drawn order ─► trial: start, ready, load, settle, stop ─► recording ─► Trial ─► Comparison ─► report
//! ```
//!
//! Each trial is a recording like any other, made by the same [`crate::session::Session`] at the same cost in
//! every arm; what follows from them is the analyzer's. Nothing is started before all that can fail has
//! been tried: where the results go, the program, the libraries, the settings.

mod arms;
mod course;
mod names;
mod results;
mod trial;
mod wrapper;

use crate::cli::options::{Compare, Compared, Outputs, Work};
use crate::exit::Code;
use crate::progress::Progress;
use crate::secrets;
use crate::session::SAMPLES_FOR_VERDICT;
use crate::signals::Stop;
use anyhow::{Context as _, bail};
use arms::Arm;
use memtide_analyzer::comparison::{self, Inputs};
use memtide_launch::allocator::Files;
use memtide_launch::{Program, allocator, inspect_program, resolve};
use memtide_model::comparison::Trial;
use memtide_model::text::{self, printable};
use memtide_record::Reader;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use trial::Setting;

/// Compares what was asked for, and reports.
///
/// # Errors
/// For what happens before the first run; a run that fails is part of the report.
pub(crate) fn run(options: &Compare) -> anyhow::Result<Code> {
    crate::output::check(&options.outputs)?;
    match &options.what {
        Compared::Recordings(files) => recordings(files, &options.outputs),
        Compared::Allocators(work) => allocators(work, &options.outputs),
    }
}

/// Recordings that were made before.
fn recordings(files: &[PathBuf], outputs: &Outputs) -> anyhow::Result<Code> {
    let mut redactor = outputs.redact.then(secrets::redactor);
    let mut findings = Vec::new();
    for (file, mut name) in files.iter().zip(names::short(files)) {
        let mut observations = Reader::open(file)
            .and_then(|reader| reader.observations(SAMPLES_FOR_VERDICT))
            .with_context(|| format!("reading {}", file.display()))?;
        if let Some(redactor) = &mut redactor {
            redactor.observations(&mut observations);
            name.clone_from(&observations.recording.file);
        }
        findings.push((name, memtide_analyzer::analyze(&observations)));
    }
    results::write(&comparison::recordings(findings), outputs)?;
    Ok(Code::Done)
}

/// Allocators, on the same work.
fn allocators(work: &Work, outputs: &Outputs) -> anyhow::Result<Code> {
    let program = inspect_program(&resolve(&work.program)?)?;
    if let Some(why) = allocator::refusal(&program) {
        // Of a script it is the interpreter that is named.
        let script =
            (program.runs != program.path).then(|| format!("{}: ", program.path.display()));
        bail!("{}{why}", script.unwrap_or_default());
    }
    let mut arms = arms::prepare(&work.allocators, &program)?;
    let checks = trial::Checks::of(work)?;
    let stop = Stop::install_lasting()?;
    let seed = work.seed.unwrap_or_else(arms::seed);
    let folder = results::folder(work)?;
    let mut progress = Progress::new(outputs.quiet, false);
    progress.say(&format!(
        "{} of {} arms, seed {seed}; recordings in {}",
        text::plural(work.runs as u64, "run"),
        arms.len(),
        folder.display()
    ));
    let setting = Setting {
        work,
        program: &program,
        checks: &checks,
        folder: &folder,
        stop: &stop,
        redact: outputs.redact,
        files: &Files::default(),
    };
    if let Some(too_few) = too_few(work, arms.len()) {
        progress.say(&too_few);
    }
    make(&setting, &mut arms, seed, &mut progress);
    let mut cautions: Vec<String> = allocator::caution(&program).into_iter().collect();
    cautions.extend(beside(&arms));
    let mut inputs = Inputs {
        command: typed(&program, work),
        load: work.load.clone(),
        runs: work.runs as u64,
        seed,
        alpha: work.alpha,
        arms: arms.into_iter().map(Arm::into_input).collect(),
        budget_percent: 100.0 * work.budget,
        heap_read: work.inspects,
    };
    if outputs.redact {
        results::redact(&mut inputs, &mut cautions);
    }
    let mut comparison = comparison::allocators(inputs);
    comparison.warnings.extend(cautions);
    if let Some(signal) = stop.asked() {
        comparison.warnings.insert(
            0,
            format!("{signal} ended it early: this is what was done until then."),
        );
    }
    for path in results::write(&comparison, outputs)? {
        progress.say(&format!("wrote {}", path.display()));
    }
    let all_failed = comparison.arms.iter().all(|arm| arm.failed.is_some());
    Ok(if all_failed { Code::Failed } else { Code::Done })
}

/// What is known of the answer before the first run: that there will be none.
fn too_few(work: &Work, arms: usize) -> Option<String> {
    let others = (arms as u64).saturating_sub(1).max(1);
    let needed = comparison::holm::runs_needed(work.alpha, others);
    ((work.runs as u64) < needed).then(|| {
        format!(
            "{} of each cannot show a difference to {} at alpha {}: {needed} of each are needed (--runs {needed}); \
             what is measured is reported all the same",
            text::plural(work.runs as u64, "run"),
            text::plural(others, "other arm"),
            work.alpha
        )
    })
}

/// What was found in the files of the arms' processes, each once.
fn beside(arms: &[Arm]) -> BTreeSet<String> {
    arms.iter().flat_map(Arm::beside).cloned().collect()
}

/// Makes all runs in their drawn order.
fn make(setting: &Setting<'_>, arms: &mut [Arm], seed: u64, progress: &mut Progress) {
    let order = comparison::order(arms.len(), setting.work.runs, seed);
    let all = order.len();
    for (index, arm) in order.into_iter().enumerate() {
        let arm = &mut arms[arm];
        if setting.stop.asked().is_some() || arm.failed.is_some() {
            continue;
        }
        let made = trial::make(setting, arm, index as u64 + 1);
        progress.say(&format!(
            "run {} of {all}: {}: {}",
            index + 1,
            arm.name(),
            told(&made.trial)
        ));
        arm.add(made.trial, made.bound);
    }
}

/// A run in a line.
fn told(trial: &Trial) -> String {
    if let Some(why) = &trial.failed {
        return format!("failed: {why}");
    }
    let rate = trial
        .bytes_per_second
        .map_or_else(String::new, |rate| format!(", {}", text::rate(rate)));
    format!(
        "peak {}, settled {}{rate}, CPU {}",
        text::bytes(trial.peak_rss as f64),
        text::bytes(trial.settled_rss as f64),
        text::duration(trial.cpu_seconds),
    )
}

fn typed(program: &Program, work: &Work) -> Vec<String> {
    let arguments = work.arguments.iter();
    std::iter::once(program.path.as_os_str())
        .chain(arguments.map(AsRef::as_ref))
        .map(|word| printable(word.as_bytes()))
        .collect()
}
