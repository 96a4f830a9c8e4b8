//! Programs without a heap of glibc's are recognised and refused; heaps on pages of another size are read.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_inspect::{ErrorKind, Inspector, Options};
use std::path::Path;
use std::process::Command;
use support::{Target, assert_equal, build, program, skip};

/// A program that has no heap of glibc's: the kind of error, and words that the message must have.
fn assert_refused(mut command: Command, kind: ErrorKind, words: &[&str]) {
    let target = Target::start(&mut command, "");
    let look = Inspector::open(target.pid()).and_then(|mut i| i.snapshot(&Options::default()));
    let error = look.expect_err("this heap is not glibc's");
    assert_eq!(error.kind(), kind, "{command:?}: {error}");
    for word in words {
        assert!(
            error.to_string().contains(word),
            "{command:?} says {word}: {error}"
        );
    }
}

#[test]
fn a_32_bit_program() {
    let options = ["-m32", "-nostdlib", "-static", "-fno-stack-protector"];
    match build("tiny", &options) {
        Ok(program) => {
            if Command::new(&program)
                .stdin(std::process::Stdio::null())
                .output()
                .is_err()
            {
                return skip("this kernel runs no 32-bit programs");
            }
            assert_refused(Command::new(program), ErrorKind::Unsupported, &["32-bit"]);
        }
        Err(reason) => skip(&format!("a 32-bit program: {reason}")),
    }
}

#[test]
fn a_program_without_any_library() {
    let options = ["-nostdlib", "-static", "-fno-stack-protector"];
    let program = build("tiny", &options).unwrap();
    assert_refused(Command::new(program), ErrorKind::NoHeap, &["glibc"]);
}

#[test]
fn programs_on_musl() {
    let plain = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets/plain.c");
    // Of a static program nothing says so in the list of its mappings.
    for (options, name) in [(&["-static"][..], "glibc"), (&[], "musl")] {
        match support::build_file(&plain, "musl-gcc", options) {
            Ok(program) => assert_refused(Command::new(program), ErrorKind::NoHeap, &[name]),
            Err(reason) => skip(&format!("musl: {reason}")),
        }
    }
}

#[test]
fn programs_on_other_allocators() {
    let plain = build("plain", &[]).unwrap();
    for (library, name) in [
        ("libjemalloc.so.2", "jemalloc"),
        ("libtcmalloc_minimal.so.4", "tcmalloc"),
        ("libmimalloc.so.2", "mimalloc"),
    ] {
        let found = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"]
            .iter()
            .map(|folder| Path::new(folder).join(library))
            .find(|path| path.exists());
        let Some(path) = found else {
            skip(&format!("{library} is not installed"));
            continue;
        };
        let mut command = Command::new(&plain);
        command.env("LD_PRELOAD", path);
        assert_refused(command, ErrorKind::NoHeap, &[name]);
    }
}

/// The heap lies in pages of hugetlbfs, which malloc takes when it is told to.
#[test]
fn a_heap_in_hugetlb_pages() {
    let Some(_pages) = HugePages::reserve(40) else {
        return;
    };
    let mut command = Command::new(program("books"));
    command.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=2");
    let target = Target::start(&mut command, "mix 16 0");
    assert_equal("hugetlb", &target.snapshot(), &target.books);
}

/// Huge pages of this system; as many as there were when this is dropped.
struct HugePages(String);

impl HugePages {
    const FILE: &str = "/proc/sys/vm/nr_hugepages";

    fn reserve(pages: u64) -> Option<Self> {
        let were = std::fs::read_to_string(Self::FILE).unwrap_or_default();
        let wanted = were.trim().parse::<u64>().unwrap_or(0) + pages;
        let set = std::fs::write(Self::FILE, wanted.to_string());
        let reserved = Self(were);
        let now = std::fs::read_to_string(Self::FILE).unwrap_or_default();
        if set.is_err() || now.trim() != wanted.to_string() {
            skip("no huge pages can be reserved here");
            return None;
        }
        Some(reserved)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let _ = std::fs::write(Self::FILE, self.0.trim());
    }
}
