//! Where the preload shim is.
//!
//! The order: what `--shim` names, what `MEMTIDE_SHIM` names, what a package put beside the executable, and the
//! copy that memtide carries in itself. That copy goes to a cache; where the cache cannot be
//! used, and wherever a path holds what `LD_PRELOAD` splits at, the shim is loaded from memory.

use crate::cache;
use crate::content_hash::content_hash;
use crate::error::{Error, ErrorKind};
use crate::memory_file;
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The file's name, wherever it lies.
pub(crate) const FILE_NAME: &str = "libmemtide_shim.so";
/// The folder of this machine's libraries below `lib`, as Debian names it.
#[cfg(target_arch = "x86_64")]
pub(crate) const TRIPLET: &str = "x86_64-linux-gnu";
#[cfg(target_arch = "aarch64")]
pub(crate) const TRIPLET: &str = "aarch64-linux-gnu";

/// Where to look for the shim.
#[derive(Clone, Debug)]
pub struct Locate {
    /// What `--shim` names.
    pub flag: Option<PathBuf>,
    /// What `MEMTIDE_SHIM` names.
    pub variable: Option<PathBuf>,
    /// The executable: a package has the shim in `../lib/TRIPLET/memtide/` from there.
    pub executable: Option<PathBuf>,
    /// The copy that memtide carries.
    pub embedded: &'static [u8],
    /// Folders for the copy, the first that can be used is.
    pub caches: Vec<PathBuf>,
}

impl Locate {
    /// With what the environment says: `MEMTIDE_SHIM`, `XDG_CACHE_HOME`, `HOME`, our own executable.
    pub fn from_environment(flag: Option<PathBuf>, embedded: &'static [u8]) -> Self {
        let named = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
        Self {
            flag,
            variable: named("MEMTIDE_SHIM").map(PathBuf::from),
            executable: std::env::current_exe().ok(),
            embedded,
            caches: cache::folders(),
        }
    }
}

/// Where a shim came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `--shim`.
    Flag,
    /// `MEMTIDE_SHIM`.
    Variable,
    /// A package, beside the executable.
    Installed,
    /// The copy that memtide carries.
    Embedded,
}

/// A shim that can be preloaded.
#[derive(Debug)]
pub struct Shim {
    origin: Origin,
    file: PathBuf,
    hash: u64,
    /// Kept open: the path in [`Shim::preload`] names it.
    memory: Option<OwnedFd>,
    preload: OsString,
}

impl Shim {
    /// Finds the shim; see [`Locate`] for the order.
    ///
    /// # Errors
    /// [`ErrorKind::Shim`] where what was named by flag or variable cannot be used, or there is none at
    /// all; [`ErrorKind::System`] where not even memory for a copy can be had.
    pub fn locate(from: &Locate) -> Result<Self, Error> {
        if let Some(path) = &from.flag {
            return Self::named(Origin::Flag, "--shim", path);
        }
        if let Some(path) = &from.variable {
            return Self::named(Origin::Variable, "MEMTIDE_SHIM", path);
        }
        let beside = from.executable.as_deref().and_then(installed);
        if let Some(path) = beside.filter(|path| path.is_file()) {
            return Self::named(Origin::Installed, "the installed shim", &path);
        }
        Self::embedded(from.embedded, &from.caches)
    }

    /// What goes into `LD_PRELOAD`: a path without anything that the loader splits at.
    pub fn preload(&self) -> &OsStr {
        &self.preload
    }

    /// The file: where it lies, or was copied from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Where it came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// [`content_hash`] of the file.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether it is loaded from memory, and not from a file with a name.
    pub fn is_in_memory(&self) -> bool {
        self.memory.is_some()
    }

    fn named(origin: Origin, said_by: &str, path: &Path) -> Result<Self, Error> {
        let unusable = |error| {
            let doing = format!("{said_by}: cannot use");
            Error::io(ErrorKind::Shim, &doing, path, error)
        };
        let file = fs::canonicalize(path).map_err(unusable)?;
        let content = fs::read(&file).map_err(unusable)?;
        if !is_library(&content) {
            let text = format!(
                "{said_by}: {} is no library of this machine; name {FILE_NAME} as built with this memtide",
                path.display()
            );
            return Err(Error::new(ErrorKind::Shim, text));
        }
        if is_loadable(&file) {
            return Ok(Self::on_disk(origin, file, content_hash(&content)));
        }
        Self::in_memory(origin, file, &content)
    }

    fn embedded(content: &[u8], caches: &[PathBuf]) -> Result<Self, Error> {
        if !is_library(content) {
            let text = "this memtide was built without the shim; name one with --shim";
            return Err(Error::new(ErrorKind::Shim, text));
        }
        let hash = content_hash(content);
        for folder in caches {
            if let Some(file) = cache::file(folder, content, hash).filter(|file| is_loadable(file))
            {
                return Ok(Self::on_disk(Origin::Embedded, file, hash));
            }
        }
        Self::in_memory(Origin::Embedded, PathBuf::from(FILE_NAME), content)
    }

    fn on_disk(origin: Origin, file: PathBuf, hash: u64) -> Self {
        let preload = file.clone().into_os_string();
        Self {
            origin,
            file,
            hash,
            memory: None,
            preload,
        }
    }

    fn in_memory(origin: Origin, file: PathBuf, content: &[u8]) -> Result<Self, Error> {
        let memory = memory_file::create(content)?;
        // "self" is whoever opens it: the number is the same in every program that is started.
        let preload = format!("/proc/self/fd/{}", memory.as_raw_fd()).into();
        Ok(Self {
            origin,
            file,
            hash: content_hash(content),
            memory: Some(memory),
            preload,
        })
    }
}

fn installed(executable: &Path) -> Option<PathBuf> {
    let prefix = executable.parent()?.parent()?;
    Some(
        prefix
            .join("lib")
            .join(TRIPLET)
            .join("memtide")
            .join(FILE_NAME),
    )
}

/// A 64-bit little-endian ELF file of type `ET_DYN`.
fn is_library(content: &[u8]) -> bool {
    content.starts_with(b"\x7fELF\x02\x01") && content.get(16..18) == Some(&[3, 0])
}

/// Whether the loader can map it under this name: ld.so(8) splits `LD_PRELOAD` at spaces and colons and
/// expands `$`.
pub(crate) fn is_loadable(file: &Path) -> bool {
    let name = file.as_os_str().as_bytes();
    let whole = !name
        .iter()
        .any(|byte| matches!(byte, b' ' | b':' | b'$' | b'\t' | b'\n'));
    whole
        && file.is_absolute()
        && statvfs(file).is_ok_and(|fs| !fs.f_flag.contains(StatVfsMountFlags::NOEXEC))
}
