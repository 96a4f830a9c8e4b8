//! `memtide.report/1`: keys as the design has them, and numbers that every reader can read.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod synthetic;

use memtide_report::json;
use serde_json::Value;
use std::collections::BTreeSet;

/// Parts of lenses that this version does not have: their keys stand, their values are null.
const NO_LENS: [&str; 6] = [
    "stacks",
    "allocations",
    "classes",
    "processes",
    "heap",
    "leaks",
];

/// Keys beyond the design's block. Additions are allowed, but none by accident.
const ADDED: [&str; 14] = [
    "allocations",
    "forecast.resource",
    "reasoning",
    "reasoning.steps",
    "recording.reads",
    "recording.reads[].cpu_seconds",
    "recording.reads[].failed",
    "recording.reads[].longest_seconds",
    "recording.reads[].read",
    "recording.reads[].reads",
    "recording.reads[].skipped",
    "target.name",
    "threads[].wchan",
    "tree",
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
        if name.starts_with("hostile") {
            continue; // holds numbers that JSON cannot.
        }
        let back: memtide_model::Report =
            serde_json::from_str(&json::render(&findings.report)).unwrap();
        assert!(back == findings.report, "{name} differs");
    }
}

/// Keys of a stack beyond those of the design.
const ADDED_TO_STACKS: [&str; 11] = [
    "stacks[].allocs",
    "stacks[].end",
    "stacks[].frees",
    "stacks[].growth_share",
    "stacks[].high",
    "stacks[].kind",
    "stacks[].low",
    "stacks[].never_freed",
    "stacks[].owner",
    "stacks[].samples",
    "stacks[].suppressed",
];

#[test]
fn the_keys_of_stacks_are_those_of_the_design_and_what_the_shim_adds() {
    let written = key_tree(&json::render(&synthetic::c_full().report));
    let design = key_tree(include_str!("fixtures/report-1.json"));
    let of_stacks = |tree: &BTreeSet<String>| -> BTreeSet<String> {
        let own = tree.iter().filter(|key| key.starts_with("stacks["));
        own.cloned().collect()
    };
    let (written, design) = (of_stacks(&written), of_stacks(&design));
    let missing: Vec<_> = design.difference(&written).collect();
    assert!(
        missing.is_empty(),
        "keys of the design that are not written: {missing:?}"
    );
    let added: Vec<_> = written.difference(&design).collect();
    assert_eq!(added, ADDED_TO_STACKS, "keys that the design does not have");
}

#[test]
fn a_stack_in_json_has_the_numbers_and_names_of_the_report() {
    let findings = synthetic::c_full();
    let value: Value = serde_json::from_str(&json::render(&findings.report)).unwrap();
    let first = serde_json::json!({
        "kind": "heap", "owner": "target", "end": "root",
        "live_bytes": 304_087_040, "live_blocks": 73_664, "peak_bytes": 304_087_040,
        "allocs": 73_674, "frees": 10, "growth_bytes": 294_649_856,
        "leak_score": 0.99, "never_freed": true, "suppressed": null, "samples": null,
    });
    for (key, expected) in first.as_object().unwrap() {
        assert_eq!(&value["stacks"][0][key], expected, "{key}");
    }
    let frame = serde_json::json!({
        "function": "xmalloc", "module": "/opt/shop/bin/shop", "file": "src/memory.c", "line": 14,
        "inlined": false, "address": "0x12ab",
    });
    assert_eq!(value["stacks"][0]["frames"][0], frame);
    let last = value["stacks"][0]["frames"]
        .as_array()
        .unwrap()
        .last()
        .unwrap();
    assert!(last["file"].is_null() && last["line"].is_null(), "{last}");
    assert_eq!(value["allocations"]["mode"], "full");
    assert_eq!(value["allocations"]["lost"]["reentered"], 3);
    let sampled = json::render(&synthetic::rust_sampled().report);
    let sampled: Value = serde_json::from_str(&sampled).unwrap();
    assert_eq!(sampled["allocations"]["mode"], "sampled");
    assert_eq!(sampled["stacks"][0]["samples"], 177);
}
