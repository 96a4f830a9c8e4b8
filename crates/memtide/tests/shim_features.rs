//! The shim as nobody uses it: built to check itself (feature `check-walks`), or to fail in a way that no known
//! program brings about (`check-panics`). Each takes a build of its own, so only with `MEMTIDE_LONG`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shim_support;

use memtide_region::{Kind, State};
use object::{Object as _, ObjectSymbol as _};
use shim_support::run::{Done, Run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const ENOUGH: Duration = Duration::from_mins(10);

/// The shim, built with a feature.
fn shim_with(feature: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(feature);
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../memtide-shim/Cargo.toml");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--locked"])
        .args(["--features", feature, "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&folder)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET")
        .status()
        .unwrap();
    assert!(status.success(), "the shim builds with {feature}");
    folder.join("release/libmemtide_shim.so")
}

/// Whether a function of that name is in the built file.
fn has_function(shim: &Path, name: &str) -> bool {
    let bytes = fs::read(shim).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    file.symbols()
        .any(|symbol| symbol.name().is_ok_and(|found| found.contains(name)))
}

fn is_wanted() -> bool {
    let is_long = shim_support::is_long();
    if !is_long {
        println!("skipped: takes a build of the shim; MEMTIDE_LONG=1 wants it");
    }
    is_long
}

/// A compiler at work on much of the standard library: its program, and its input.
fn compiler(folder: &Path) -> (PathBuf, PathBuf) {
    let output = Command::new("g++").arg("-print-prog-name=cc1plus").output();
    let program = String::from_utf8(output.unwrap().stdout).unwrap();
    let source = folder.join("source.cpp");
    let headers = ["regex", "map", "string", "iostream", "algorithm", "future"];
    let includes = headers.map(|name| format!("#include <{name}>\n")).concat();
    let body = "int main(int count, char **words) { return std::regex_match(words[count - 1], std::regex(\"a+\")); }";
    fs::write(&source, includes + body + "\n").unwrap();
    let input = folder.join("source.ii");
    let preprocess = Command::new("g++")
        .arg("-E")
        .arg(&source)
        .arg("-o")
        .arg(&input)
        .status();
    assert!(preprocess.unwrap().success());
    (PathBuf::from(program.trim()), input)
}

/// The benchmark whose threads jump between five hundred stacks.
fn jumper(folder: &Path) -> PathBuf {
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reports/bench/programs/w1_micro.cpp");
    let program = folder.join("w1_micro");
    let built = Command::new("g++")
        .args(["-O2", "-g", "-pthread", "-o"])
        .arg(&program)
        .arg(source)
        .status();
    assert!(built.unwrap().success());
    program
}

fn under(shim: &Path, run: Run) -> Done {
    let mut run = run.limit(ENOUGH).env("LD_PRELOAD", shim);
    let folder = run.regions_in().to_path_buf();
    run.command
        .env("MEMTIDE_DIR", folder)
        .env("MEMTIDE_HEAP", "full");
    run.finish()
}

/// The tail, the trie and a plain walk give every block the same stack, in one process at the same moment.
#[test]
fn all_ways_to_walk_agree_block_by_block() {
    if !is_wanted() {
        return;
    }
    let shim = shim_with("check-walks");
    // Without it nothing would be compared, nor any difference found.
    assert!(has_function(&shim, "6stacks5check5check"));
    let folder = tempfile::tempdir().unwrap();
    let (cc1plus, input) = compiler(folder.path());
    let compile = Run::plain(&cc1plus)
        .arg("-quiet")
        .arg("-O1")
        .arg(input)
        .arg("-o")
        .arg("/dev/null");
    let rounds = "import json\nfor n in range(300): json.loads(json.dumps({str(i): [i, {'k': str(i)}] for i in range(300)}))";
    let python = Run::plain(Path::new("/usr/bin/python3"))
        .env("PYTHONMALLOC", "malloc")
        .arg("-c")
        .arg(rounds);
    let jumps = Run::plain(&jumper(folder.path())).arg("2").arg("1000000");
    for (name, run) in [("cc1plus", compile), ("python3", python), ("w1", jumps)] {
        let done = under(&shim, run);
        assert!(done.output.status.success(), "{name}: {:?}", done.output);
        let region = done.region();
        let (blocks, lost) = (region.total(Kind::Heap).allocs, region.lost());
        // The feature counts differences there, and stacks that could not be compared.
        let (different, uncompared) = (lost.nodes, lost.no_room);
        println!(
            "{name}: {blocks} blocks, {uncompared} not compared in all ways, {different} different"
        );
        assert!(blocks > 100_000, "{name}: {blocks} blocks");
        assert_eq!(different, 0, "{name}");
        assert!(
            uncompared * 100 < blocks,
            "{name}: {uncompared} of {blocks}"
        );
    }
}

/// Unwinding tables that nobody has thought of cost the stacks that need them, and nothing else.
#[test]
fn a_panic_among_unwinding_tables_is_no_harm() {
    if !is_wanted() {
        return;
    }
    let shim = shim_with("check-panics");
    let faults = shim_support::target("faults.cpp", "faults", &[]);
    for mode in ["short", "small_stacks", "unseen"] {
        let plain = Run::plain(&faults).arg(mode).finish();
        let done = under(&shim, Run::plain(&faults).arg(mode));
        assert_eq!(done.output, plain.output, "{mode}");
        let region = done.region();
        assert_eq!(region.state(), State::Ended, "{mode}");
        assert!(region.lost().rules > 0, "{mode}: nothing panicked");
        region.assert_no_free_is_unknown();
    }
    let done = under(
        &shim,
        Run::plain(Path::new("/usr/bin/python3"))
            .arg("-c")
            .arg("print(1)"),
    );
    assert_eq!(done.text(), "1\n");
}
