//! Prints what people read, for every case: `cargo test --test words -- --ignored --nocapture`.

mod support;

use memtide_analyzer::analyze;
use support::{cases, window};

#[test]
#[ignore = "prints for the eye"]
fn print_every_verdict() {
    for case in cases() {
        let report = analyze(&window(&case, 0.0, f64::INFINITY)).report;
        let verdict = &report.verdict;
        println!(
            "{}: {} ({:.2})\n  {}",
            case.name,
            verdict.kind.name(),
            verdict.confidence,
            verdict.summary
        );
        for evidence in &verdict.evidence {
            println!("  - {}", evidence.fact);
        }
        for advice in &verdict.advice {
            println!("  > {advice}");
        }
        assert!(verdict.confidence > 0.0);
    }
}
