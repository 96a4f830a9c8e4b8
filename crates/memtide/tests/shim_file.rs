//! The built shim as a file: what it would load, what it asks of libc, what it puts in front of a program's
//! own functions, and what it weighs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_TEXTREL};
use object::read::elf::{Dyn as _, ElfFile64, FileHeader as _};
use object::{Endianness, Object as _, ObjectSection as _, ObjectSymbol as _};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

/// All that a program's own calls may end in; everything else is nobody's business.
const EXPORTS: &[&str] = &[
    "malloc",
    "calloc",
    "realloc",
    "free",
    "reallocarray",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "valloc",
    "pvalloc",
    "malloc_usable_size",
    "free_sized",
    "free_aligned_sized",
    "sdallocx",
    "dallocx",
    "mmap",
    "mmap64",
    "munmap",
    "mremap",
    "dlclose",
    // operator new and new[]: plain, nothrow, aligned, both.
    "_Znwm",
    "_Znam",
    "_ZnwmRKSt9nothrow_t",
    "_ZnamRKSt9nothrow_t",
    "_ZnwmSt11align_val_t",
    "_ZnamSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t",
    "_ZnamSt11align_val_tRKSt9nothrow_t",
    // operator delete and delete[]: plain, nothrow, sized, aligned, aligned and nothrow, both.
    "_ZdlPv",
    "_ZdaPv",
    "_ZdlPvRKSt9nothrow_t",
    "_ZdaPvRKSt9nothrow_t",
    "_ZdlPvm",
    "_ZdaPvm",
    "_ZdlPvSt11align_val_t",
    "_ZdaPvSt11align_val_t",
    "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    "_ZdaPvSt11align_val_tRKSt9nothrow_t",
    "_ZdlPvmSt11align_val_t",
    "_ZdaPvmSt11align_val_t",
];

/// What libc has had since it exists; the four weak ones are the linker's.
const IMPORTS: &[&str] = &[
    "dl_iterate_phdr",
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "bcmp",
    "__cxa_finalize",
    "__gmon_start__",
    "_ITM_deregisterTMCloneTable",
    "_ITM_registerTMCloneTable",
];

const MOST_BYTES: u64 = 200_000;

fn shim() -> Vec<u8> {
    let bytes = fs::read(env!("MEMTIDE_SHIM_FILE")).unwrap();
    assert!(bytes.starts_with(b"\x7fELF"), "a library was built");
    bytes
}

fn parse(bytes: &[u8]) -> ElfFile64<'_, Endianness> {
    ElfFile64::parse(bytes).unwrap()
}

#[test]
fn it_loads_nothing_and_asks_for_no_version() {
    let bytes = shim();
    let file = parse(&bytes);
    let header = file.elf_header();
    let endian = header.endian().unwrap();
    let sections = header.sections(endian, &*bytes).unwrap();
    let (dynamic, _) = sections.dynamic(endian, &*bytes).unwrap().unwrap();
    let tags: Vec<_> = dynamic.iter().map(|entry| entry.d_tag(endian)).collect();
    // FLAGS and SYMTAB show that it was the dynamic section that was read.
    assert!(tags.contains(&object::elf::DT_SYMTAB), "{tags:x?}");
    for unwanted in [DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_TEXTREL] {
        assert!(!tags.contains(&unwanted), "dynamic entry {unwanted:#x}");
    }
    for name in [
        ".gnu.version",
        ".gnu.version_r",
        ".gnu.version_d",
        ".interp",
    ] {
        assert!(
            file.section_by_name(name).is_none(),
            "there is a section {name}"
        );
    }
}

#[test]
fn it_exports_what_it_wraps_and_imports_next_to_nothing() {
    let bytes = shim();
    let file = parse(&bytes);
    let exports: BTreeSet<_> = file
        .dynamic_symbols()
        .filter(|symbol| symbol.is_definition() && symbol.is_global())
        .map(|symbol| symbol.name().unwrap().to_owned())
        .collect();
    let intended: BTreeSet<_> = EXPORTS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(exports, intended);
    for symbol in file
        .dynamic_symbols()
        .filter(object::ObjectSymbol::is_undefined)
    {
        let name = symbol.name().unwrap();
        assert!(
            name.is_empty() || IMPORTS.contains(&name),
            "it imports {name}"
        );
    }
}

/// Formatting is what a panic would do, and a message in the program's output.
#[test]
fn nothing_in_it_formats_or_unwinds() {
    let bytes = shim();
    let file = parse(&bytes);
    let names: Vec<_> = file
        .symbols()
        .map(|symbol| symbol.name().unwrap().to_owned())
        .collect();
    assert!(
        names.iter().any(|name| name.contains("memtide_shim")),
        "its own functions are in the symbol table"
    );
    for part in [
        "4core3fmt",
        "3std",
        "5alloc",
        "rust_eh_personality",
        "_Unwind_",
    ] {
        let found: Vec<_> = names.iter().filter(|name| name.contains(part)).collect();
        assert!(found.is_empty(), "{part}: {found:?}");
    }
}

/// Only the reader of unwinding tables, which is not ours, has checks that panic; it runs where nothing of
/// the program's is held.
#[test]
fn no_function_of_ours_can_panic() {
    let output = Command::new("objdump")
        .args(["--disassemble", "--demangle", "--no-show-raw-insn"])
        .arg(env!("MEMTIDE_SHIM_FILE"))
        .output()
        .expect("objdump of binutils is installed");
    let text = String::from_utf8(output.stdout).unwrap();
    let (mut function, mut panicking) = ("", BTreeSet::new());
    for line in text.lines() {
        if let Some((_, name)) = line
            .strip_suffix(">:")
            .and_then(|head| head.split_once('<'))
        {
            function = name;
        }
        if line.contains("<core::panicking::") || line.contains("_failed>") {
            panicking.insert(function);
        }
    }
    assert!(
        panicking.iter().any(|name| name.contains("gimli")),
        "calls are found: {panicking:?}"
    );
    let ours: Vec<_> = panicking
        .iter()
        .filter(|name| name.contains("memtide_") && !name.contains("compile"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn it_is_small() {
    let folder = tempfile::tempdir().unwrap();
    let stripped = folder.path().join("stripped.so");
    let status = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(env!("MEMTIDE_SHIM_FILE"))
        .status()
        .expect("strip of binutils is installed");
    assert!(status.success());
    let bytes = fs::metadata(&stripped).unwrap().len();
    assert!(bytes < MOST_BYTES, "{bytes} bytes without symbols");
    println!("{bytes} bytes without symbols");
}

/// Loaded early or late its thread-local object must fit into what libc keeps free for such.
#[test]
fn its_thread_local_storage_is_one_cache_line() {
    let bytes = shim();
    let file = parse(&bytes);
    let bytes: u64 = file
        .sections()
        .filter(|section| section.kind() == object::SectionKind::UninitializedTls)
        .map(|section| section.size())
        .sum();
    assert_eq!(bytes, 64);
    assert!(
        file.sections()
            .all(|section| section.kind() != object::SectionKind::Tls)
    );
}
