//! Several causes at once: the one that holds most of the growth is the verdict, the others stand beside it.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes and counts made here are small and positive"
)]

mod support;

use memtide_model::report::{Evidence, Verdict};
use memtide_model::{Bytes, MappingClass, Observations, Sample, VerdictKind};
use support::look::{AT, Books, looked, looks, verdict};
use support::shim::{KIB, MIB};

/// The same process with memory that samples and looks have besides: what each sample becomes `t` seconds in.
fn with(mut observations: Observations, add: impl Fn(f64, &mut Sample)) -> Observations {
    let start = observations.samples[0].at;
    for sample in &mut observations.samples {
        let before = sample.memory.rss;
        add(sample.at.seconds_since(start), sample);
        let more = sample.memory.rss.saturating_sub(before);
        sample.memory.rss_anon = sample.memory.rss_anon.map(|anon| anon + more);
    }
    let samples = observations.samples.clone();
    let plain: Vec<Bytes> = looks(&mut observations).iter().map(|l| l.rss).collect();
    for (look, rss) in looks(&mut observations).iter_mut().zip(plain) {
        let sample = (samples.iter()).min_by_key(|s| s.at.0.abs_diff(look.at.0));
        look.rss = sample.expect("samples").memory.rss.max(rss);
    }
    observations
}

/// Threads that pile up, each with so many resident bytes of stack.
fn threads(per_second: f64, stack: f64) -> impl Fn(f64, &mut Sample) {
    move |t, sample| {
        let count = (per_second * t).floor();
        sample.counts.threads = 2 + count as u64;
        let rss = Bytes((count * stack) as u64);
        sample.memory.rss += rss;
        let maps = sample.maps.as_mut().expect("mappings");
        let stacks = maps.classes.get_mut(MappingClass::Stack);
        stacks.count = count as u64;
        (stacks.rss, stacks.size) = (rss, Bytes((8 << 20) * count as u64));
    }
}

fn leak(rate: f64) -> Observations {
    looked(60, &AT, |t| Books {
        // Blocks are lost one by one: a sample meets any part of the next page.
        live: 8.0 * MIB + rate * t + 3.0 * KIB * (7.0 * t).sin(),
        free: MIB,
        ..Books::default()
    })
}

fn also<'a>(verdict: &'a Verdict, part: &str) -> &'a Evidence {
    let found = (verdict.evidence.iter())
        .find(|evidence| evidence.fact.starts_with("Also: ") && evidence.fact.contains(part));
    found.unwrap_or_else(|| panic!("{part:?} is not told: {verdict:#?}"))
}

fn near(evidence: &Evidence, truth: f64, unit: &str) {
    let value = evidence.value.expect("a number");
    assert!((value / truth - 1.0).abs() < 0.05, "{value} is not {truth}");
    assert_eq!(evidence.unit.as_deref(), Some(unit));
}

#[test]
fn of_a_heap_and_threads_the_greater_one_leads() {
    let heap = verdict(&with(leak(MIB), threads(2.0, 10.0 * KIB)));
    assert_eq!(heap.kind, VerdictKind::HeapLeak, "{heap:#?}");
    near(also(&heap, "threads pile up: 2.0"), 2.0, "threads/s");
    let about_threads = |advice: &String| advice.starts_with("End the threads");
    assert!(heap.advice.iter().any(about_threads), "{:?}", heap.advice);

    let threads = verdict(&with(leak(60.0 * KIB), threads(2.0, 512.0 * KIB)));
    assert_eq!(threads.kind, VerdictKind::ThreadLeak, "{threads:#?}");
    near(also(&threads, "the heap"), 60.0 * KIB, "bytes/s");
    assert!(also(&threads, "the heap").fact.contains("are not freed"));
}

#[test]
fn descriptors_hold_no_memory_and_stand_beside_what_does() {
    let pipes = |t: f64, sample: &mut Sample| {
        let fds = sample.counts.descriptors.get_or_insert_default();
        fds.pipe = 8 + (7.3 * t).floor() as u64;
        fds.total = fds.pipe + 3;
    };
    let both = verdict(&with(leak(MIB), pipes));
    assert_eq!(both.kind, VerdictKind::HeapLeak, "{both:#?}");
    let told = also(&both, "descriptors are opened and not closed: 7.3");
    assert!(told.fact.contains("pipes"), "{}", told.fact);
    near(told, 7.3, "descriptors/s");
    let alone = verdict(&with(leak(0.0), pipes));
    assert_eq!(alone.kind, VerdictKind::FdLeak, "{alone:#?}");
}

#[test]
fn memory_that_takes_the_steps_of_a_count_is_its_cost() {
    let sockets = |t: f64| (5.0 * t + 3.0 * (t / 4.0).sin()).floor();
    let served = looked(60, &AT, |t| Books {
        live: 8.0 * MIB + 40.0 * KIB * sockets(t),
        free: MIB,
        ..Books::default()
    });
    let found = verdict(&with(served, |t, sample| {
        let fds = sample.counts.descriptors.get_or_insert_default();
        fds.socket = sockets(t) as u64;
        fds.total = fds.socket + 3;
    }));
    assert_eq!(found.kind, VerdictKind::LoadGrowth, "{found:#?}");
    near(&found.evidence[0], 40.0 * KIB, "bytes");

    // What a runtime keeps of each of its threads is no second cause.
    let count = |t: f64| (4.0 * t).floor();
    let runtime = looked(60, &AT, |t| Books {
        live: 8.0 * MIB + 12.0 * KIB * count(t),
        free: MIB,
        ..Books::default()
    });
    let found = verdict(&with(runtime, threads(4.0, 8.0 * KIB)));
    assert_eq!(found.kind, VerdictKind::ThreadLeak, "{found:#?}");
    let cost = (found.evidence.iter()).find(|e| e.fact.contains("grows with them"));
    near(cost.expect("told"), 12.0 * KIB, "bytes");
}
