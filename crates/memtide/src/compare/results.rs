//! Where runs and results go.

use crate::cli::options::{Outputs, Work};
use crate::naming;
use crate::output;
use crate::progress;
use anyhow::Context as _;
use memtide_model::Redactor;
use memtide_model::comparison::Comparison;
use memtide_report::comparison as report;
use memtide_report::terminal;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// The folder of the runs, made.
///
/// # Errors
/// Where it is there already, or cannot be made.
pub(super) fn folder(work: &Work) -> anyhow::Result<PathBuf> {
    let path = work
        .folder
        .clone()
        .unwrap_or_else(|| naming::default_folder(&work.program));
    DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .with_context(|| {
            format!(
                "cannot make the folder {}; name another one with -o",
                path.display()
            )
        })?;
    Ok(path)
}

/// Writes all that was asked for, and the text.
pub(super) fn write(comparison: &Comparison, outputs: &Outputs) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    if let Some(path) = &outputs.html {
        output::save(path, report::html(comparison)?.as_bytes())?;
        written.push(path.clone());
    }
    if let Some(path) = &outputs.png {
        output::save(path, &report::png(comparison, output::PNG_SCALE)?)?;
        written.push(path.clone());
    }
    let mut is_on_stdout = false;
    if let Some(path) = &outputs.json {
        output::save(path, report::json(comparison).as_bytes())?;
        is_on_stdout = output::is_stdout(path);
        if !is_on_stdout {
            written.push(path.clone());
        }
    }
    if !outputs.quiet && !is_on_stdout {
        let options = terminal::Options {
            width: progress::width(rustix::stdio::stdout()),
            color: outputs.color,
            explain: false,
        };
        output::print(&report::text(comparison, &options))?;
    }
    Ok(written)
}

/// Without paths and commands of the user's; the program's own are redacted in its recordings already.
pub(super) fn redact(comparison: &mut Comparison) {
    let mut redactor = crate::secrets::redactor();
    if let Some(load) = &mut comparison.load {
        redactor.text(load);
    }
    for arm in &mut comparison.arms {
        for trial in &mut arm.runs {
            let name = trial
                .recording
                .as_deref()
                .and_then(|path| Path::new(path).file_name());
            trial.recording = name.map(|name| name.to_string_lossy().into_owned());
            redact_why(&mut redactor, &mut trial.failed);
        }
        redact_why(&mut redactor, &mut arm.failed);
        (arm.environment.iter_mut()).for_each(|line| redactor.text(line));
    }
}

fn redact_why(redactor: &mut Redactor, why: &mut Option<String>) {
    if let Some(why) = why {
        redactor.text(why);
    }
}
