//! Several causes at once, and the right thread: live targets whose rates are set, under `memtide attach`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::Value;
use support::{Target, attach, number};

const MIB: f64 = 1024.0 * 1024.0;
/// A block of 1,024 bytes takes 1,040 with its header.
const WITH_HEADER: f64 = 1040.0 / 1024.0;

/// The verdict of 24 s.
fn watched(target: &Target, options: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let all = [&["--for", "24s", "--every", "250ms"], options].concat();
    attach(dir.path(), &target.pid(), &all)
}

/// The fact that holds these words, with its number.
fn fact<'a>(report: &'a Value, part: &str) -> (&'a str, f64) {
    let evidence = report["verdict"]["evidence"].as_array().unwrap();
    let found = (evidence.iter()).find(|row| row["fact"].as_str().unwrap().contains(part));
    let row = found.unwrap_or_else(|| panic!("no fact has {part:?}: {:#}", report["verdict"]));
    (row["fact"].as_str().unwrap(), number(row, "value"))
}

fn near(found: f64, truth: f64, tolerance: f64) {
    assert!(
        (found / truth - 1.0).abs() < tolerance,
        "{found} against {truth}"
    );
}

#[test]
fn of_three_leaks_the_one_of_most_bytes_leads_and_all_are_told_with_their_rates() {
    let target = Target::start(&["several", "1048576", "3", "2"]);
    let report = watched(&target, &[]);
    assert_eq!(
        report["verdict"]["kind"], "heap_leak",
        "{:#}",
        report["verdict"]
    );
    let (_, rate) = fact(&report, "The heap grew by");
    near(rate, MIB * WITH_HEADER, 0.05);
    let (words, rate) = fact(&report, "Also: descriptors are opened and not closed");
    assert!(words.contains("pipes"), "{words}");
    near(rate, 3.0, 0.15);
    let (_, rate) = fact(&report, "Also: threads pile up");
    near(rate, 2.0, 0.15);
}

#[test]
fn a_single_thread_that_leaks_is_named_with_its_arena() {
    let target = Target::start(&["worker", "1048576"]);
    let report = watched(&target, &[]);
    assert_eq!(
        report["verdict"]["kind"], "heap_leak",
        "{:#}",
        report["verdict"]
    );
    let (words, share) = fact(&report, "of the new pages");
    assert!(words.starts_with("Thread worker-2 ("), "{words}");
    assert!(words.contains("its arena grew by as much"), "{words}");
    assert!(share > 90.0, "{words}");
}

#[test]
fn a_thread_that_only_churns_pages_is_not_the_one_that_leaks() {
    let target = Target::start(&["churn", "1048576", "20971520"]);
    let (looked, unlooked) = std::thread::scope(|scope| {
        let unlooked = scope.spawn(|| watched(&target, &["--no-inspect"]));
        (watched(&target, &[]), unlooked.join().unwrap())
    });
    assert_eq!(
        looked["verdict"]["kind"], "heap_leak",
        "{:#}",
        looked["verdict"]
    );
    for report in [&looked, &unlooked] {
        // It touches most of the pages by far: by faults alone it would be named.
        let threads = report["threads"].as_array().unwrap();
        assert_eq!(threads[0]["name"], "churner");
        near(
            4096.0 * number(&threads[0], "min_flt_per_second"),
            20.0 * MIB,
            0.15,
        );
        let verdict = report["verdict"].to_string();
        assert!(!verdict.contains("churner"), "{verdict}");
        let (words, share) = fact(report, "of the new pages");
        assert!(words.starts_with("Thread leaker ("), "{words}");
        near(share, 100.0 / 21.0, 0.25);
    }
    let (words, _) = fact(&looked, "of the new pages");
    assert!(words.contains("its arena grew by as much"), "{words}");
    let (words, _) = fact(&unlooked, "of the new pages");
    assert!(
        words.contains("one arena of malloc grew by as much"),
        "{words}"
    );
}
