//! Where the loader would find a library by its name: `LD_LIBRARY_PATH`, its cache, the usual places.
//!
//! The cache is read here, and not by `ldconfig -p`, which is not in every `PATH` and not on every machine.
//! Its format is that of glibc's `sysdeps/generic/dl-cache.h`, numbers in the machine's order, positions from
//! the start of the new part:
//!
//! ```text
//! [ old part, up to glibc 2.31: "ld.so-1.7.0" … ]
//! "glibc-ld.so.cache1.1"  u32 entries  u32 length of strings  20 bytes more
//! entries: i32 flags  u32 name  u32 path  u32 os version  u64 hardware capabilities
//! strings, ended by NUL
//! ```
//!
//! Entries for special processors are passed over. What the caches of containers, Guix or Nix do
//! elsewhere is not known here: there a library is named by its path.

use crate::elf::{self, Head};
use crate::program::MACHINE;
use crate::shim::TRIPLET;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

const CACHE: &str = "/etc/ld.so.cache";
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Of the new part: magic and seven numbers.
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// Folders that hold libraries though the cache may not say so; `{}` is the machine's name.
const FOLDERS: [&str; 9] = [
    "/lib/{}",
    "/usr/lib/{}",
    "/usr/local/lib/{}",
    "/usr/local/lib",
    "/lib64",
    "/usr/lib64",
    "/usr/local/lib64",
    "/usr/lib",
    "/lib",
];

/// The file that a program of this machine would get for this name.
pub(super) fn library(name: &str) -> Option<PathBuf> {
    let asked = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let asked: Vec<PathBuf> = std::env::split_paths(&asked).collect();
    let usual = FOLDERS.map(|folder| PathBuf::from(folder.replace("{}", TRIPLET)));
    let cache = fs::read(CACHE).unwrap_or_default();
    let in_folders = |folders: &[PathBuf]| -> Vec<PathBuf> {
        folders.iter().map(|folder| folder.join(name)).collect()
    };
    let mut places = in_folders(&asked);
    places.extend(in_cache(&cache, name.as_bytes()));
    places.extend(in_folders(&usual));
    places
        .into_iter()
        .find(|path| path.is_absolute() && is_of_this_machine(path))
}

/// A 64-bit library of this machine.
pub(super) fn is_of_this_machine(path: &Path) -> bool {
    let head = File::open(path).and_then(elf::head);
    matches!(head, Ok(Head::Elf64(elf)) if elf.machine == MACHINE)
}

/// The paths that a cache has for a name, in its order.
fn in_cache(cache: &[u8], name: &[u8]) -> Vec<PathBuf> {
    let new = memchr::memmem::find(cache, MAGIC).and_then(|at| cache.get(at..));
    let new = new.unwrap_or_default();
    let number = |at: usize| -> Option<usize> {
        let bytes = new.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_ne_bytes(bytes.try_into().ok()?)).ok()
    };
    let string = |at: usize| -> Option<&[u8]> {
        let rest = new.get(number(at)?..)?;
        rest.get(..memchr::memchr(0, rest)?)
    };
    let room = new.len().saturating_sub(HEADER) / ENTRY;
    let entries = number(MAGIC.len()).unwrap_or_default().min(room);
    let starts = (0..entries).map(|index| HEADER + index * ENTRY);
    let plain = starts.filter(|at| number(at + 16) == Some(0) && number(at + 20) == Some(0));
    let named = plain.filter(|at| string(at + 4) == Some(name));
    let paths = named.filter_map(|at| string(at + 8));
    paths
        .map(|path| std::ffi::OsString::from_vec(path.to_vec()).into())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Against what glibc's own reader prints.
    #[test]
    fn the_cache_says_what_ldconfig_says() {
        let printed = ["ldconfig", "/sbin/ldconfig"]
            .into_iter()
            .find_map(|name| Command::new(name).arg("-p").output().ok());
        let (Some(printed), Ok(cache)) = (printed, fs::read(CACHE)) else {
            eprintln!("no cache of glibc here");
            return;
        };
        let printed = String::from_utf8(printed.stdout).unwrap();
        let lines = printed
            .lines()
            .filter_map(|line| line.trim().split_once(" => "));
        let mut compared = 0;
        for (name, path) in lines.filter(|(name, _)| !name.contains("hwcap")) {
            let name = name.split(' ').next().unwrap();
            let found = in_cache(&cache, name.as_bytes());
            assert!(
                found.contains(&PathBuf::from(path)),
                "{name}: {path}, not {found:?}"
            );
            compared += 1;
        }
        assert!(compared > 10, "{printed}");
    }

    #[test]
    fn a_cache_cut_or_damaged_anywhere_is_no_panic() {
        let mut cache = Vec::from(&b"ld.so-1.7.0\0old part\0"[..]);
        cache.extend(MAGIC);
        cache.extend(1_u32.to_ne_bytes());
        cache.extend([0; 24]);
        let strings = u32::try_from(HEADER + ENTRY).unwrap();
        for word in [0, strings, strings + 5, 0, 0, 0] {
            cache.extend(word.to_ne_bytes());
        }
        cache.extend(b"a.so\0/lib/a.so\0");
        assert_eq!(in_cache(&cache, b"a.so"), [PathBuf::from("/lib/a.so")]);
        for length in 0..cache.len() {
            assert_eq!(in_cache(&cache[..length], b"a.so"), Vec::<PathBuf>::new());
        }
        for at in 0..cache.len() {
            let mut damaged = cache.clone();
            damaged[at] = 0xff;
            in_cache(&damaged, b"a.so");
        }
    }

    #[test]
    fn the_c_library_is_found_and_nonsense_is_not() {
        assert!(library("libc.so.6").unwrap().is_file());
        assert_eq!(library("libno-such-library.so.7"), None);
    }
}
