//! `memtide.report/1`: keys as the design has them, and numbers that every reader can read.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod synthetic;

use memtide_report::json;
use serde_json::Value;
use std::collections::BTreeSet;

/// Parts of lenses that this version does not have: their keys stand, their values are null.
const NO_LENS: [&str; 5] = ["stacks", "classes", "processes", "heap", "leaks"];

/// Keys beyond the design's block. Additions are allowed, but none by accident.
const ADDED: [&str; 9] = [
    "recording.reads",
    "recording.reads[].cpu_seconds",
    "recording.reads[].failed",
    "recording.reads[].longest_seconds",
    "recording.reads[].read",
    "recording.reads[].reads",
    "recording.reads[].skipped",
    "target.name",
    "threads[].wchan",
];

fn keys(value: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                keys(value, &path, found);
                found.insert(path);
            }
        }
        Value::Array(items) => {
            for item in items {
                keys(item, &format!("{prefix}[]"), found);
            }
        }
        _ => {}
    }
}

fn key_tree(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    keys(&serde_json::from_str(text).unwrap(), "", &mut found);
    found
}

#[test]
fn the_keys_are_those_of_the_design() {
    let mut findings = synthetic::thread_leak();
    findings.report.forecast = synthetic::linear_leak().report.forecast;
    let written = key_tree(&json::render(&findings.report));
    let below_a_lens = |key: &&String| {
        NO_LENS.iter().any(|lens| {
            key.starts_with(&format!("{lens}[")) || key.starts_with(&format!("{lens}."))
        })
    };
    let design = key_tree(include_str!("fixtures/report-1.json"));
    let missing: Vec<_> = design
        .iter()
        .filter(|key| !below_a_lens(key) && !written.contains(*key))
        .collect();
    assert!(
        missing.is_empty(),
        "keys of the design that are not written: {missing:?}"
    );
    let added: Vec<_> = written.difference(&design).map(String::as_str).collect();
    assert_eq!(added, ADDED, "keys that the design does not have");
}

#[test]
fn what_no_lens_looked_at_is_null_and_not_empty() {
    let text = json::render(&synthetic::linear_leak().report);
    let value: Value = serde_json::from_str(&text).unwrap();
    for lens in NO_LENS {
        assert!(value[lens].is_null(), "{lens}: {}", value[lens]);
    }
    assert_eq!(
        value["threads"],
        Value::Array(Vec::new()),
        "the sampler looked and found none"
    );
    assert_eq!(value["schema"], "memtide.report/1");
    assert!(
        text.ends_with("}\n") && text.starts_with("{\n  \"schema\""),
        "pretty, one newline"
    );
}

#[test]
fn numbers_that_are_not_finite_are_null() {
    let mut report = synthetic::linear_leak().report;
    report.verdict.confidence = f64::NAN;
    report.growth.rss_bytes_per_second = Some(f64::INFINITY);
    report.growth.low = Some(f64::NEG_INFINITY);
    let text = json::render(&report);
    let value: Value = serde_json::from_str(&text).expect("valid JSON has no NaN");
    assert!(value["verdict"]["confidence"].is_null());
    assert!(value["growth"]["rss_bytes_per_second"].is_null());
    assert!(value["growth"]["low"].is_null());
    assert_eq!(value["growth"]["rss_bytes"], report.growth.rss_bytes);
}

#[test]
fn a_report_survives_being_written_and_read() {
    for (name, findings) in synthetic::all() {
        if name == "hostile" {
            continue; // holds numbers that JSON cannot.
        }
        let back: memtide_model::Report =
            serde_json::from_str(&json::render(&findings.report)).unwrap();
        assert_eq!(back, findings.report, "{name}");
    }
}
