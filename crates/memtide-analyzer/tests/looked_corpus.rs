//! The labelled corpus with looks into the heap, as few as the lens takes: at 0, 10, 20, 40 s and at the end.
//!
//! The programs logged `mallinfo2(3)` of themselves: what they held at a moment stands for what a look
//! finds then. What was not resident of it no look would count.

mod support;

use memtide_model::VerdictKind;
use support::judged::{
    count, false_leaks, looked, parts_make_hardly_any_false_leaks, table, verdicts,
};

#[test]
fn a_few_looks_tell_leaks_from_fragmentation() {
    let verdicts = verdicts(|case| looked(case, 0.0, f64::INFINITY));
    table(&verdicts);
    assert_eq!(verdicts.len(), 94, "programs with a truth log");
    assert_eq!(false_leaks(&verdicts), Vec::<String>::new());
    assert!(count(&verdicts, "heap_leak", VerdictKind::HeapLeak) >= 19);
    assert!(count(&verdicts, "fragmentation", VerdictKind::Fragmentation) >= 4);
}

#[test]
fn parts_of_the_record_make_hardly_any_false_leaks() {
    parts_make_hardly_any_false_leaks(looked);
}
