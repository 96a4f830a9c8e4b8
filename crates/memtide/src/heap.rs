//! What the preload shim writes, on its way from the regions into the recording.
//!
//! Regions are read before the sampler looks, which must know what memory is the shim's, and stored after
//! its tick, to which they belong. Nothing is stored before the first region is there: a recording in
//! which nobody looked must not say that nothing was allocated.

use crate::code_files::CodeFiles;
use memtide_collect::Collector;
use memtide_model::{Bytes, CodeModule, HeapMode, Nanos, Pid, Redactor, StacksTick};
use memtide_record::Writer;
use memtide_symbols::HeldFiles;
use std::path::Path;

/// What the shim says when a program starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// That it records.
    Hello,
    /// That it does not, and why.
    Refused(&'static str),
    /// Nothing yet.
    Silence,
}

/// The regions of one run.
pub(crate) struct Heap {
    collector: Collector,
    target: Pid,
    mode: HeapMode,
    interval: Bytes,
    /// Whether a region has come.
    is_there: bool,
    /// Whether the recording knows of it.
    is_announced: bool,
    /// What was read and is to be stored, each once and in order.
    read: Vec<StacksTick>,
    /// The files as they are, in the order of their numbers: names are looked up in them, also where the
    /// recording has placeholders.
    modules: Vec<CodeModule>,
    files: CodeFiles,
}

impl Heap {
    /// Of the process `target` and its descendants, whose regions come into `directory`. `files` are those of
    /// theirs that are held already.
    pub(crate) fn open(
        directory: &Path,
        target: Pid,
        (mode, interval): (HeapMode, Bytes),
        files: CodeFiles,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            collector: Collector::open(directory)?.removing(),
            target,
            mode,
            interval,
            is_there: false,
            is_announced: false,
            read: Vec::new(),
            modules: Vec::new(),
            files,
        })
    }

    /// What the shim has said in the target while it was the program `exe`, as /proc names it; in any that
    /// it was, where that is empty.
    pub(crate) fn greeting(&self, exe: &str) -> Greeting {
        let hello = self.collector.hello(self.target.0);
        // The shim's path may be cut, and that of /proc says it when the file has been deleted. A shim that
        // refuses does not say in which program.
        let is_of = |program: &str| !program.is_empty() && exe.starts_with(program);
        match hello.map(|hello| (hello.refusal(), hello.program)) {
            Some((Some(why), program)) if program.is_empty() || is_of(&program) => {
                Greeting::Refused(why)
            }
            Some((None, program)) if exe.is_empty() || is_of(&program) => Greeting::Hello,
            _ => Greeting::Silence,
        }
    }

    /// Whether anything is recorded.
    fn is_there(&mut self) -> anyhow::Result<bool> {
        if !self.is_there {
            let processes = self.collector.processes()?;
            self.is_there = processes.iter().any(|hello| hello.refusal().is_none());
        }
        Ok(self.is_there)
    }

    /// Reads what is new.
    pub(crate) fn collect(&mut self, at: Nanos) -> anyhow::Result<()> {
        if self.is_there()? {
            let tick = self.collector.tick(at, Some(self.target.0))?;
            self.files.see(self.collector.loaded());
            self.modules.extend(tick.new_modules.iter().cloned());
            self.read.push(tick);
        }
        Ok(())
    }

    /// Memory of the target that is the shim's, as (first address, bytes).
    pub(crate) fn own_ranges(&self) -> Vec<(u64, u64)> {
        self.collector.own_ranges()
    }

    /// Stores what was read.
    pub(crate) fn store(
        &mut self,
        writer: &mut Writer,
        mut redactor: Option<&mut Redactor>,
    ) -> anyhow::Result<()> {
        for mut tick in self.read.drain(..) {
            if !std::mem::replace(&mut self.is_announced, true) {
                writer.stacks_start(self.mode, self.interval)?;
            }
            if let Some(redactor) = &mut redactor {
                redactor.stacks(&mut tick);
            }
            writer.stacks(&tick)?;
        }
        Ok(())
    }

    /// The files whose code is in stacks, by number, and what is held of them; `None` where nothing was
    /// stored.
    pub(crate) fn into_code(self) -> Option<(Vec<CodeModule>, HeldFiles)> {
        self.is_announced
            .then(|| (self.modules, self.files.into_held()))
    }
}
