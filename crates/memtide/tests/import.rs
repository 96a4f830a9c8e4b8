//! `memtide import`: series of the corpus, with and without the log of what malloc held.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{failure, finish, memtide};

const SOON: Duration = Duration::from_secs(30);

fn series(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/corpus/series")
        .join(name)
}

fn import(dir: &Path, name: &str, more: &[&str]) -> Value {
    let mut command = memtide(dir);
    command
        .args(["import", "--json", "-", "--quiet"])
        .arg(series(&format!("{name}.csv.gz")))
        .args(more);
    let output = finish(&mut command, SOON);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_log_of_live_bytes_decides_what_the_series_leaves_open() {
    let dir = tempfile::tempdir().unwrap();
    for (name, kind) in [
        ("frag-interleave-a", "fragmentation"),
        ("leak-small-fast", "heap_leak"),
    ] {
        let without = import(
            dir.path(),
            name,
            &["-o", &format!("{name}-without.memtide")],
        );
        assert_eq!(without["verdict"]["kind"], "undetermined", "{name}");
        assert!(without["heap"].is_null());
        let truth = series(&format!("{name}.truth.csv.gz"));
        let truth = truth.to_str().unwrap();
        let with = import(dir.path(), name, &["--truth", truth]);
        assert_eq!(with["verdict"]["kind"], kind, "{}", with["verdict"]);
        // The looks that attach would have taken in 48 s, and not one for each row of the log.
        let looks = with["heap"]["snapshots"].as_u64().unwrap();
        assert!((4..30).contains(&looks), "{looks}");
        assert_eq!(with["target"]["name"], name);
        let file = dir.path().join(format!("{name}.memtide"));
        assert!(file.is_file(), "a recording that can be reported again");
    }
}

/// A log of bytes knows no number of blocks, and a series no command line; its process was never here, and pid 1 is another.
#[test]
fn what_a_series_does_not_know_is_not_said_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let truth = series("leak-small-fast.truth.csv.gz");
    let told = |more: &[&str]| {
        let mut command = memtide(dir.path());
        command.arg("import");
        command.arg(series("leak-small-fast.csv.gz")).args(more);
        let output = finish(&mut command, SOON);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let with = told(&["--truth", truth.to_str().unwrap(), "-o", "with.memtide"]);
    assert!(
        with.contains(" live,") && !with.contains("block,"),
        "{with}"
    );
    for unknown in ["0 blocks", "as many blocks", "CMD"] {
        assert!(!with.contains(unknown), "{unknown}: {with}");
    }
    let without = told(&["-o", "without.memtide"]);
    assert!(without.contains("The series was imported"), "{without}");
    for unknown in ["inspect 1 ", "gdb -p 1 ", "CMD"] {
        assert!(!without.contains(unknown), "{unknown}: {without}");
    }
}

#[test]
fn what_cannot_be_imported_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("odd.csv"), "a,b\n1,2\n").unwrap();
    let complaint =
        |arguments: &[&str]| failure(&finish(memtide(dir.path()).args(arguments), SOON));
    let line = complaint(&["import", "odd.csv"]);
    assert!(
        line.contains("odd.csv, line 1") && line.contains("\"t\""),
        "{line}"
    );
    let line = complaint(&["import", "missing.csv"]);
    assert!(line.contains("missing.csv"), "{line}");
    let good = series("frag-interleave-a.csv.gz");
    let line = complaint(&["import", good.to_str().unwrap(), "--truth", "odd.csv"]);
    assert!(line.contains("needed are t, live, held"), "{line}");
    assert!(!dir.path().join("frag-interleave-a.memtide").exists());
}
