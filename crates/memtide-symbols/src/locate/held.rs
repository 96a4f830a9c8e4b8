//! Files that were opened while a process had them mapped, for a look-up when it is gone.
//!
//! A file that was deleted, or that lies in a mount namespace of the process's own, can be reached through
//! /proc while the process runs, and never after. An open descriptor keeps it: so a recorder opens the
//! modules as they come, and nothing more is read of them then. In a mount namespace of its own a
//! process has its own debug files, too; where the module has lines in a separate file there, that
//! is found and opened at once.
//!
//! What is held costs a descriptor each, and a deleted file's room on its disk until it is let go.

use super::{Check, Found, Locator, Origin, Refused, image};
use crate::build_id::BuildId;
use crate::bytes::Bytes;
use crate::elf::Elf;
use crate::module::{MappedRange, Module, Placement, Segment};
use memtide_model::{Nanos, Pid};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of modules, held open.
#[derive(Clone, Debug, Default)]
pub struct HeldFiles {
    files: HashMap<Key, Held>,
}

/// What tells modules apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    BuildId(BuildId),
    Path(PathBuf),
}

/// The files of one module.
#[derive(Clone, Debug)]
pub(super) struct Held {
    image: HeldFile,
    debug: Option<HeldFile>,
}

#[derive(Clone, Debug)]
struct HeldFile {
    file: Arc<fs::File>,
    path: PathBuf,
    origin: Origin,
    check: Check,
}

impl HeldFiles {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many descriptors are open.
    pub fn descriptors(&self) -> usize {
        let of_debug = self.files.values().filter(|held| held.debug.is_some());
        self.files.len() + of_debug.count()
    }

    /// Whether the files of a module are held already: of its build-id, or where it has none of its path.
    pub fn has(&self, path: &Path, build_id: Option<&BuildId>) -> bool {
        self.files.contains_key(&Key::of(path, build_id))
    }

    /// Holds the file that is at `path` now, a program that is about to be started. Says whether it could
    /// be opened and is an ELF file.
    pub fn hold_program(&mut self, path: &Path) -> bool {
        let held = HeldFile::open(path.to_owned(), Origin::Path, Check::PathOnly);
        let Some(Ok(found)) = held.as_ref().map(HeldFile::found) else {
            return false;
        };
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let key = Key::of(&path, found.elf.build_id.as_ref());
        self.keep(key, held, None)
    }

    /// Holds the files of a module as `process`, which runs, has them mapped: `ranges` are those of its
    /// `maps` that are the module's. `path` and `build_id` are those by which it will be looked for.
    /// Says whether its file could be opened.
    pub fn hold(
        &mut self,
        locator: &Locator,
        process: Pid,
        (path, build_id): (&Path, Option<&BuildId>),
        ranges: &[MappedRange],
    ) -> bool {
        let Some(first) = ranges.first() else {
            return false;
        };
        let mapped = Module {
            path: first.path.clone(),
            build_id: build_id.cloned(),
            segments: ranges.iter().map(segment).collect(),
            loaded: Nanos(0),
            unloaded: None,
        };
        // It may have become another program since. A build-id will tell; without one its path must.
        if build_id.is_none() && mapped.plain_path().0 != path {
            return false;
        }
        let candidates = image::candidates(&mapped, Some(process)).into_iter();
        let image = candidates
            // What is at its path here is still there later, or is another file already.
            .filter(|candidate| candidate.origin != Origin::Path)
            .find_map(|candidate| {
                let check = match candidate.origin {
                    Origin::MappedFile => Check::SameFile,
                    _ => Check::PathOnly,
                };
                HeldFile::open(candidate.path, candidate.origin, check)
            });
        let debug = image
            .as_ref()
            .filter(|_| has_own_files(process))
            .and_then(|image| debug_file(&locator.clone().of_process(process), &mapped, image));
        self.keep(Key::of(path, build_id), image, debug)
    }

    fn keep(&mut self, key: Key, image: Option<HeldFile>, debug: Option<HeldFile>) -> bool {
        let Some(image) = image else {
            return false;
        };
        self.files.insert(key, Held { image, debug });
        true
    }

    pub(super) fn of(&self, module: &Module) -> Option<&Held> {
        self.files
            .get(&Key::of(&module.path, module.build_id.as_ref()))
    }
}

impl Key {
    fn of(path: &Path, build_id: Option<&BuildId>) -> Self {
        build_id.map_or_else(
            || Self::Path(path.to_owned()),
            |build_id| Self::BuildId(build_id.clone()),
        )
    }
}

impl Held {
    pub(super) fn image(&self, refused: &mut Vec<Refused>) -> Option<Found> {
        self.image.found().map_err(|why| refused.push(why)).ok()
    }

    pub(super) fn debug(&self, refused: &mut Vec<Refused>) -> Option<Found> {
        let debug = self.debug.as_ref()?;
        debug.found().map_err(|why| refused.push(why)).ok()
    }
}

impl HeldFile {
    fn open(path: PathBuf, origin: Origin, check: Check) -> Option<Self> {
        let Bytes::File { file, .. } = Bytes::open(&path).ok()? else {
            return None;
        };
        Some(Self {
            file,
            path,
            origin,
            check,
        })
    }

    fn found(&self) -> Result<Found, Refused> {
        let refuse = |reason| Refused {
            path: self.path.clone(),
            reason,
        };
        let bytes = Bytes::of(self.file.clone()).map_err(|error| refuse(error.to_string()))?;
        let elf = Elf::parse(&bytes).map_err(refuse)?;
        Ok(Found {
            bytes,
            elf,
            path: self.path.clone(),
            origin: self.origin,
            check: self.check,
        })
    }
}

fn segment(range: &MappedRange) -> Segment {
    Segment {
        start: range.start,
        end: range.end,
        placement: Placement::FileOffset(range.file_offset),
    }
}

/// Whether a process sees other files than this one under the same paths.
fn has_own_files(process: Pid) -> bool {
    let of = |entry: &str, link: &str| fs::read_link(format!("/proc/{entry}/{link}")).ok();
    let process = process.to_string();
    ["ns/mnt", "root"]
        .iter()
        .any(|link| of(&process, link) != of("self", link))
}

/// The separate debug file of a module without lines of its own.
fn debug_file(locator: &Locator, module: &Module, image: &HeldFile) -> Option<HeldFile> {
    let elf = image.found().ok()?.elf;
    if elf.has(".debug_info") {
        return None;
    }
    let found = locator.find_debug(module, Some(&elf), &mut Vec::new())?;
    let Bytes::File { file, .. } = found.bytes else {
        return None;
    };
    Some(HeldFile {
        file,
        path: found.path,
        origin: found.origin,
        check: found.check,
    })
}
