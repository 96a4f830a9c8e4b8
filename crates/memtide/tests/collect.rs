//! `memtide collect` and `memtide symbolize`: a program that knew nothing of memtide but two variables,
//! and its stacks afterwards.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use support::{Target, err, failure, finish, memtide};

const SOON: Duration = Duration::from_mins(1);
const SHIM: &str = env!("MEMTIDE_SHIM_FILE");

/// The program, compiled into `dir`, so that it can be moved away.
fn leaky(dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets/leaky.c");
    let program = dir.join("leaky");
    let mut command = Command::new("cc");
    command.args(["-O1", "-g", "-Wl,--build-id", "-o"]);
    let output = command.arg(&program).arg(&source).output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    program
}

/// Runs it as somebody would who starts programs without memtide.
fn run(program: &Path, arguments: &[&str], regions: &Path) {
    fs::create_dir_all(regions).unwrap();
    let status = Command::new(program)
        .args(arguments)
        .env("LD_PRELOAD", SHIM)
        .env("MEMTIDE_DIR", regions)
        .env("MEMTIDE_HEAP", "full")
        .status()
        .unwrap();
    assert!(status.success());
}

fn collect(dir: &Path, options: &[&str]) -> Value {
    let mut command = memtide(dir);
    command.args(["collect", "regions", "-o", "r.memtide", "--json", "-"]);
    let output = finish(command.args(options), SOON);
    assert!(output.status.success(), "{}", err(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn symbolize(dir: &Path, options: &[&str]) -> Output {
    finish(
        memtide(dir).args(["symbolize", "r.memtide"]).args(options),
        SOON,
    )
}

/// The rows of an owner that keep memory.
fn kept<'a>(report: &'a Value, owner: &str) -> Vec<&'a Value> {
    let rows = report["stacks"].as_array().unwrap().iter();
    rows.filter(|row| row["owner"] == owner && row["allocs"].as_u64() < Some(1000))
        .collect()
}

/// The functions of a row, innermost first.
fn functions(row: &Value) -> Vec<&str> {
    let frames = row["frames"].as_array().unwrap().iter();
    frames
        .filter_map(|frame| frame["function"].as_str())
        .collect()
}

#[test]
fn a_program_that_has_ended_is_recorded_to_the_block() {
    let dir = tempfile::tempdir().unwrap();
    let program = leaky(dir.path());
    run(&program, &["fork"], &dir.path().join("regions"));
    let report = collect(dir.path(), &[]);
    let allocations = &report["allocations"];
    assert_eq!(allocations["mode"], "full");
    assert_eq!(allocations["allocs"], 200 + 20_000);
    assert_eq!(allocations["allocated_bytes"], 200 * 1000 + 20_000 * 64);
    assert_eq!(allocations["live_blocks"], 200);
    assert_eq!(allocations["never_freed_bytes"], 200_000);
    // One block of the churn beside what had been kept by then.
    assert_eq!(allocations["peak_bytes"], 200_064);
    let rows = kept(&report, "target");
    let [row] = rows[..] else {
        panic!("one stack keeps memory: {rows:?}");
    };
    assert_eq!(functions(row)[..2], ["keep", "main"]);
    assert_eq!(row["frames"][0]["line"], 11, "of the call of malloc");
    assert_eq!(
        (&row["live_bytes"], &row["allocs"]),
        (&200_000.into(), &200.into())
    );
    let rows = kept(&report, "others");
    let [row] = rows[..] else {
        panic!("so does one of the child: {rows:?}");
    };
    assert_eq!(functions(row)[..2], ["keep", "main"]);
    let gone = "the child's blocks are gone with it";
    assert_eq!(
        (&row["allocs"], &row["live_bytes"]),
        (&50.into(), &0.into()),
        "{gone}"
    );
    assert_eq!(report["recording"]["lenses"], serde_json::json!(["shim"]));
    assert_eq!(report["target"]["exe"], program.to_str().unwrap());
    assert_eq!(report["ended"]["how"], "unknown");
}

#[test]
fn names_come_with_the_file_and_are_not_lost_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let program = leaky(dir.path());
    run(&program, &[], &dir.path().join("regions"));
    let away = dir.path().join("away");
    fs::rename(&program, &away).unwrap();
    let report = collect(dir.path(), &[]);
    let row = kept(&report, "target")[0];
    assert!(!functions(row).contains(&"keep"), "{row}");
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("leaky"),
        "the missing file is named: {warnings}"
    );

    // Another program under its name is not believed.
    fs::copy("/bin/true", &program).unwrap();
    let output = symbolize(dir.path(), &[]);
    assert!(output.status.success(), "{}", err(&output));
    assert!(err(&output).contains("leaky"), "{}", err(&output));
    let report_of = || support::report(dir.path(), &dir.path().join("r.memtide"));
    assert!(!functions(kept(&report_of(), "target")[0]).contains(&"keep"));

    fs::rename(&away, &program).unwrap();
    let output = symbolize(dir.path(), &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("places in code have a name now"), "{text}");
    let named = report_of();
    assert_eq!(functions(kept(&named, "target")[0])[..2], ["keep", "main"]);

    fs::remove_file(&program).unwrap();
    assert!(symbolize(dir.path(), &[]).status.success());
    let again = report_of();
    assert_eq!(
        kept(&again, "target")[0]["frames"],
        kept(&named, "target")[0]["frames"]
    );
}

#[test]
fn a_redacted_recording_names_functions_and_no_paths() {
    let dir = tempfile::tempdir().unwrap();
    let program = leaky(dir.path());
    run(&program, &[], &dir.path().join("regions"));
    let report = collect(dir.path(), &["--redact"]);
    assert_eq!(functions(kept(&report, "target")[0])[..2], ["keep", "main"]);
    let secret = dir.path().to_str().unwrap();
    assert!(!report.to_string().contains(secret), "{report}");
    let recording = fs::read(dir.path().join("r.memtide")).unwrap();
    let found = recording
        .windows(secret.len())
        .any(|bytes| bytes == secret.as_bytes());
    assert!(!found, "the recording holds {secret}");
}

#[test]
fn what_cannot_be_collected_says_what_was_expected() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("regions")).unwrap();
    let collect = || {
        let output = finish(memtide(dir.path()).args(["collect", "regions"]), SOON);
        failure(&output)
    };
    let nothing = collect();
    assert!(nothing.contains("4182-0.region"), "{nothing}");
    let line = format!(
        "LD_PRELOAD=/path/to/libmemtide_shim.so MEMTIDE_DIR={}",
        dir.path().display()
    );
    assert!(nothing.contains(&line), "{nothing}");
    fs::write(dir.path().join("regions/7-0.region"), [0; 5000]).unwrap();
    let unreadable = collect();
    assert!(
        unreadable.contains("1 region, none of which can be read"),
        "{unreadable}"
    );
    fs::remove_dir_all(dir.path().join("regions")).unwrap();
    let missing = collect();
    assert!(
        missing.contains("listing the regions in regions"),
        "{missing}"
    );
    let files = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files, 0, "no recording was begun");
}

#[test]
fn a_recording_without_stacks_is_not_symbolized() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(&["layout"]);
    support::attach(
        dir.path(),
        &target.pid(),
        &["--for", "1s", "-o", "r.memtide"],
    );
    let text = failure(&symbolize(dir.path(), &[]));
    assert!(text.contains("r.memtide has no call stacks"), "{text}");
    assert!(text.contains("memtide run --heap"), "the remedy: {text}");
}
