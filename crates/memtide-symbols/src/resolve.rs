//! A list of addresses to frames, all at once.
//!
//! Addresses are grouped by file (by build-id, where it is known), sorted, and each file's debug
//! information is read, asked and dropped: memory is bounded by the largest file, not by the process.
//! A file with many addresses is asked by all threads at once, each for a stretch of its addresses,
//! because a unit's addresses lie together and no unit is then parsed twice; the others are
//! distributed whole.

mod file;
mod report;

use crate::build_id::BuildId;
use crate::locate::Locator;
use crate::module::{Module, ModuleId, ModuleTable};
use file::FileAnswer;
use memtide_model::Nanos;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

pub use report::ModuleReport;

/// An address to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Where it lies in the process's memory.
    pub avma: u64,
    /// True for every frame of a stack but the innermost, and but those that a signal interrupted:
    /// the call lies before the address, so the byte before it is looked up.
    pub is_return_address: bool,
    /// When it was seen; `None` for the modules that are mapped now.
    pub at: Option<Nanos>,
}

/// One function that an address lies in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Its name, demangled; `None` where nobody knows it.
    pub function: Option<Arc<str>>,
    /// The path of its module, unprintable bytes escaped; `None` outside all modules.
    pub module: Option<Arc<str>>,
    /// The source file, with its directory as the compiler was given it.
    pub file: Option<Arc<str>>,
    /// The line in it, from 1.
    pub line: Option<u32>,
    /// True where this function's code was put into the next frame's.
    pub inlined: bool,
}

/// What a foreign file may cost at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file's debug sections, unpacked, and of one symbol table. A file above it
    /// answers with what is smaller.
    pub section_bytes: u64,
}

impl Default for Limits {
    /// 2 GiB: browsers and language runtimes have over 1 GiB of debug information.
    fn default() -> Self {
        Self {
            section_bytes: 2 << 30,
        }
    }
}

/// Looks up addresses.
#[derive(Clone, Debug)]
pub struct Resolver {
    locator: Locator,
    limits: Limits,
    threads: usize,
    demangles: bool,
}

/// The frames of a list of addresses, and how they were come by.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    frames: Vec<Arc<[Frame]>>,
    modules: Vec<ModuleReport>,
}

/// The addresses of one file, which several modules may have mapped.
struct Job<'a> {
    /// The first of the modules; it stands for all.
    module: &'a Module,
    modules: Vec<(ModuleId, &'a Module)>,
    addresses: Vec<(ModuleId, u64)>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum FileKey<'a> {
    BuildId(&'a BuildId),
    Path(&'a Path),
}

type Place = (ModuleId, u64);

impl Resolver {
    /// A resolver with the usual limits and two threads.
    pub fn new(locator: Locator) -> Self {
        Self {
            locator,
            limits: Limits::default(),
            threads: 2,
            demangles: true,
        }
    }

    /// Sets what a file may cost.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how many threads look up, at least 1.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Leaves functions under their linker's names, for tools that demangle by themselves.
    #[must_use]
    pub fn with_linker_names(mut self) -> Self {
        self.demangles = false;
        self
    }

    /// The frames of every address, in the order of the addresses. Equal addresses share them.
    pub fn resolve(&self, table: &ModuleTable, addresses: &[Address]) -> Resolution {
        let places: Vec<Option<Place>> = addresses
            .iter()
            .map(|address| place(table, *address))
            .collect();
        let jobs = group(table, &places);
        let answers = self.run(jobs);

        let mut known: HashMap<Place, Arc<[Frame]>> = HashMap::new();
        let mut modules = Vec::new();
        for answer in answers {
            known.extend(answer.frames);
            modules.extend(answer.reports);
        }
        modules.sort_by_key(|report: &ModuleReport| report.id);
        let outside: Arc<[Frame]> = Arc::new([Frame::unknown(None)]);
        let frames = places
            .iter()
            .map(|place| {
                place
                    .and_then(|place| known.get(&place))
                    .unwrap_or(&outside)
                    .clone()
            })
            .collect();
        Resolution { frames, modules }
    }

    /// Large files one after another with all threads, then the small ones side by side.
    fn run(&self, jobs: Vec<Job<'_>>) -> Vec<FileAnswer> {
        const MANY: usize = 1024;
        let (large, small): (Vec<_>, Vec<_>) = jobs
            .into_iter()
            .partition(|job| job.addresses.len() >= MANY);
        let mut answers: Vec<FileAnswer> = large
            .into_iter()
            .map(|job| self.answer(&job, self.threads))
            .collect();
        let queue = Mutex::new(small.into_iter());
        let done = Mutex::new(&mut answers);
        let next = || queue.lock().ok()?.next();
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    while let Some(job) = next() {
                        let answer = self.answer(&job, 1);
                        if let Ok(mut done) = done.lock() {
                            done.push(answer);
                        }
                    }
                });
            }
        });
        answers
    }

    fn answer(&self, job: &Job<'_>, threads: usize) -> FileAnswer {
        file::answer(job, self, threads)
    }
}

impl Resolution {
    /// The frames of the address with that place in the list, the innermost inlined one first;
    /// at least one, except beyond the list.
    pub fn frames(&self, index: usize) -> &[Frame] {
        self.frames.get(index).map_or(&[], |frames| frames)
    }

    /// How each module that had an address was answered, by id.
    pub fn modules(&self) -> &[ModuleReport] {
        &self.modules
    }

    /// What is missing and how to get it, one sentence per file.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.modules
            .iter()
            .filter_map(|module| module.warning.as_deref())
    }
}

impl Frame {
    fn unknown(module: Option<Arc<str>>) -> Self {
        Self {
            function: None,
            module,
            file: None,
            line: None,
            inlined: false,
        }
    }
}

fn place(table: &ModuleTable, address: Address) -> Option<Place> {
    let avma = address
        .avma
        .checked_sub(u64::from(address.is_return_address))?;
    table.find(avma, address.at).map(|(id, _)| (id, avma))
}

fn group<'a>(table: &'a ModuleTable, places: &[Option<Place>]) -> Vec<Job<'a>> {
    let mut places: Vec<Place> = places.iter().copied().flatten().collect();
    places.sort_unstable();
    places.dedup();
    let mut jobs: BTreeMap<FileKey<'a>, Job<'a>> = BTreeMap::new();
    for same_module in places.chunk_by(|a, b| a.0 == b.0) {
        let Some((id, module)) = same_module
            .first()
            .and_then(|(id, _)| Some((*id, table.get(*id)?)))
        else {
            continue;
        };
        let key = module
            .build_id
            .as_ref()
            .map_or(FileKey::Path(&module.path), FileKey::BuildId);
        let job = jobs.entry(key).or_insert_with(|| Job {
            module,
            modules: Vec::new(),
            addresses: Vec::new(),
        });
        job.modules.push((id, module));
        job.addresses.extend_from_slice(same_module);
    }
    jobs.into_values().collect()
}
