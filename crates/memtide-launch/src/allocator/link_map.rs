//! The loader's own list of what a process has loaded, in the order in which it looks for names.
//!
//! A debugger's way in, kept stable for debuggers since System V: the auxiliary vector says where the program
//! headers are, the dynamic segment's `DT_DEBUG` where `struct r_debug` is, and that where the list of
//! `struct link_map` begins (`link.h`). All of it is read from outside; the process is not stopped. The list
//! is whole when `r_state` is `RT_CONSISTENT`, which it first becomes once all is bound, before
//! the program's own code runs.

use memtide_model::Pid;
use memtide_proc::{Buffer, ProcRoot, ProcessDir, RemoteMemory};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// `AT_PHDR` and `AT_PHNUM` of getauxval(3).
const AT_PHDR: u64 = 3;
const AT_PHNUM: u64 = 5;
/// Program headers of elf(5): their size, and types.
const HEADER: usize = 56;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_PHDR: u32 = 6;
const DT_DEBUG: u64 = 21;
/// More libraries than any program has; a list that is longer goes in a circle.
const MOST: usize = 16_384;
/// The kernel takes no more program headers, and no dynamic segment is longer.
const MOST_BYTES: usize = 64 << 10;
/// `PATH_MAX`.
const LONGEST_NAME: usize = 4096;

/// One entry of the list.
#[derive(Clone, Debug)]
pub(super) struct Module {
    /// As the process names it; of the program itself the path of its file.
    pub(super) name: PathBuf,
    /// The same file, as we can open it.
    pub(super) file: PathBuf,
    /// What is added to the addresses of its file.
    pub(super) base: u64,
    /// Where its dynamic segment lies: an address within it.
    pub(super) within: u64,
}

/// What could be read.
#[derive(Debug)]
pub(super) enum Loaded {
    /// The loader is not done yet.
    NotYet,
    /// No loader has a list of this process: it is static, or was started by calling the loader.
    NoLoader,
    /// The program first.
    Modules(Vec<Module>),
}

/// Reads the list.
pub(super) fn read(pid: u32) -> Result<Loaded, memtide_proc::Error> {
    let process = ProcRoot::system()?.process(Pid(pid))?;
    let memory = Memory(RemoteMemory::new(Pid(pid)));
    let Some(debug) = debug(&process, &memory)? else {
        return Ok(Loaded::NoLoader);
    };
    // struct r_debug: version, list, a function, state.
    let [_, mut next, _, state] = memory.words::<4>(debug)?.unwrap_or_default();
    let is_whole = debug != 0 && next != 0 && state & u64::from(u32::MAX) == 0;
    if !is_whole {
        return Ok(Loaded::NotYet);
    }
    let mut modules = Vec::new();
    while next != 0 && modules.len() < MOST {
        // struct link_map: base, name, dynamic segment, next.
        let Some([base, name, within, after]) = memory.words(next)? else {
            return Ok(Loaded::NotYet);
        };
        let name = memory.string(name)?;
        if let Some((name, file)) = places(pid, name, modules.is_empty(), &process) {
            modules.push(Module {
                name,
                file,
                base,
                within,
            });
        }
        next = after;
    }
    Ok(Loaded::Modules(modules))
}

/// Where `struct r_debug` is, 0 while the loader, or the kernel before it, has not said so; `None` where
/// there is no loader.
fn debug(process: &ProcessDir, memory: &Memory) -> Result<Option<u64>, memtide_proc::Error> {
    const NOT_YET: Option<u64> = Some(0);
    let mut buffer = Buffer::new();
    let vector = words(process.read("auxv", &mut buffer)?);
    let value = |key| {
        (vector.chunks_exact(2))
            .find(|pair| pair.first() == Some(&key))?
            .get(1)
            .copied()
    };
    // In the midst of an execve(2) there is none.
    let (Some(at), Some(count)) = (value(AT_PHDR), value(AT_PHNUM)) else {
        return Ok(NOT_YET);
    };
    let length = as_length(count).saturating_mul(HEADER).min(MOST_BYTES);
    let headers = memory.bytes(at, length)?;
    if headers.len() < length {
        return Ok(NOT_YET);
    }
    let low = |word: Option<&u64>| word.map(|word| word & u64::from(u32::MAX));
    let of_type = |wanted: u32| {
        let mut headers = headers.chunks_exact(HEADER).map(words);
        headers.find(|header| low(header.first()) == Some(u64::from(wanted)))
    };
    let (Some(_), Some(own), Some(dynamic)) =
        (of_type(PT_INTERP), of_type(PT_PHDR), of_type(PT_DYNAMIC))
    else {
        return Ok(None);
    };
    let field = |header: &[u64], index: usize| header.get(index).copied().unwrap_or_default();
    // The program headers' own header says where they would lie without a base.
    let base = at.wrapping_sub(field(&own, 2));
    let start = base.wrapping_add(field(&dynamic, 2));
    let entries = words(&memory.bytes(start, as_length(field(&dynamic, 5)).min(MOST_BYTES))?);
    let mut entries = entries.chunks_exact(2);
    let entry = entries.find(|entry| entry.first() == Some(&DT_DEBUG));
    Ok(Some(entry.map_or(0, |entry| field(entry, 1))))
}

fn as_length(word: u64) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}

/// Name and file of an entry; `None` for what is no file: the kernel's vDSO.
fn places(
    pid: u32,
    name: Vec<u8>,
    is_program: bool,
    process: &ProcessDir,
) -> Option<(PathBuf, PathBuf)> {
    let below = |what: &str| PathBuf::from(format!("/proc/{pid}/{what}"));
    if is_program {
        let mut buffer = Buffer::new();
        let exe = process
            .link("exe", &mut buffer)
            .unwrap_or_default()
            .to_vec();
        return Some((OsString::from_vec(exe).into(), below("exe")));
    }
    let name = PathBuf::from(OsString::from_vec(name));
    let file = match name.strip_prefix("/") {
        Ok(absolute) => match absolute.strip_prefix("proc/self") {
            Ok(own) => below("").join(own),
            Err(_) => below("root").join(absolute),
        },
        Err(_) if name.components().count() > 1 => below("cwd").join(&name),
        Err(_) => return None,
    };
    Some((name, file))
}

/// Memory of the process.
struct Memory(RemoteMemory);

impl Memory {
    fn bytes(&self, at: u64, length: usize) -> Result<Vec<u8>, memtide_proc::Error> {
        let mut bytes = vec![0; length];
        let read = self.0.read(at, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    fn words<const N: usize>(&self, at: u64) -> Result<Option<[u64; N]>, memtide_proc::Error> {
        let words = words(&self.bytes(at, N * size_of::<u64>())?);
        Ok(words.try_into().ok())
    }

    fn string(&self, at: u64) -> Result<Vec<u8>, memtide_proc::Error> {
        let mut bytes = self.bytes(at, LONGEST_NAME)?;
        let end = memchr::memchr(0, &bytes);
        bytes.truncate(end.unwrap_or_default());
        Ok(bytes)
    }
}

/// What a slot of 8 bytes holds, where it can be read.
pub(super) fn slot(pid: u32, at: u64) -> Result<Option<u64>, memtide_proc::Error> {
    let word = Memory(RemoteMemory::new(Pid(pid))).words::<1>(at)?;
    Ok(word.map(|[value]| value))
}

fn words(bytes: &[u8]) -> Vec<u64> {
    let word = |chunk: &[u8]| chunk.try_into().map(u64::from_ne_bytes).unwrap_or_default();
    bytes.chunks_exact(size_of::<u64>()).map(word).collect()
}

/// The base name of a file.
pub(super) fn base_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_list_has_the_program_first_and_what_is_mapped() {
        let Loaded::Modules(modules) = read(std::process::id()).unwrap() else {
            panic!("the test runs, so it was loaded");
        };
        assert_eq!(modules[0].name, std::env::current_exe().unwrap());
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(modules.len() >= 3, "{modules:?}");
        for module in &modules {
            let real = std::fs::canonicalize(&module.file).unwrap();
            let mapped = maps
                .lines()
                .any(|line| line.ends_with(real.to_str().unwrap()));
            assert!(mapped, "{} in {maps}", real.display());
        }
        assert!(
            modules
                .iter()
                .any(|module| base_name(&module.name) == "libc.so.6")
        );
    }
}
