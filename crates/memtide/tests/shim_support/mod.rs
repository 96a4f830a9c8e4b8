//! What the tests of the shim share: the library itself, targets that are compiled once, runs of a
//! target under the library, and the regions that such a run leaves as sums for each stack.
//!
//! Regions are read through `memtide_region::Reader` and nothing else. Functions are named by the symbol
//! table of the target's own file, so no debugger and no crate of memtide's is needed for the truth.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of each test file, not a crate")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub mod run;
pub mod stacks;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// The shim that the build script built, under a path without spaces and colons, at which the loader
/// would split it.
pub fn shim() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let built = Path::new(env!("MEMTIDE_SHIM_FILE"));
        let copy = built_folder().join("libmemtide_shim.so");
        fs::copy(built, &copy).unwrap();
        assert!(
            fs::metadata(&copy).unwrap().len() > 0,
            "{} is a library",
            built.display()
        );
        copy
    })
}

/// Where this test's programs are put; each test binary has its own.
fn built_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let name = std::env::current_exe().unwrap();
        let name = name.file_name().unwrap().to_string_lossy().into_owned();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // At these the loader splits LD_PRELOAD.
        let splits = target.to_string_lossy().contains([' ', ':']);
        let folder = if splits {
            std::env::temp_dir().join(format!("memtide-tests-{name}"))
        } else {
            target.join(name)
        };
        fs::create_dir_all(&folder).unwrap();
        folder
    })
}

/// A source in `tests/targets`, compiled once per test binary with these flags.
pub fn target(source: &str, name: &str, flags: &[&str]) -> PathBuf {
    static DONE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut done = DONE.lock().unwrap();
    if let Some(program) = done.get(name) {
        return program.clone();
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/targets")
        .join(source);
    let is_c = source.extension().is_some_and(|extension| extension == "c");
    let program = built_folder().join(name);
    // Its last run's may be in use by a program that outlived it.
    let _ = fs::remove_file(&program);
    let output = Command::new(if is_c { "gcc" } else { "g++" })
        .args([
            "-O1",
            "-g",
            "-pthread",
            "-fno-omit-frame-pointer",
            "-fomit-frame-pointer",
        ])
        .args(["-fno-optimize-sibling-calls", "-fno-builtin", "-o"])
        .arg(&program)
        .arg(&source)
        .args(flags)
        .output()
        .expect("gcc and g++ are installed");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{} compiles: {complaint}",
        source.display()
    );
    done.insert(name.to_owned(), program.clone());
    program
}

/// Whether the slow rounds are wanted, too.
pub fn is_long() -> bool {
    std::env::var_os("MEMTIDE_LONG").is_some()
}

/// An allocator's library for `LD_PRELOAD`; `None`, after saying so, where it is not installed.
pub fn library(name: &str) -> Option<PathBuf> {
    let output = Command::new("/sbin/ldconfig").arg("-p").output().ok()?;
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = list
        .lines()
        .filter(|line| line.contains(name))
        .find_map(|line| line.split(" => ").nth(1))
        .map(PathBuf::from);
    if found.is_none() {
        println!("skipped: {name} is not installed");
    }
    found
}
