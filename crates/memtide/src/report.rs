//! `memtide report`: the verdict again, from a recording.

use crate::attach::SAMPLES_FOR_VERDICT;
use crate::cli::options::Report;
use crate::exit::Code;
use crate::output;
use crate::secrets;
use memtide_record::Reader;

/// Reads a recording and writes the reports that were asked for.
pub(crate) fn run(options: &Report) -> anyhow::Result<Code> {
    output::check(&options.outputs)?;
    let mut observations = Reader::open(&options.file)?.observations(SAMPLES_FOR_VERDICT)?;
    if options.outputs.redact {
        secrets::redactor().observations(&mut observations);
    }
    let findings = memtide_analyzer::analyze(&observations);
    output::write(&findings, &options.outputs, options.explain)?;
    Ok(Code::Done)
}
