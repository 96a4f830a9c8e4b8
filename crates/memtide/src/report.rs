//! `memtide report`: the verdict again, from a recording.

use crate::cli::options::Report;
use crate::exit::Code;
use crate::output::{self, Show};
use crate::secrets;
use crate::session::SAMPLES_FOR_VERDICT;
use crate::suppressions;
use memtide_record::Reader;

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
