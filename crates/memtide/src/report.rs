//! `memtide report`: the verdict again, from a recording.

use crate::cli::options::{Outputs, Report};
use crate::exit::Code;
use crate::output::{self, Show};
use crate::progress::Progress;
use crate::secrets;
use crate::session::SAMPLES_FOR_VERDICT;
use crate::suppressions;
use memtide_analyzer::Suppressions;
use memtide_model::Redactor;
use memtide_record::Reader;
use std::path::Path;

/// Reads a recording and writes the reports that were asked for.
pub(crate) fn run(options: &Report) -> anyhow::Result<Code> {
    output::check(&options.outputs)?;
    let suppressions = suppressions::load(options.suppressions.as_deref())?;
    let mut observations = Reader::open(&options.file)?.observations(SAMPLES_FOR_VERDICT)?;
    if options.outputs.redact {
        secrets::redactor().observations(&mut observations);
    }
    let findings = memtide_analyzer::analyze_with(&observations, &suppressions);
    output::write(&findings, &options.outputs, options.explain, Show::Result)?;
    Ok(Code::Done)
}

/// Reports on a recording that has just been made of what others left, and says where it is. What was recorded
/// is redacted already; the recording's own path is not.
pub(crate) fn of_made(
    file: &Path,
    outputs: &Outputs,
    suppressions: &Suppressions,
    redactor: Option<&mut Redactor>,
) -> anyhow::Result<()> {
    let mut observations = Reader::open(file)?.observations(SAMPLES_FOR_VERDICT)?;
    if let Some(redactor) = redactor {
        redactor.observations(&mut observations);
    }
    let findings = memtide_analyzer::analyze_with(&observations, suppressions);
    let mut progress = Progress::new(outputs.quiet, false);
    progress.say(&format!("recording in {}", file.display()));
    for path in output::write(&findings, outputs, false, Show::Result)? {
        progress.say(&format!("wrote {}", path.display()));
    }
    Ok(())
}
