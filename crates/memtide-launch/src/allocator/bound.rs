//! Which library the `malloc` of a running process really is.
//!
//! That a library is mapped says little: the program may define `malloc` itself, or name another allocator that
//! comes first. The loader binds a name to the first definition in its list (System V ABI, chapter 5, "Shared
//! object dependencies"), so the first file of that list which defines `malloc` has it. That is held against
//! what the loader did: the slots in which it noted the address of `malloc` for each module. A slot that
//! points into its own module was not bound yet (it will be at the first call), one that points into the
//! program is that of a program which took the address of `malloc`; both say nothing.

use super::files::{Content, Files};
use super::image::{FAMILY, MALLOC};
use super::kind::Kind;
use super::link_map::{self, Loaded, Module, base_name};
use super::refusal::linked_in;
use super::{Found, PRELOAD};
use crate::error::{Error, ErrorKind};
use memtide_model::Pid;
use memtide_model::text::printable;
use memtide_proc::parse::maps;
use memtide_proc::{Buffer, ProcRoot};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread::sleep;
use std::time::Duration;

/// How often, and how long apart, a list that is not whole is read again: the loader adds a library.
const LOOKS: usize = 20;
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The allocator that a running process takes its memory from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Name, and version where its file tells: "jemalloc 5.3.0".
    pub name: String,
    /// The file that has the process's `malloc`, as the process names it.
    pub library: PathBuf,
    /// Sentences about files of the process that have another allocator linked in, for themselves.
    pub beside: Vec<String>,
}

/// Verifies that the process runs on what was found: that its `malloc` is bound to that library, and that
/// the settings arrived in its environment. The first time it takes some tens of milliseconds, for the files of
/// all libraries are read; `files` remembers what is in them.
///
/// # Errors
/// [`ErrorKind::NotYet`] while it is still being loaded, after a tenth of a second;
/// [`ErrorKind::Allocator`] where it runs on another one, or without the settings, with what was found
/// instead; [`ErrorKind::System`] where it has ended or may not be read.
pub fn bound(pid: u32, found: &Found, files: &Files) -> Result<Bound, Error> {
    let modules = modules(pid)?;
    let loaded = modules.into_iter().map(|module| {
        let kind = kind_of(&base_name(&module.name));
        // A file that is gone, or not ours to read, is taken for one that defines nothing.
        let content = files.read(&module.file, kind).unwrap_or_default();
        Loading { module, content }
    });
    let process = Process {
        pid,
        loaded: loaded.collect(),
        ranges: ranges(pid)?,
    };
    process.settings_arrived(found)?;
    let owner = process.owner(found)?;
    process.family_agrees(owner)?;
    process.slots_agree(owner)?;
    Ok(Bound {
        name: owner.allocator(),
        library: owner.module.name.clone(),
        beside: process.beside(owner),
    })
}

fn modules(pid: u32) -> Result<Vec<Module>, Error> {
    for look in 0..LOOKS {
        if look > 0 {
            sleep(LOOK_EVERY);
        }
        match link_map::read(pid).map_err(|error| unreadable(&error))? {
            Loaded::NotYet => {}
            Loaded::Modules(modules) => return Ok(modules),
            Loaded::NoLoader => {
                let text = format!(
                    "pid {pid} has no list of libraries: it is linked statically, or was started by \
                     calling the loader; link it dynamically, and start it by its own name"
                );
                return Err(Error::new(ErrorKind::Allocator, text));
            }
        }
    }
    let text = format!("pid {pid} is still being loaded; ask again");
    Err(Error::new(ErrorKind::NotYet, text))
}

fn unreadable(error: &memtide_proc::Error) -> Error {
    let text = format!("cannot verify the allocator: {error}");
    Error::new(ErrorKind::System, text)
}

/// A mapping of a file: its range, and the file's device and number.
struct Range {
    start: u64,
    end: u64,
    file: (u32, u32, u64),
}

fn ranges(pid: u32) -> Result<Vec<Range>, Error> {
    let mut buffer = Buffer::new();
    let process = ProcRoot::system().and_then(|root| root.process(Pid(pid)));
    let bytes = process.and_then(|process| process.read("maps", &mut buffer).map(<[u8]>::to_vec));
    let mut ranges = Vec::new();
    let bytes = bytes.map_err(|error| unreadable(&error))?;
    let parsed = maps::parse(&bytes, |entry| {
        if entry.inode != 0 {
            ranges.push(Range {
                start: entry.start,
                end: entry.end,
                file: (entry.device.major, entry.device.minor, entry.inode),
            });
        }
    });
    parsed.map(|_| ranges).map_err(|error| unreadable(&error))
}

struct Loading {
    module: Module,
    content: Rc<Content>,
}

impl Loading {
    /// "jemalloc 5.3.0", or the file's name.
    fn allocator(&self) -> String {
        let name = base_name(&self.module.name);
        let Some(kind) = kind_of(&name) else {
            return name;
        };
        // mimalloc has its version in the name of the file that libmimalloc.so.2 leads to.
        let of_name = || {
            let real = fs::canonicalize(&self.module.file).ok()?;
            let version = base_name(&real).split_once(".so.")?.1.to_owned();
            (kind == Kind::Mimalloc).then_some(version)
        };
        match self.content.version.clone().or_else(of_name) {
            Some(version) => format!("{} {version}", kind.name()),
            None => kind.name().to_owned(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        self.module.within == other.module.within
    }
}

/// Before 2.34 the C library's file could be called `libc-2.31.so`.
fn kind_of(name: &str) -> Option<Kind> {
    Kind::of_file(name).or_else(|| name.starts_with("libc-2.").then_some(Kind::Glibc))
}

struct Process {
    pid: u32,
    /// In the order in which the loader looks for names.
    loaded: Vec<Loading>,
    ranges: Vec<Range>,
}

impl Process {
    fn wrong(&self, why: &str) -> Error {
        let name = self.loaded.first().map(|own| base_name(&own.module.name));
        let text = format!("pid {} ({}) {why}", self.pid, name.unwrap_or_default());
        Error::new(ErrorKind::Allocator, text)
    }

    /// The module that has `malloc`, which must be the one that was found.
    fn owner(&self, found: &Found) -> Result<&Loading, Error> {
        let own = self.loaded.first().map(|own| &own.content.image);
        if let Some(why) = own.and_then(linked_in) {
            return Err(self.wrong(&why));
        }
        let Some(owner) = self.first_with(MALLOC) else {
            return Err(self.wrong("has loaded no library with a malloc that could be told"));
        };
        if is_wanted(owner, found) {
            return Ok(owner);
        }
        let wanted = match &found.library {
            None => "glibc's own allocator".to_owned(),
            Some(library) => library.display().to_string(),
        };
        let is_there = self.loaded.iter().any(|loaded| is_wanted(loaded, found));
        let why = match (is_there, &found.library) {
            (true, _) => {
                "which comes before it; take that out of LD_PRELOAD, or build the program without it"
            }
            (false, None) => "take that out of LD_PRELOAD, or build the program without it",
            (false, Some(_)) => {
                "LD_PRELOAD did not reach it: give the program itself, and not a wrapper that clears the \
                 environment or changes the user"
            }
        };
        Err(self.wrong(&format!(
            "runs on {} ({}) and not on {wanted}: {why}",
            owner.allocator(),
            owner.module.name.display()
        )))
    }

    fn first_with(&self, function: &str) -> Option<&Loading> {
        self.loaded
            .iter()
            .find(|loaded| loaded.content.image.exports.contains(&function))
    }

    /// What else hands out memory, if anybody calls it, must not be another allocator's.
    fn family_agrees(&self, owner: &Loading) -> Result<(), Error> {
        for function in FAMILY {
            let is_called = self
                .loaded
                .iter()
                .any(|loaded| loaded.content.image.imports.contains(&function));
            let Some(other) = self.first_with(function).filter(|_| is_called) else {
                continue;
            };
            if other.content.image.is_allocator() && !other.is(owner) {
                return Err(self.wrong(&format!(
                    "takes malloc from {} and {function} from {}: two allocators at once; build it \
                     without the second",
                    owner.module.name.display(),
                    other.module.name.display()
                )));
            }
        }
        Ok(())
    }

    /// What other files have for themselves: what they allocate with that does not change from arm to arm. Files of
    /// allocators that are mapped and not bound allocate nothing.
    fn beside(&self, owner: &Loading) -> Vec<String> {
        let others = self.loaded.iter().filter(|loaded| {
            kind_of(&base_name(&loaded.module.name)).is_none() && !loaded.is(owner)
        });
        let said = others.filter_map(|loaded| {
            let (mark, allocator) = loaded.content.image.beside?;
            Some(format!(
                "{} has {allocator} linked in ({mark}): what it allocates with that is the same in every arm, and no \
                 library replaces it.",
                printable(loaded.module.name.as_os_str().as_bytes())
            ))
        });
        said.collect()
    }

    /// What the loader has noted for each module.
    fn slots_agree(&self, owner: &Loading) -> Result<(), Error> {
        let wanted = self.file_at(owner.module.within);
        let program = self
            .loaded
            .first()
            .and_then(|own| self.file_at(own.module.within));
        for loaded in &self.loaded {
            let own = self.file_at(loaded.module.within);
            for offset in &loaded.content.image.slots {
                let at = loaded.module.base.wrapping_add(*offset);
                let value = link_map::slot(self.pid, at).map_err(|error| unreadable(&error))?;
                let points_to = value.and_then(|value| self.file_at(value));
                let is_elsewhere =
                    points_to.is_some() && ![wanted, program, own].contains(&points_to);
                if is_elsewhere {
                    return Err(self.wrong(&format!(
                        "has loaded {}, whose malloc is not that of {}; build it without its own binding",
                        loaded.module.name.display(),
                        owner.module.name.display()
                    )));
                }
            }
        }
        Ok(())
    }

    fn file_at(&self, address: u64) -> Option<(u32, u32, u64)> {
        let range = self
            .ranges
            .iter()
            .find(|range| (range.start..range.end).contains(&address));
        range.map(|range| range.file)
    }

    /// Whether all that was set is in the environment that the program was started with. A program that
    /// writes its title over that (setproctitle(3)) is believed.
    fn settings_arrived(&self, found: &Found) -> Result<(), Error> {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        let mut lines = environment
            .strip_suffix(b"\0")
            .into_iter()
            .flat_map(|lines| lines.split(|byte| *byte == 0))
            .peekable();
        let is_whole = lines.peek().is_some() && lines.all(|line| line.contains(&b'='));
        let environment = taken_apart(&[b"\0", &*environment].concat());
        // What is preloaded is seen by what is bound.
        let set = found.environment.iter().filter(|(name, _)| name != PRELOAD);
        for (name, value) in set.filter(|_| is_whole) {
            let line = [b"\0", name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat();
            if memchr::memmem::find(&environment, &taken_apart(&line)).is_none() {
                return Err(self.wrong(&format!(
                    "was started without {}={}, which a wrapper took away; give the program itself",
                    name.to_string_lossy(),
                    value.to_string_lossy()
                )));
            }
        }
        Ok(())
    }
}

/// glibc up to 2.38 writes zeros over the colons of `GLIBC_TUNABLES`, where /proc shows them.
fn taken_apart(bytes: &[u8]) -> Vec<u8> {
    let without = |byte: &u8| if *byte == b':' { 0 } else { *byte };
    bytes.iter().map(without).collect()
}

fn is_wanted(loaded: &Loading, found: &Found) -> bool {
    let Some(library) = &found.library else {
        return found.kind == Kind::Glibc
            && kind_of(&base_name(&loaded.module.name)) == Some(Kind::Glibc);
    };
    let identity = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    identity(library).is_some_and(|wanted| identity(&loaded.module.file) == Some(wanted))
}
