//! The end of a session: the last counters, names, and the report.

use super::{SAMPLES_FOR_VERDICT, Session, Stage};
use crate::cli::options::Outputs;
use crate::heap::{Greeting, Heap};
use crate::names::{self, Search};
use crate::output::{self, Show};
use crate::progress::{self, Progress};
use memtide_analyzer::Suppressions;
use memtide_model::{Observations, Redactor};
use memtide_record::Reader;
use std::path::PathBuf;

/// What is done with a recording after its end.
#[derive(Default)]
pub(crate) struct Analysis {
    /// Call stacks that are accepted.
    pub(crate) suppressions: Suppressions,
    /// Where debug files are looked for, beside the usual places.
    pub(crate) debug_dirs: Vec<PathBuf>,
}

/// A recording whose file is closed.
pub(crate) struct Closed {
    file: PathBuf,
    progress: Progress,
    redactor: Option<Redactor>,
    stage: Stage,
    /// What ended it early.
    failure: Option<anyhow::Error>,
}

impl Session {
    /// Closes the file and reports on what it holds. A failure while recording is told after the
    /// report: what was recorded before it is still worth reading.
    pub(crate) fn finish(
        self,
        outputs: &Outputs,
        analysis: &Analysis,
        failure: Option<anyhow::Error>,
    ) -> anyhow::Result<()> {
        let mut closed = self.close(&analysis.debug_dirs);
        closed.failure = failure.or(closed.failure);
        closed.report(outputs, &analysis.suppressions)
    }

    /// Closes the file: the last counters, costs, and the names of places.
    pub(crate) fn close(mut self, debug_dirs: &[PathBuf]) -> Closed {
        self.progress.clear();
        self.collect();
        let stored = self.store_heap().and_then(|()| self.missed_hello());
        let cost = self.cost();
        let Self {
            lens,
            heap,
            mut writer,
            file,
            progress,
            mut redactor,
            stage,
            ..
        } = self;
        let closed = stored.and_then(|()| {
            writer.costs(&lens.costs(), cost)?;
            Ok(writer.finish()?)
        });
        if let Some((modules, held)) = heap.and_then(Heap::into_code) {
            let search = Search {
                modules: Some(&modules),
                debug_dirs,
                held: Some(held),
            };
            if let Err(error) = names::add(&file, search, redactor.as_mut()) {
                progress::warn(&format!("call stacks have no names: {error:#}"));
            }
        }
        Closed {
            file,
            progress,
            redactor,
            stage,
            failure: closed.err(),
        }
    }

    /// Says that no hello came, where the program has ended without and nobody has said so.
    fn missed_hello(&mut self) -> anyhow::Result<()> {
        let exe = self.exe();
        match self.heap.as_ref().map(|heap| heap.greeting(&exe)) {
            _ if self.heap_told => Ok(()),
            Some(Greeting::Silence) => {
                self.not_recorded("the program ended before the shim said hello")
            }
            Some(Greeting::Refused(why)) => self.not_recorded(why),
            Some(Greeting::Hello) | None => Ok(()),
        }
    }
}

impl Closed {
    /// What it holds, as far as it was recorded, for an analysis.
    pub(crate) fn observations(&mut self) -> anyhow::Result<Observations> {
        let mut observations = Reader::open(&self.file)?.observations(SAMPLES_FOR_VERDICT)?;
        if let Some(redactor) = &mut self.redactor {
            // What was recorded is clean; the recording's own path is not in it.
            redactor.observations(&mut observations);
        }
        Ok(observations)
    }

    fn report(mut self, outputs: &Outputs, suppressions: &Suppressions) -> anyhow::Result<()> {
        let observations = self.observations()?;
        let findings = memtide_analyzer::analyze_with(&observations, suppressions);
        let show = match self.stage {
            Stage::Own => Show::Result,
            Stage::Shared => Show::Aside,
        };
        let written = output::write(&findings, outputs, false, show);
        if let Some(failure) = self.failure {
            return Err(failure.context(format!(
                "the recording ended early; {} holds what came before",
                self.file.display()
            )));
        }
        for path in written? {
            self.progress.say(&format!("wrote {}", path.display()));
        }
        Ok(())
    }
}
