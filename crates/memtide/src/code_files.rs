//! Files with code that a program runs, held open from the moment they are seen in it.
//!
//! Names of places are looked up when the program has ended. What it ran may be deleted by then, replaced by
//! the next build, or out of reach with the mount namespace that it was in; an open descriptor keeps it.

use memtide_collect::Loaded;
use memtide_model::Pid;
use memtide_proc::parse::maps;
use memtide_proc::{Buffer, ProcRoot};
use memtide_symbols::{BuildId, HeldFiles, Locator, MappedRange};
use rustix::process::{Resource, getrlimit};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// More files are looked up by their paths only. Large programs have a few hundred.
const MOST_FILES: usize = 2048;
/// So much of the limit of descriptors is theirs at most: the sampler keeps some for each thread.
const PART_OF_LIMIT: u64 = 4;

/// The files of a program and its descendants.
#[derive(Debug)]
pub(crate) struct CodeFiles {
    locator: Locator,
    held: HeldFiles,
    buffer: Buffer,
}

impl CodeFiles {
    /// None yet; debug files of other mount namespaces are looked for in `debug_dirs` there.
    pub(crate) fn new(debug_dirs: &[PathBuf]) -> Self {
        Self {
            locator: Locator::new(debug_dirs.iter().cloned()),
            held: HeldFiles::new(),
            buffer: Buffer::new(),
        }
    }

    /// Holds a program that is about to be started: it may be gone before anybody sees it run.
    pub(crate) fn hold_program(&mut self, path: &Path) {
        self.held.hold_program(path);
    }

    /// Holds what processes have loaded. What cannot be opened is looked up by its path afterwards.
    pub(crate) fn see(&mut self, loaded: &[Loaded]) {
        let of_processes = loaded.chunk_by(|a, b| a.process == b.process);
        for of_process in of_processes {
            let new = |loaded: &&Loaded| {
                let path = Path::new(&*loaded.module.path);
                !self.held.has(path, build_id(loaded).as_ref())
            };
            let new: Vec<&Loaded> = of_process.iter().filter(new).collect();
            if let Some(first) = new.first() {
                let ranges = self.ranges(first.process);
                for loaded in new {
                    self.hold(loaded, &ranges);
                }
            }
        }
    }

    fn hold(&mut self, loaded: &Loaded, ranges: &[MappedRange]) {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / PART_OF_LIMIT;
        let most = usize::try_from(limit).map_or(MOST_FILES, |limit| limit.min(MOST_FILES));
        if self.held.descriptors() >= most {
            return;
        }
        let is_its = |range: &&MappedRange| lies_in(range, &loaded.range);
        let ranges: Vec<MappedRange> = ranges.iter().filter(is_its).cloned().collect();
        let path = Path::new(&*loaded.module.path);
        let build_id = build_id(loaded);
        let module = (path, build_id.as_ref());
        self.held
            .hold(&self.locator, loaded.process, module, &ranges);
    }

    /// What of files is mapped into a process; nothing where that cannot be read any more.
    fn ranges(&mut self, process: Pid) -> Vec<MappedRange> {
        let mut ranges = Vec::new();
        let process = ProcRoot::system().and_then(|root| root.process(process));
        let Ok(process) = process else {
            return ranges;
        };
        if let Ok(bytes) = process.read("maps", &mut self.buffer) {
            // What comes before a broken line was handed out already.
            let _ = maps::parse(bytes, |entry| ranges.extend(mapped(&entry)));
        }
        ranges
    }

    /// The files themselves, for a look-up.
    pub(crate) fn into_held(self) -> HeldFiles {
        self.held
    }
}

fn mapped(entry: &maps::MapEntry<'_>) -> Option<MappedRange> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = Path::new(std::ffi::OsStr::from_bytes(entry.name));
    path.is_absolute().then(|| MappedRange {
        start: entry.start,
        end: entry.end,
        file_offset: entry.offset,
        executable: entry.protection.get(2) == Some(&b'x'),
        path: path.to_owned(),
    })
}

fn lies_in(range: &MappedRange, module: &Range<u64>) -> bool {
    module.start <= range.start && range.end <= module.end
}

fn build_id(loaded: &Loaded) -> Option<BuildId> {
    BuildId::from_hex(&loaded.module.build_id)
}
