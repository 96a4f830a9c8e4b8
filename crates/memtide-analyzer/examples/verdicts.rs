//! Prints what people read, for every case of the corpus: `cargo run -p memtide-analyzer --example verdicts`.

#[path = "../tests/support/mod.rs"]
mod support;

use memtide_analyzer::analyze;
use support::{cases, window};

fn main() {
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
    }
}
