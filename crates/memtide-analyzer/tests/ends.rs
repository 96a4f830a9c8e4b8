//! Where growth ends, whether it goes on, and what is left of it: waves, stairs, limits, survivors.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes made here are small and positive"
)]

mod support;

use memtide_analyzer::analyze;
use memtide_model::report::Verdict;
use memtide_model::{Observations, VerdictKind};
use support::look::{Books, looked};
use support::shim::{KIB, MIB, with_own_memory};

const AT: [f64; 5] = [0.0, 10.0, 20.0, 40.0, 60.0];

fn verdict(observations: &Observations) -> Verdict {
    analyze(observations).report.verdict
}

fn live(bytes: f64) -> Books {
    Books {
        live: bytes,
        free: MIB,
        ..Books::default()
    }
}

/// 100 MiB with a wave of 40 % that comes back every 200 s.
fn wave(t: f64) -> f64 {
    100.0 * MIB * (1.0 + 0.4 * (core::f64::consts::TAU * t / 200.0).sin())
}

#[test]
fn growth_under_a_wave_is_judged_without_it() {
    let at = [0.0, 200.0, 400.0, 600.0];
    let found = verdict(&looked(600, &at, |t| live(wave(t) + 0.15 * MIB * t)));
    assert_eq!(found.kind, VerdictKind::HeapLeak, "{found:#?}");
    let rate = (found.evidence.iter())
        .find(|evidence| evidence.unit.as_deref() == Some("bytes/s"))
        .and_then(|evidence| evidence.value)
        .expect("a rate");
    assert!((rate / (0.15 * MIB) - 1.0).abs() < 0.03, "{rate}");
    let told = (found.evidence.iter())
        .find(|evidence| evidence.fact.contains("was taken off first"))
        .expect("the wave is told");
    let period = told.value.expect("its period");
    assert!((period / 200.0 - 1.0).abs() < 0.04, "{period}");
    let level = verdict(&looked(600, &at, |t| live(wave(t))));
    assert_ne!(level.kind, VerdictKind::HeapLeak, "{level:#?}");
}

#[test]
fn stairs_are_a_leak_from_five_steps_on() {
    let steps = |last: f64| {
        move |t: f64| live(8.0 * MIB + 6.0 * MIB * ((t + 5.0) / 10.0).floor().min(last))
    };
    let found = verdict(&looked(58, &[0.0, 10.0, 20.0, 40.0, 58.0], steps(9.0)));
    assert_eq!(found.kind, VerdictKind::HeapLeak, "{found:#?}");
    // Four steps, the last 5 s ago.
    let few = verdict(&looked(40, &[0.0, 10.0, 20.0, 40.0], steps(9.0)));
    assert_eq!(few.kind, VerdictKind::Undetermined, "{few:#?}");
    // Two steps, and a wait as long as the time between them: nothing has ended.
    let two = verdict(&looked(24, &[0.0, 8.0, 16.0, 24.0], steps(9.0)));
    assert_eq!(two.kind, VerdictKind::Undetermined, "{two:#?}");
    // Three steps, and none for three gaps.
    let ended = verdict(&looked(60, &AT, steps(3.0)));
    assert_eq!(ended.kind, VerdictKind::Plateau, "{ended:#?}");
}

#[test]
fn growth_that_ends_at_a_limit_is_no_plateau() {
    let grown = |t: f64| live(8.0 * MIB + MIB * t.min(35.0));
    let kept = |t: f64| Books {
        live: 8.0 * MIB,
        free: MIB + MIB * t.min(35.0),
        ..Books::default()
    };
    let judged = |mut observations: Observations, room: f64| {
        let size = observations.samples.last().expect("samples").memory.size;
        let limit = (size.as_f64() * room) as u64;
        observations.target.limits.address_space = Some(memtide_model::Bytes(limit));
        verdict(&observations)
    };
    let leak = judged(looked(60, &AT, grown), 1.005);
    assert_eq!(leak.kind, VerdictKind::HeapLeak, "{leak:#?}");
    assert!(leak.summary.contains("RLIMIT_AS"), "{}", leak.summary);
    let holes = judged(looked(60, &AT, kept), 1.005);
    assert_eq!(holes.kind, VerdictKind::Fragmentation, "{holes:#?}");
    let elsewhere = judged(looked(60, &AT, grown), 1.5);
    assert_eq!(elsewhere.kind, VerdictKind::Plateau, "{elsewhere:#?}");
    let mut unseen = looked(60, &AT, grown);
    unseen.heap = None;
    let unseen = judged(unseen, 1.005);
    assert_eq!(unseen.kind, VerdictKind::Undetermined, "{unseen:#?}");
    assert_eq!(unseen.candidates.first(), Some(&VerdictKind::HeapLeak));
}

#[test]
fn a_limit_counts_the_preload_shim_as_well() {
    let mut observations = looked(60, &AT, |t| live(8.0 * MIB + MIB * t.min(35.0)));
    with_own_memory(&mut observations, |_| (40 << 20, 24 << 20));
    let size = observations.samples.last().expect("samples").memory.size;
    observations.target.limits.address_space = Some(size);
    let found = verdict(&observations);
    assert_eq!(found.kind, VerdictKind::HeapLeak, "{found:#?}");
    assert!(found.summary.contains("RLIMIT_AS"), "{}", found.summary);
}

/// A burst of which a part lives on; the rest is freed at second 45.
fn burst(t: f64, left: f64) -> Books {
    let came = 52.0 * MIB * ((t - 15.0) / 15.0).clamp(0.0, 1.0);
    let lives = if t < 45.0 { came } else { came * left };
    Books {
        live: 8.0 * MIB + lives,
        free: MIB + came - lives,
        ..Books::default()
    }
}

#[test]
fn survivors_of_a_burst_make_holes_of_what_was_freed() {
    let all_freed = verdict(&looked(60, &AT, |t| burst(t, 0.0)));
    assert_eq!(all_freed.kind, VerdictKind::Retention, "{all_freed:#?}");
    let some_live = verdict(&looked(60, &AT, |t| burst(t, 0.2)));
    assert_eq!(some_live.kind, VerdictKind::Fragmentation, "{some_live:#?}");
    assert!(
        some_live.summary.contains("live on"),
        "{}",
        some_live.summary
    );
}

#[test]
fn free_memory_that_grows_ever_more_slowly_and_was_never_used_is_fragmentation() {
    let grown = |t: f64| 20.0 * MIB * (1.0 - (-t / 60.0).exp());
    let holes = verdict(&looked(60, &AT, |t| Books {
        live: 4.0 * MIB,
        free: MIB + grown(t),
        ..Books::default()
    }));
    assert_eq!(holes.kind, VerdictKind::Fragmentation, "{holes:#?}");
    // The same in live blocks: a cache that fills, or a leak.
    let cache = verdict(&looked(60, &AT, |t| live(4.0 * MIB + grown(t))));
    assert_eq!(cache.kind, VerdictKind::Undetermined, "{cache:#?}");
    assert_eq!(cache.candidates.first(), Some(&VerdictKind::Plateau));
    assert!(!cache.candidates.contains(&VerdictKind::Fragmentation));
}

#[test]
fn a_rise_that_falls_back_on_its_way_has_not_surely_ended() {
    // 2.5 MiB of growth until second 35 under swings of 1.2 MiB with two falls at most that count.
    let found = verdict(&looked(60, &AT, |t| {
        let swing = if (18.0..24.0).contains(&t) {
            -900.0 * KIB
        } else {
            0.0
        };
        live(16.0 * MIB + 2.5 * MIB * (t / 35.0).min(1.0) + swing)
    }));
    assert_eq!(found.kind, VerdictKind::Undetermined, "{found:#?}");
    assert!(found.candidates.contains(&VerdictKind::NoGrowth));
    assert!(found.candidates.contains(&VerdictKind::Plateau));
}

/// Growth of 20 MiB that ends at second 30, half of it live.
fn half(base: f64) -> Verdict {
    let grown = |t: f64| 20.0 * MIB * (t / 30.0).min(1.0);
    verdict(&looked(60, &AT, |t| Books {
        live: base + 0.5 * grown(t),
        free: MIB + 0.5 * grown(t),
        ..Books::default()
    }))
}

#[test]
fn a_heap_that_is_half_empty_in_the_end_is_no_plateau() {
    // 14 of 25 MiB are live, 50 of 61.
    let (hollow, full) = (half(4.0 * MIB), half(40.0 * MIB));
    assert_eq!(hollow.kind, VerdictKind::Fragmentation, "{hollow:#?}");
    assert_eq!(full.kind, VerdictKind::Plateau, "{full:#?}");
}

/// RSS grows by a fiftieth more than live blocks do, as pages and headers make it.
#[test]
fn the_rate_of_a_leak_is_that_of_live_blocks_and_its_interval_holds_it() {
    let rate = 0.3 * MIB;
    let found = verdict(&looked(60, &AT, |t| Books {
        live: 8.0 * MIB + rate * t,
        free: MIB + 0.02 * rate * t,
        ..Books::default()
    }));
    assert_eq!(found.kind, VerdictKind::HeapLeak, "{found:#?}");
    let fact = (found.evidence.iter())
        .find(|evidence| evidence.unit.as_deref() == Some("bytes/s"))
        .expect("a rate");
    let named = fact.value.expect("a number") / rate;
    assert!((named - 1.0).abs() < 0.005, "{named}");
    let (low, high) = fact.low.zip(fact.high).expect("an interval");
    assert!(low < rate && rate < high, "{low} {high}");
    // 2 % to each side, and what little RSS scatters by.
    let width = (high - low) / rate;
    assert!((0.04..0.06).contains(&width), "{width}");
}

/// Swings of 3 MiB with two falls over troughs that rise.
#[test]
fn few_swings_are_led_by_a_leak_only_where_every_look_found_more() {
    let swings = |t: f64| {
        let turn = core::f64::consts::TAU * t / 26.0;
        20.0 * MIB + 0.06 * MIB * t + 1.5 * MIB * turn.sin()
    };
    let first = |at: &[f64]| {
        let found = verdict(&looked(60, at, |t| live(swings(t))));
        assert_eq!(found.kind, VerdictKind::Undetermined, "{found:#?}");
        found.candidates[0]
    };
    // At the same phase of each swing, then on both sides of one.
    assert_eq!(first(&[0.0, 26.0, 39.0, 52.0]), VerdictKind::HeapLeak);
    assert_eq!(first(&[6.0, 20.0, 32.0, 46.0]), VerdictKind::NoGrowth);
}
