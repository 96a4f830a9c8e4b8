//! Which file was mapped where, and when: the table that turns an avma into a place in a file.

use crate::build_id::BuildId;
use crate::elf::Elf;
use memtide_model::Nanos;
use std::path::{Path, PathBuf};

/// A file while it was mapped into the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its path as the process saw it, as `maps` of proc(5) prints it: a " (deleted)" may follow.
    pub path: PathBuf,
    /// Its build-id, where the recorder could read it.
    pub build_id: Option<BuildId>,
    /// Where it lay, at least one range; only what may hold code is needed.
    pub segments: Vec<Segment>,
    /// When it was first seen.
    pub loaded: Nanos,
    /// When it was gone or something else was in its place; `None` while it is there.
    pub unloaded: Option<Nanos>,
}

/// A range of avmas of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First avma.
    pub start: u64,
    /// The avma after its last.
    pub end: u64,
    /// What lies at `start`.
    pub placement: Placement,
}

/// What lies at a segment's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The byte at this file offset (field `offset` of `maps`); the file's program headers tell the
    /// svma. It is right for every file, prelinked or not.
    FileOffset(u64),
    /// This svma: for recorders that know the load bias (`dlpi_addr` of `dl_iterate_phdr(3)`), as
    /// `start - dlpi_addr`. It needs no file to be at hand.
    Svma(u64),
}

/// A module's place in its [`ModuleTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub u32);

/// One line of `maps` (proc(5)) that has a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedRange {
    /// First avma.
    pub start: u64,
    /// The avma after its last.
    pub end: u64,
    /// Offset in the file.
    pub file_offset: u64,
    /// True where the range may be executed.
    pub executable: bool,
    /// The path as it is printed.
    pub path: PathBuf,
}

/// The modules of one process, each with its time.
#[derive(Clone, Debug, Default)]
pub struct ModuleTable {
    modules: Vec<Module>,
    /// Executable ranges with their module, by start; rebuilt when a module is added.
    ranges: Vec<(Segment, ModuleId)>,
}

impl Module {
    /// The svma of an avma of this module; `elf` is the file, or its debug file.
    pub(crate) fn svma(&self, avma: u64, elf: Option<&Elf>) -> Option<u64> {
        let segment = self.segment(avma)?;
        let within = avma - segment.start;
        match segment.placement {
            Placement::Svma(start) => start.checked_add(within),
            Placement::FileOffset(start) => {
                let elf = elf?;
                let offset = start.checked_add(within)?;
                elf.svma_of_offset(offset)
                    .or_else(|| self.svma_by_bias(avma, elf))
            }
        }
    }

    /// Without file offsets in the program headers (a debug file has none) the lowest mapping is
    /// that of the lowest segment.
    fn svma_by_bias(&self, avma: u64, elf: &Elf) -> Option<u64> {
        const PAGE: u64 = 4096;
        if elf.loads.iter().any(|load| load.file_size > 0) {
            return None;
        }
        let lowest = self.segments.iter().min_by_key(|segment| segment.start)?;
        (lowest.placement == Placement::FileOffset(0)).then_some(())?;
        let svma = elf.first_load()?.svma;
        (avma - lowest.start).checked_add(svma - svma % PAGE)
    }

    fn segment(&self, avma: u64) -> Option<&Segment> {
        self.segments
            .iter()
            .find(|segment| (segment.start..segment.end).contains(&avma))
    }

    fn is_live_at(&self, at: Option<Nanos>) -> bool {
        match at {
            None => self.unloaded.is_none(),
            Some(at) => self.loaded <= at && self.unloaded.is_none_or(|end| at < end),
        }
    }

    /// The path without the kernel's " (deleted)", and whether that was there.
    pub(crate) fn plain_path(&self) -> (&Path, bool) {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        match self.path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
            Some(path) => (Path::new(OsStr::from_bytes(path)), true),
            None => (&self.path, false),
        }
    }
}

impl ModuleTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a module. Those that it overlaps and that are still there end when it begins.
    ///
    /// # Panics
    /// Never: more than 2^32 modules share the last id.
    pub fn add(&mut self, module: Module) -> ModuleId {
        let overlaps = |other: &Module| {
            other.segments.iter().any(|a| {
                module
                    .segments
                    .iter()
                    .any(|b| a.start < b.end && b.start < a.end)
            })
        };
        let ended = module.loaded;
        for other in self
            .modules
            .iter_mut()
            .filter(|other| other.unloaded.is_none())
        {
            if overlaps(other) {
                other.unloaded = Some(ended);
            }
        }
        let id = ModuleId(u32::try_from(self.modules.len()).unwrap_or(u32::MAX));
        self.ranges
            .extend(module.segments.iter().map(|segment| (*segment, id)));
        self.ranges.sort_by_key(|(segment, _)| segment.start);
        self.modules.push(module);
        id
    }

    /// Brings the table up to what is mapped now: new files are added, files that are gone end.
    /// Ranges of one path that follow each other without another file between them are one module.
    pub fn update(&mut self, ranges: &[MappedRange], at: Nanos) -> Vec<ModuleId> {
        let found = group(ranges, at);
        for module in self
            .modules
            .iter_mut()
            .filter(|module| module.unloaded.is_none())
        {
            let same =
                |other: &Module| other.path == module.path && other.segments == module.segments;
            if !found.iter().any(same) {
                module.unloaded = Some(at);
            }
        }
        let is_known = |new: &Module| {
            self.modules.iter().any(|module| {
                module.unloaded.is_none()
                    && module.path == new.path
                    && module.segments == new.segments
            })
        };
        let new: Vec<Module> = found.into_iter().filter(|new| !is_known(new)).collect();
        new.into_iter().map(|module| self.add(module)).collect()
    }

    /// The module that an avma belonged to at that moment; with `None`, belongs to now.
    pub fn find(&self, avma: u64, at: Option<Nanos>) -> Option<(ModuleId, &Module)> {
        let after = self
            .ranges
            .partition_point(|(segment, _)| segment.start <= avma);
        // Ranges of modules of other times may lie between; of one time they do not overlap.
        self.ranges
            .get(..after)?
            .iter()
            .rev()
            .find_map(|(segment, id)| {
                let module = self.get(*id)?;
                (avma < segment.end && module.is_live_at(at)).then_some((*id, module))
            })
    }

    /// The module of an id.
    pub fn get(&self, id: ModuleId) -> Option<&Module> {
        self.modules.get(usize::try_from(id.0).ok()?)
    }

    /// All modules with their ids, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (ModuleId, &Module)> {
        (0..).map(ModuleId).zip(&self.modules)
    }

    /// Notes a module's build-id, which the recorder read after the module was added.
    pub fn set_build_id(&mut self, id: ModuleId, build_id: BuildId) {
        let index = usize::try_from(id.0).ok();
        if let Some(module) = index.and_then(|index| self.modules.get_mut(index)) {
            module.build_id = Some(build_id);
        }
    }
}

fn group(ranges: &[MappedRange], at: Nanos) -> Vec<Module> {
    let mut modules: Vec<(Module, bool)> = Vec::new();
    for range in ranges {
        let segment = Segment {
            start: range.start,
            end: range.end,
            placement: Placement::FileOffset(range.file_offset),
        };
        match modules.last_mut() {
            // The same file mapped anew from its beginning is a second copy.
            Some((module, executable)) if module.path == range.path && range.file_offset > 0 => {
                module.segments.push(segment);
                *executable |= range.executable;
            }
            _ => modules.push((
                Module {
                    path: range.path.clone(),
                    build_id: None,
                    segments: vec![segment],
                    loaded: at,
                    unloaded: None,
                },
                range.executable,
            )),
        }
    }
    // Files without code (locales, data) have no functions.
    modules
        .into_iter()
        .filter_map(|(module, executable)| executable.then_some(module))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64, file_offset: u64, executable: bool, path: &str) -> MappedRange {
        MappedRange {
            start,
            end,
            file_offset,
            executable,
            path: path.into(),
        }
    }

    #[test]
    fn a_second_library_at_the_same_address_is_told_apart_by_time() {
        let mut table = ModuleTable::new();
        let first = [
            range(0x1000, 0x2000, 0, false, "/a"),
            range(0x2000, 0x3000, 0x1000, true, "/a"),
        ];
        let second = [range(0x1000, 0x4000, 0, true, "/b")];
        assert_eq!(table.update(&first, Nanos(10)), [ModuleId(0)]);
        assert_eq!(table.update(&first, Nanos(15)), []);
        assert_eq!(table.update(&second, Nanos(20)), [ModuleId(1)]);
        assert_eq!(table.update(&first, Nanos(30)), [ModuleId(2)]);
        let path = |at| table.find(0x2800, at).map(|(id, _)| id.0);
        assert_eq!(path(Some(Nanos(9))), None);
        assert_eq!(path(Some(Nanos(10))), Some(0));
        assert_eq!(path(Some(Nanos(19))), Some(0));
        assert_eq!(path(Some(Nanos(20))), Some(1));
        assert_eq!(path(None), Some(2));
        assert_eq!(table.find(0x3000, None), None);
        assert_eq!(table.find(0xfff, None), None);
    }

    #[test]
    fn files_without_code_are_no_modules() {
        let mut table = ModuleTable::new();
        let data = [range(0x1000, 0x2000, 0, false, "/usr/lib/locale/archive")];
        assert!(table.update(&data, Nanos(1)).is_empty());
    }
}
