//! What a region says of its process, without its stacks.

use crate::collector::mode_of;
use crate::liveness::{self, Signs};
use crate::source::{Blocks, RegionFile};
use memtide_model::{Bytes, HeapMode, Nanos, text};
use memtide_region::layout::{MISREAD_HEAP, MISREAD_INTERVAL};
use memtide_region::{Reader, State};
use std::path::Path;

/// A recorded process, as its region's header has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Its pid as it sees it itself.
    pub pid: u32,
    /// Its parent when recording began.
    pub parent_pid: u32,
    /// When recording began, `CLOCK_BOOTTIME`.
    pub start: Nanos,
    /// When it ended in the ordinary way; `None` while it runs and after a kill.
    pub end: Option<Nanos>,
    /// What is recorded.
    pub mode: HeapMode,
    /// Mean bytes between samples; 1 in full mode.
    pub interval: Bytes,
    /// Which build of the shim records.
    pub build_hash: u64,
    /// How far it is.
    pub state: State,
    /// The path of its program, unprintable bytes escaped; empty while that is not known.
    pub program: String,
    /// The pid namespace that `pid` and `parent_pid` are numbers of; zero where that is not known.
    pub pid_namespace: u64,
    misread: u32,
    signs: Signs,
}

impl Hello {
    /// Why the shim records nothing in this process, as a fragment, where it has refused to.
    pub fn refusal(&self) -> Option<&'static str> {
        match self.state {
            State::RefusedLimit => Some("its memory is limited (ulimit -v or -d)"),
            State::RefusedOvercommit => {
                Some("this kernel does not overcommit (vm.overcommit_memory=2)")
            }
            State::RefusedKernel => Some("this kernel is older than Linux 4.14"),
            State::RefusedAllocator => Some(
                "its malloc is not behind the shim: an allocator is linked into the program, or was preloaded before",
            ),
            State::Starting | State::Recording | State::Ended | State::Full => None,
        }
    }

    /// Whether it runs at the moment `now` (`CLOCK_BOOTTIME`), as far as that can be told from here.
    pub fn is_running(&self, now: Nanos) -> bool {
        let by_pid = || liveness::is_running(self.pid, self.start);
        self.signs.show_life(now, by_pid)
    }

    /// Settings that were given and not understood, a sentence each: the shim itself may not print.
    pub fn misread(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            (
                MISREAD_HEAP,
                "MEMTIDE_HEAP was neither sampled nor full, so blocks were sampled",
            ),
            (
                MISREAD_INTERVAL,
                "MEMTIDE_INTERVAL was not a number of bytes such as 524288, so the interval was 512 KiB",
            ),
        ];
        let misread = self.misread;
        all.into_iter()
            .filter_map(move |(bit, text)| (misread & bit != 0).then_some(text))
    }

    /// Reads a region's header; `None` where there is none that can be read.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let mut blocks = Blocks::default();
        let file = RegionFile::open(path, &mut blocks).ok()?;
        let reader = Reader::new(&file).ok()?;
        let summary = reader.summary().ok()?;
        let program = (summary.modules > 0)
            .then(|| reader.module(0).ok())
            .flatten();
        Some(Self {
            pid: summary.pid,
            parent_pid: summary.parent_pid,
            start: Nanos(summary.start),
            end: (summary.end > 0).then_some(Nanos(summary.end)),
            mode: mode_of(summary.mode),
            interval: Bytes(summary.interval),
            build_hash: summary.build_hash,
            state: summary.state,
            program: program.map_or_else(String::new, |module| text::printable(module.path())),
            pid_namespace: summary.pid_namespace,
            misread: summary.misread,
            signs: Signs::of(file.file(), &summary),
        })
    }
}
