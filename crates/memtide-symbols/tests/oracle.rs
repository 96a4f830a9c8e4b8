//! Every frame equals what binutils' and elfutils' addr2line say.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "helpers of tests count as outside them")]

mod support;

use memtide_symbols::{Locator, Resolver};
use std::path::Path;
use support::{CPP, Plain, compile, has_tool, oracle, plain, resolve, sample};

/// Frames under the linker's names: demanglers differ, and are compared by themselves.
fn ours(program: &Path, svmas: &[u64]) -> Vec<Vec<Plain>> {
    let resolver = Resolver::new(Locator::new([])).with_linker_names();
    let resolution = resolve(&resolver, support::module(program), svmas);
    (0..svmas.len())
        .map(|index| resolution.frames(index).iter().map(plain).collect())
        .collect()
}

/// True where both say the same of a frame. What is excused, and why:
/// a clone's suffix (`.cold`) is the symbol's and not DWARF's; without a line there is no file;
/// functions that the linker folded have several names; and where DWARF has only a bare name (a
/// lambda's `operator()`), binutils puts the enclosing symbol on the *innermost* frame, elfutils uses
/// none, and we put it on the outermost, which it names.
fn same(ours: &Plain, theirs: &Plain, svma: u64, symbols: &[(u64, u64, String)]) -> bool {
    let bare = |name: &str| name.split(".cold").next().unwrap_or_default().to_owned();
    let is_linker_name = |name: &str| name.starts_with("_Z") || name.starts_with("_R");
    let holds = |name: &str| {
        symbols
            .iter()
            .any(|(start, size, symbol)| symbol == name && (*start..start + size).contains(&svma))
    };
    let places = ours.2 == theirs.2 && (ours.2 == 0 || ours.1 == theirs.1);
    let names = bare(&ours.0) == bare(&theirs.0)
        || (holds(&ours.0) && holds(&theirs.0))
        || (!is_linker_name(&ours.0) && holds(&theirs.0))
        || (holds(&ours.0) && !is_linker_name(&theirs.0));
    places && names
}

fn differences(program: &Path, svmas: &[u64], ours: &[Vec<Plain>], theirs: &[Vec<Plain>]) -> usize {
    let symbols = support::functions(program);
    let mut wrong = 0;
    for ((svma, ours), theirs) in svmas.iter().zip(ours).zip(theirs) {
        let equal = ours == theirs
            || ours.len() == theirs.len()
                && ours
                    .iter()
                    .zip(theirs)
                    .all(|(ours, theirs)| same(ours, theirs, *svma, &symbols));
        if !equal {
            wrong += 1;
            if wrong <= 8 {
                eprintln!("{svma:#x}\n  ours   {ours:?}\n  theirs {theirs:?}");
            }
        }
    }
    wrong
}

fn compare(program: &Path, tool: &str, count: usize) -> (usize, usize) {
    let svmas = sample(program, count);
    let theirs = oracle(tool, &[], program, &svmas);
    assert_eq!(theirs.len(), svmas.len());
    let ours = ours(program, &svmas);
    let deep = ours.iter().filter(|frames| frames.len() > 2).count();
    let wrong = differences(program, &svmas, &ours, &theirs);
    eprintln!(
        "{tool}: {} addresses, {deep} of more than 2 frames, {wrong} differ",
        svmas.len()
    );
    (svmas.len(), wrong)
}

const BUILDS: [&[&str]; 4] = [
    &["-g", "-O2"],
    &["-g", "-O2", "-no-pie"],
    &["-g", "-O0"],
    &["-gdwarf-4", "-O2"],
];

#[test]
fn a_cpp_program_equals_binutils() {
    let dir = tempfile::tempdir().unwrap();
    for flags in BUILDS {
        let program = compile(dir.path(), "program", CPP, flags);
        let (asked, wrong) = compare(&program, "addr2line", 6_000);
        assert!(asked > 4_000, "{asked} addresses");
        assert_eq!(wrong, 0, "{flags:?}");
    }
}

#[test]
fn a_cpp_program_equals_elfutils() {
    if !has_tool("eu-addr2line") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for flags in &BUILDS[..2] {
        let program = compile(dir.path(), "program", CPP, flags);
        // It gives code without lines the line before it (`_start`), and merges neighbouring inlined
        // scopes: there binutils, which is another implementation, agrees with us.
        let (asked, wrong) = compare(&program, "eu-addr2line", 2_000);
        assert!(wrong * 40 < asked, "{flags:?}: {wrong} of {asked}");
    }
}

/// The largest Rust program at hand: this test itself.
#[test]
fn a_rust_program_equals_binutils() {
    let program = std::env::current_exe().unwrap();
    let (asked, wrong) = compare(&program, "addr2line", 5_000);
    assert!(asked > 4_000, "{asked} addresses");
    assert_eq!(wrong, 0);
}

/// One as large as a compiler, with debug information of hundreds of MiB: memtide as it is built for tests.
#[test]
fn a_large_program_equals_binutils() {
    if std::env::var_os("MEMTIDE_LONG").is_none() {
        println!("skipped: takes a minute; MEMTIDE_LONG=1 wants it");
        return;
    }
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("memtide");
    if !program.is_file() {
        println!("skipped: {} was not built", program.display());
        return;
    }
    let (asked, wrong) = compare(&program, "addr2line", 5_000);
    assert!(asked > 4_000, "{asked} addresses");
    assert_eq!(wrong, 0);
}

/// Names as people read them, against binutils' own demangler. Style is evened out (`4ul` is `4`).
/// `cpp_demangle` 0.5.1 is known to be wrong on templated constructors, whose first parameter it
/// takes for a return type, on members of local classes, and on empty packs (`tuple<>&&`): the test
/// holds it to no more than that.
#[test]
fn demangled_names_equal_cxxfilt() {
    let dir = tempfile::tempdir().unwrap();
    let program = compile(dir.path(), "program", CPP, &["-O0"]);
    let names: Vec<String> = support::functions(&program)
        .into_iter()
        .map(|(_, _, name)| name)
        .collect();
    let arguments: Vec<&str> = names.iter().map(String::as_str).collect();
    let theirs = support::run("c++filt", &arguments);
    let differing: Vec<_> = names
        .iter()
        .zip(theirs.lines())
        .filter(|(name, theirs)| {
            plain_literals(&memtide_symbols::demangle(name)) != plain_literals(theirs)
        })
        .collect();
    for (name, theirs) in differing.iter().take(5) {
        eprintln!(
            "{name}\n  ours   {}\n  theirs {theirs}",
            memtide_symbols::demangle(name)
        );
    }
    eprintln!("{} names, {} differ", names.len(), differing.len());
    assert!(
        differing.len() * 12 < names.len(),
        "{} of {}",
        differing.len(),
        names.len()
    );
}

/// Integer literals without their type.
fn plain_literals(name: &str) -> String {
    let name = name.replace("(unsigned long)", "").replace("(long)", "");
    let mut plain = String::new();
    let mut after_digit = false;
    for c in name.chars() {
        if !(after_digit && (c == 'u' || c == 'l')) {
            after_digit = c.is_ascii_digit();
            plain.push(c);
        }
    }
    plain
}
