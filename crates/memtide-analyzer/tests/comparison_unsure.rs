//! Arms whose rate of growth is not known, beside a baseline that grows.

mod support;

use memtide_analyzer::comparison::allocators;
use memtide_model::Shape;
use memtide_model::comparison::{Comparison, ComparisonKind, Trial};
use support::arms::{MIB, arm, growing, inputs, level};

/// Six runs a hundredth apart.
const APART: [f64; 6] = [0.99, 1.0, 1.01, 0.995, 1.005, 1.002];
/// Rates in MiB/s of an arm that rises and falls under load: they scatter about that of the baseline, 1.
const RATES: [f64; 6] = [-0.5, 2.4, 0.3, 1.9, -0.2, 1.4];

/// A baseline that grows to 70 MiB, and an arm that holds so much.
fn beside(settled: f64) -> Comparison {
    let grows = APART.map(|factor| growing(MIB * factor, 0.0)).to_vec();
    let run = |(factor, rate): (f64, f64)| Trial {
        bytes_per_second: Some(rate * MIB),
        low: Some((rate - 2.0) * MIB),
        high: Some((rate + 2.0) * MIB),
        shape: Some(Shape::Fluctuating),
        ..level(settled * factor, 5.0)
    };
    let unsure = APART.into_iter().zip(RATES).map(run).collect();
    let comparison = allocators(inputs(vec![arm("glibc", grows), arm("tcmalloc", unsure)]));
    let ratio = comparison.arms[1]
        .growth_ratio
        .expect("six rates against six");
    assert!(!ratio.differs, "a rate that is not known: {ratio:?}");
    comparison
}

#[test]
fn it_is_taken_where_it_holds_less_and_is_not_seen_to_grow() {
    let taken = beside(30.0 * MIB);
    let verdict = &taken.verdict;
    let answer = (verdict.kind, verdict.arm.as_deref());
    assert_eq!(
        answer,
        (ComparisonKind::Take, Some("tcmalloc")),
        "{}",
        verdict.summary
    );
    for part in [
        "57 % less",
        "whether it goes on growing under load is not shown",
    ] {
        assert!(
            verdict.summary.contains(part),
            "{part}: {}",
            verdict.summary
        );
    }
}

#[test]
fn where_it_holds_as_much_nothing_is_known() {
    let open = beside(70.0 * MIB).verdict;
    assert_eq!(open.kind, ComparisonKind::Undetermined, "{}", open.summary);
    assert!(open.advice[0].contains("--runs 24"), "{:?}", open.advice);
}
