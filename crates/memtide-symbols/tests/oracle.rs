//! Every frame equals what binutils' and elfutils' addr2line say.
#![allow(missing_docs, reason = "a test")]

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

/// The two tools disagree with DWARF and each other on a clone's suffix and on unknown files only.
fn normal(frame: &Plain) -> Plain {
    let (function, file, line) = frame;
    let function = function
        .split(".cold")
        .next()
        .unwrap_or_default()
        .to_owned();
    let file = if *line == 0 {
        "??".to_owned()
    } else {
        file.clone()
    };
    (function, file, *line)
}

fn differences(svmas: &[u64], ours: &[Vec<Plain>], theirs: &[Vec<Plain>]) -> usize {
    let normalised = |stack: &[Plain]| stack.iter().map(normal).collect::<Vec<_>>();
    let differ =
        |(ours, theirs): (&Vec<Plain>, &Vec<Plain>)| normalised(ours) != normalised(theirs);
    let wrong: Vec<usize> = ours
        .iter()
        .zip(theirs)
        .enumerate()
        .filter(|(_, pair)| differ(*pair))
        .map(|(i, _)| i)
        .collect();
    for index in wrong.iter().step_by(wrong.len().div_ceil(8).max(1)) {
        eprintln!(
            "{:#x}\n  ours   {:?}\n  theirs {:?}",
            svmas[*index], ours[*index], theirs[*index]
        );
    }
    wrong.len()
}

fn compare(program: &Path, tool: &str, count: usize) -> (usize, usize) {
    let svmas = sample(program, count);
    let theirs = oracle(tool, &[], program, &svmas);
    assert_eq!(theirs.len(), svmas.len());
    let ours = ours(program, &svmas);
    let deep = ours.iter().filter(|frames| frames.len() > 2).count();
    let wrong = differences(&svmas, &ours, &theirs);
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
    for flags in BUILDS {
        let program = compile(dir.path(), "program", CPP, flags);
        let (_, wrong) = compare(&program, "eu-addr2line", 6_000);
        assert_eq!(wrong, 0, "{flags:?}");
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
