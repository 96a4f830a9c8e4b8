//! What is about to be started, and whether the preload shim would be loaded into it.
//!
//! Names are looked up as execvp(3) does. What the loader would ignore the shim for is known before:
//! a program without loader, one that gains privileges, another machine, another C library. This looks at
//! the first program only: what that one starts is asked by nobody, and says hello or does not.

use crate::elf::{self, Elf, Head};
use crate::error::{Error, ErrorKind};
use rustix::fs::{StatVfsMountFlags, getxattr, statvfs};
use rustix::process::{getgid, getuid};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where execvp(3) looks without `PATH`, in glibc.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// Scripts whose interpreter is a script: the kernel gives up after this many.
const MOST_INTERPRETERS: usize = 5;
/// `EM_*` of the machine that the shim was built for.
#[cfg(target_arch = "x86_64")]
pub(crate) const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
pub(crate) const MACHINE: u16 = 183;

/// A program that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The file that is started.
    pub path: PathBuf,
    /// The file that runs: the interpreter of a script, otherwise `path` itself.
    pub runs: PathBuf,
    /// Why its stacks cannot be recorded; `None` where they can.
    pub refusal: Option<Refusal>,
}

impl Program {
    /// Whether its head says that the kernel will take it on. A program that is prepared at its last moment
    /// ([`crate::Launch::spawn_with`]) is started by execvp(3), which gives to the shell, as commands, what the kernel
    /// refuses: so one of another machine must not be.
    pub fn can_be_prepared(&self) -> bool {
        !matches!(
            self.refusal,
            Some(Refusal::Bits32 | Refusal::OtherMachine(_) | Refusal::Unreadable)
        )
    }
}

/// Why the preload shim would not be loaded. Displayed as a fragment that says what the program is and
/// what would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has no loader, or uses no library: nothing reads `LD_PRELOAD`.
    Static,
    /// Its loader is that of musl, which the shim is not built for.
    Musl,
    /// Its loader, which is given, is of no C library that the shim knows.
    OtherLoader(PathBuf),
    /// The loader ignores libraries of other folders for programs that change user or group.
    Setuid,
    /// The same for programs that gain capabilities.
    Capabilities,
    /// It is of 32 bits.
    Bits32,
    /// It is for another machine, given by its ELF number.
    OtherMachine(u16),
    /// It may be run, but not read: what it is cannot be told.
    Unreadable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Static => {
                "it is linked statically, so nothing can be preloaded; link it dynamically"
            }
            Self::Musl => "it runs on musl, and the shim is for glibc; build it for glibc",
            Self::OtherLoader(path) => {
                return write!(
                    out,
                    "its loader {} is not that of glibc; build it for glibc",
                    path.display()
                );
            }
            Self::Setuid => {
                "it is set-user-ID or set-group-ID, so the loader ignores preloaded libraries; \
                 run it as its owner, or a copy without that bit"
            }
            Self::Capabilities => {
                "its file has capabilities, so the loader ignores preloaded libraries; \
                 run a copy without them, or run it as root"
            }
            Self::Bits32 => "it is a 32-bit program, and the shim has 64 bits; build it for 64",
            Self::OtherMachine(number) => {
                return write!(
                    out,
                    "it is for another machine (ELF number {number}) than this memtide"
                );
            }
            Self::Unreadable => "its file may not be read, so what it is cannot be told",
        };
        out.write_str(text)
    }
}

/// Finds a program as execvp(3) would: a name with a slash is a path, any other is looked for in
/// `PATH`.
///
/// # Errors
/// [`ErrorKind::ProgramNotFound`] where there is none, [`ErrorKind::ProgramNotRunnable`] where
/// what there is may not be run.
pub fn resolve(name: &OsStr) -> Result<PathBuf, Error> {
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return runnable(&path).map(|()| path);
    }
    let search = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut failure = None;
    for folder in std::env::split_paths(&search) {
        // An empty entry is the working directory; the slash keeps it from being looked up again.
        let folder = if folder.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            folder
        };
        let path = folder.join(name);
        match runnable(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::ProgramNotRunnable => {
                failure.get_or_insert(error);
            }
            Err(_) => {}
        }
    }
    Err(failure.filter(|_| !name.is_empty()).unwrap_or_else(|| {
        let text = format!(
            "{}: no such program in PATH; give its path, or mend PATH",
            Path::new(name).display()
        );
        Error::new(ErrorKind::ProgramNotFound, text)
    }))
}

fn runnable(path: &Path) -> Result<(), Error> {
    let failed = |kind, error| Error::io(kind, "cannot run", path, error);
    let meta = fs::metadata(path).map_err(|error| {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let kind = if missing {
            ErrorKind::ProgramNotFound
        } else {
            ErrorKind::ProgramNotRunnable
        };
        failed(kind, error)
    })?;
    if meta.is_dir() {
        let text = format!("cannot run {}: it is a directory", path.display());
        return Err(Error::new(ErrorKind::ProgramNotRunnable, text));
    }
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK)
        .map_err(|errno| failed(ErrorKind::ProgramNotRunnable, errno.into()))
}

/// Looks at a program that is about to be started, and at the interpreter of a script.
///
/// # Errors
/// [`ErrorKind::ProgramNotFound`] where it, or its interpreter, is not there;
/// [`ErrorKind::ProgramNotRunnable`] where it may not be run. A program that cannot be recorded is
/// no error.
pub fn inspect_program(path: &Path) -> Result<Program, Error> {
    let mut runs = path.to_path_buf();
    for _ in 0..MOST_INTERPRETERS {
        runnable(&runs)?;
        let refusal = match head(&runs) {
            None => Some(Refusal::Unreadable),
            Some(Head::Script(interpreter)) => {
                runs = interpreter;
                continue;
            }
            // What the kernel does not know is given to the shell, by execvp and by `Launch`.
            Some(Head::Other) if runs != Path::new(crate::launch::SHELL) => {
                runs = crate::launch::SHELL.into();
                continue;
            }
            Some(Head::Other) => None,
            Some(Head::Elf32(_)) => Some(Refusal::Bits32),
            Some(Head::BigEndian(machine)) => Some(Refusal::OtherMachine(machine)),
            Some(Head::Elf64(elf)) => of_elf(&elf, &runs).or_else(|| of_privileges(&runs)),
        };
        return Ok(Program {
            path: path.to_path_buf(),
            runs,
            refusal,
        });
    }
    let text = format!(
        "cannot run {}: its interpreter is a script whose interpreter is a script, and so on",
        path.display()
    );
    Err(Error::new(ErrorKind::ProgramNotRunnable, text))
}

/// `None` for what may not be read.
fn head(path: &Path) -> Option<Head> {
    File::open(path).and_then(elf::head).ok()
}

fn of_elf(elf: &Elf, path: &Path) -> Option<Refusal> {
    if elf.machine != MACHINE {
        return Some(Refusal::OtherMachine(elf.machine));
    }
    let Some(loader) = &elf.interpreter else {
        // The loader itself, run as a command, does read LD_PRELOAD.
        return (!is_glibc_loader(path)).then_some(Refusal::Static);
    };
    if is_named(loader, b"ld-musl") {
        return Some(Refusal::Musl);
    }
    if !is_glibc_loader(loader) {
        return Some(Refusal::OtherLoader(loader.clone()));
    }
    (elf.libraries == 0).then_some(Refusal::Static)
}

fn is_glibc_loader(path: &Path) -> bool {
    is_named(path, b"ld-linux")
        || fs::canonicalize(path).is_ok_and(|real| is_named(&real, b"ld-linux"))
}

fn is_named(path: &Path, start: &[u8]) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_bytes().starts_with(start))
}

/// Whether running it makes the loader suspicious (`AT_SECURE`): user, group or capabilities that
/// differ from those of the caller, see ld.so(8), "Secure-execution mode".
fn of_privileges(path: &Path) -> Option<Refusal> {
    const SET_USER: u32 = 0o4000;
    const SET_GROUP_AND_RUN: u32 = 0o2010;
    let nosuid = statvfs(path).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::NOSUID));
    if nosuid {
        return None;
    }
    let meta = fs::metadata(path).ok()?;
    let user = meta.mode() & SET_USER != 0 && meta.uid() != getuid().as_raw();
    let group =
        meta.mode() & SET_GROUP_AND_RUN == SET_GROUP_AND_RUN && meta.gid() != getgid().as_raw();
    if user || group {
        return Some(Refusal::Setuid);
    }
    // Root has them all: nothing is gained.
    let mut value = [0_u8; 64];
    let capable = getxattr(path, "security.capability", &mut value).is_ok_and(|length| length > 0);
    (capable && !getuid().is_root()).then_some(Refusal::Capabilities)
}
