//! Finds the files that know a module's names and lines.
//!
//! The order is gdb's: the mapped file itself, `.build-id` under each debug directory, the file that
//! `.gnu_debuglink` names, then what is inside the mapped file: `.gnu_debugdata`, its symbol table,
//! its dynamic symbols. Files that were opened while their process ran ([`HeldFiles`]) come before all. Each candidate is checked before it is believed, and the first that has what
//! is asked is taken. A new kind of place is one more [`Source`] in one more file.

mod build_id_dir;
mod debug_link;
mod held;
mod image;
mod mini_debug_info;

use crate::build_id::BuildId;
use crate::bytes::Bytes;
use crate::elf::Elf;
use crate::module::Module;
use core::fmt;
use memtide_model::Pid;
use std::path::{Path, PathBuf};

pub use held::HeldFiles;
pub(crate) use mini_debug_info::unpack as unpack_mini_debug_info;

/// The places that are searched.
#[derive(Clone, Debug)]
pub struct Locator {
    process: Option<Pid>,
    held: HeldFiles,
    debug_dirs: Vec<PathBuf>,
}

/// How a file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `/proc/PID/map_files`, or `/proc/PID/exe`: the very file that is mapped, deleted or not.
    MappedFile,
    /// The module's path below `/proc/PID/root`, the process's own view of the file system.
    ProcessRoot,
    /// The module's path here.
    Path,
    /// `.build-id/xx/yyyy.debug` under a debug directory.
    BuildIdDirectory,
    /// The file that `.gnu_debuglink` names: beside the module, in `.debug/`, or under a debug directory.
    DebugLink,
    /// `.gnu_debugdata` inside the module.
    MiniDebugInfo,
}

/// Why a file is believed to belong to the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It is the mapped file itself, or lies inside it.
    SameFile,
    /// Both have the same build-id.
    BuildId,
    /// Its CRC-32 is the one in `.gnu_debuglink`.
    Crc,
    /// Nothing to check by: the module's build-id is not known. Only its own path is taken so.
    PathOnly,
}

/// What a file answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Functions, lines and inlined frames (DWARF).
    DebugInfo,
    /// Functions of `.symtab`.
    SymbolTable,
    /// Functions of `.dynsym`: exported ones only.
    DynamicSymbols,
}

/// A file that answered for a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileUsed {
    /// Its path.
    pub path: PathBuf,
    /// How it was found.
    pub origin: Origin,
    /// Why it is believed.
    pub check: Check,
    /// What it answered.
    pub content: Content,
}

/// A file that was there and was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its path.
    pub path: PathBuf,
    /// Why, as a fragment.
    pub reason: String,
}

/// A place to look for a module's separate debug files.
trait Source {
    /// Paths where one may lie, best first.
    fn candidates(&self, sought: &Sought<'_>) -> Vec<Candidate>;
}

/// What a [`Source`] may go by.
struct Sought<'a> {
    module: &'a Module,
    build_id: Option<&'a BuildId>,
    image: Option<&'a Elf>,
    /// Prefixes of the file systems to look in: the process's, then this one.
    roots: &'a [PathBuf],
    debug_dirs: &'a [PathBuf],
}

struct Candidate {
    path: PathBuf,
    origin: Origin,
    proof: Proof,
}

enum Proof {
    BuildId(BuildId),
    Crc(u32),
    SameFile,
    PathOnly,
}

/// An opened file that was checked.
pub(crate) struct Found {
    pub(crate) bytes: Bytes,
    pub(crate) elf: Elf,
    path: PathBuf,
    origin: Origin,
    check: Check,
}

/// All that was found for a module.
#[derive(Default)]
pub(crate) struct Files {
    /// The mapped file.
    pub(crate) image: Option<Found>,
    /// The separate debug file, where the image has no debug information itself.
    pub(crate) debug: Option<Found>,
    pub(crate) refused: Vec<Refused>,
}

impl Locator {
    /// Looks in the given debug directories (`--debug-dir`), then in `/usr/lib/debug`.
    pub fn new(debug_dirs: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut debug_dirs: Vec<PathBuf> = debug_dirs.into_iter().collect();
        debug_dirs.push("/usr/lib/debug".into());
        Self {
            process: None,
            held: HeldFiles::new(),
            debug_dirs,
        }
    }

    /// Looks first through /proc of a process that still runs: at its deleted files and in its own
    /// mount namespace.
    #[must_use]
    pub fn of_process(mut self, pid: Pid) -> Self {
        self.process = Some(pid);
        self
    }

    /// Looks first among files that were opened while their processes ran.
    #[must_use]
    pub fn with_held(mut self, held: HeldFiles) -> Self {
        self.held = held;
        self
    }

    /// The build-id of a module's file, for a recorder to keep: afterwards the file may be another.
    pub fn build_id(&self, module: &Module) -> Option<BuildId> {
        self.find_image(module, &mut Vec::new())?.elf.build_id
    }

    pub(crate) fn find(&self, module: &Module) -> Files {
        let mut refused = Vec::new();
        let image = self.find_image(module, &mut refused);
        let image_answers = image
            .as_ref()
            .is_some_and(|image| image.elf.has(".debug_info"));
        let debug = (!image_answers)
            .then(|| self.find_debug(module, image.as_ref().map(|found| &found.elf), &mut refused))
            .flatten();
        Files {
            image,
            debug,
            refused,
        }
    }

    fn find_image(&self, module: &Module, refused: &mut Vec<Refused>) -> Option<Found> {
        let held = self.held.of(module);
        let held = held.and_then(|held| held.image(refused));
        if let Some(found) = held.and_then(|found| found.of_build(module, refused)) {
            return Some(found);
        }
        let candidates = image::candidates(module, self.process);
        candidates
            .into_iter()
            .find_map(|candidate| take(candidate, refused)?.of_build(module, refused))
    }

    fn find_debug(
        &self,
        module: &Module,
        image: Option<&Elf>,
        refused: &mut Vec<Refused>,
    ) -> Option<Found> {
        let held = self.held.of(module);
        if let Some(found) = held.and_then(|held| held.debug(refused)) {
            return Some(found);
        }
        let roots = self.roots();
        let sought = Sought {
            module,
            build_id: module
                .build_id
                .as_ref()
                .or(image.and_then(|elf| elf.build_id.as_ref())),
            image,
            roots: &roots,
            debug_dirs: &self.debug_dirs,
        };
        let sources: [&dyn Source; 2] = [&build_id_dir::BuildIdDirectory, &debug_link::DebugLink];
        let mut names_only = None;
        for candidate in sources.iter().flat_map(|source| source.candidates(&sought)) {
            let Some(found) = take(candidate, refused) else {
                continue;
            };
            if found.elf.has(".debug_info") {
                return Some(found);
            }
            if found.elf.has(".symtab") && names_only.is_none() {
                names_only = Some(found);
            }
        }
        names_only
    }

    fn roots(&self) -> Vec<PathBuf> {
        let process = self
            .process
            .map(|pid| PathBuf::from(format!("/proc/{pid}/root")));
        process.into_iter().chain([PathBuf::from("/")]).collect()
    }
}

impl Found {
    /// The same, if its build-id is the module's: one that was recorded decides, even over /proc.
    fn of_build(mut self, module: &Module, refused: &mut Vec<Refused>) -> Option<Self> {
        match (&module.build_id, &self.elf.build_id) {
            (None, _) => Some(self),
            (Some(sought), Some(has)) if sought == has => {
                if self.check == Check::PathOnly {
                    self.check = Check::BuildId;
                }
                Some(self)
            }
            (Some(sought), has) => {
                refused.push(Refused::other_build(self.path, sought, has.as_ref()));
                None
            }
        }
    }

    /// The record of this file's answer.
    pub(crate) fn used_for(&self, content: Content) -> FileUsed {
        FileUsed {
            path: self.path.clone(),
            origin: self.origin,
            check: self.check,
            content,
        }
    }

    /// The record of an answer from `.gnu_debugdata` inside this file.
    pub(crate) fn used_inside(&self, content: Content) -> FileUsed {
        FileUsed {
            path: self.path.clone(),
            origin: Origin::MiniDebugInfo,
            check: Check::SameFile,
            content,
        }
    }

    pub(crate) fn refuse(&self, reason: String) -> Refused {
        Refused {
            path: self.path.clone(),
            reason,
        }
    }
}

impl Refused {
    fn other_build(path: PathBuf, sought: &BuildId, has: Option<&BuildId>) -> Self {
        let has = has.map_or_else(|| "none".to_owned(), ToString::to_string);
        Self {
            path,
            reason: format!("its build-id is {has}, the process had {sought}"),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = memtide_model::text::printable(self.path.as_os_str().as_encoded_bytes());
        write!(f, "{path}: {}", self.reason)
    }
}

/// Opens a candidate and checks it. A file that is not there is no news; any other reason is.
fn take(candidate: Candidate, refused: &mut Vec<Refused>) -> Option<Found> {
    let Candidate {
        path,
        origin,
        proof,
    } = candidate;
    let bytes = match Bytes::open(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            if !is_absence(&error) {
                refused.push(Refused {
                    path,
                    reason: error.to_string(),
                });
            }
            return None;
        }
    };
    let elf = match Elf::parse(&bytes) {
        Ok(elf) => elf,
        Err(reason) => {
            refused.push(Refused { path, reason });
            return None;
        }
    };
    match proof.check(&bytes, &elf) {
        Ok(check) => Some(Found {
            bytes,
            elf,
            path,
            origin,
            check,
        }),
        Err(reason) => {
            refused.push(Refused { path, reason });
            None
        }
    }
}

fn is_absence(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    // map_files needs a capability that most users lack; the path is tried next.
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

impl Proof {
    fn check(self, bytes: &Bytes, elf: &Elf) -> Result<Check, String> {
        match self {
            Self::SameFile => Ok(Check::SameFile),
            Self::PathOnly => Ok(Check::PathOnly),
            Self::BuildId(sought) if elf.build_id.as_ref() == Some(&sought) => Ok(Check::BuildId),
            Self::BuildId(sought) => {
                Err(Refused::other_build(PathBuf::new(), &sought, elf.build_id.as_ref()).reason)
            }
            Self::Crc(sought) => match bytes.crc32() {
                Ok(crc) if crc == sought => Ok(Check::Crc),
                Ok(crc) => Err(format!("its CRC is {crc:08x}, the link says {sought:08x}")),
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

/// An absolute path below a root.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}
