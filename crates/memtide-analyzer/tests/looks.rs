//! Ledger, verdict and report where the heap was looked into from outside: recordings made by hand, with
//! known answers.

#![expect(
    clippy::cast_possible_truncation,
    reason = "sizes made here are small and positive"
)]

mod support;

use memtide_analyzer::analyze;
use memtide_model::report::Report;
use memtide_model::{Account, Bytes, Event, EventKind, MappingClass, Nanos, VerdictKind};
use support::look::{AT, Books, fact, fragmenting, leaking, looked, looks, verdict};
use support::shim::{KIB, MIB, Site, account, leak, moment, recorded};

fn bytes(report: &Report, which: Account) -> (i64, i64) {
    let row = account(report, which).unwrap_or_else(|| panic!("no {which:?}: {:?}", report.ledger));
    (row.start_bytes, row.end_bytes)
}

#[test]
fn growth_of_live_blocks_is_a_leak() {
    let report = analyze(&looked(60, &AT, leaking)).report;
    let verdict = &report.verdict;
    assert_eq!(verdict.kind, VerdictKind::HeapLeak, "{verdict:#?}");
    assert!(verdict.confidence > 0.93, "{}", verdict.confidence);
    // 60 s · 200 KiB.
    assert_eq!(
        fact(verdict, "growth between"),
        "Of 11.7 MiB growth between 5 looks at the heap in 1 min 11.7 MiB (100 %) are blocks that the program has not freed, 0 B free memory that malloc keeps."
    );
    assert!(
        (verdict.advice.iter()).any(|advice| advice.contains("memtide run --heap full -- case")),
        "{:?}",
        verdict.advice
    );
    let heap = report.heap.expect("looked into");
    assert_eq!(heap.live_growth_bytes, Some(60 * 200 * 1024));
    assert_eq!(heap.retained_growth_bytes, Some(0));
    assert_eq!((heap.snapshots, heap.conclusive), (5, true));
    assert!((heap.cost_cpu_seconds - 0.05).abs() < 1e-9);
    assert!((heap.t_seconds - 60.0).abs() < 1e-6);
}

#[test]
fn growth_of_free_memory_is_fragmentation_and_the_numbers_choose_the_advice() {
    let stuck = verdict(&looked(60, &AT, fragmenting));
    assert_eq!(stuck.kind, VerdictKind::Fragmentation, "{stuck:#?}");
    assert!(fact(&stuck, "growth between").contains("0 B (0 %) are blocks"));
    assert_eq!(
        fact(&stuck, "malloc_trim"),
        "malloc_trim(0) would give back 512 KiB; 13.2 MiB are stuck between live blocks, threads' caches hold 0 B."
    );
    assert!(
        stuck.advice[1].starts_with("malloc_trim(0) does not help"),
        "{:?}",
        stuck.advice
    );
    let loose = verdict(&looked(60, &AT, |t| Books {
        trimmable: fragmenting(t).free,
        ..fragmenting(t)
    }));
    assert_eq!(loose.kind, VerdictKind::Fragmentation, "{loose:#?}");
    assert!(
        loose.advice[0].starts_with("Call malloc_trim(0)"),
        "{:?}",
        loose.advice
    );
}

#[test]
fn half_live_and_half_kept_stays_open() {
    let verdict = verdict(&looked(60, &AT, |t| Books {
        live: 8.0 * MIB + 100.0 * KIB * t,
        free: 2.0 * MIB + 100.0 * KIB * t,
        ..Books::default()
    }));
    assert_eq!(verdict.kind, VerdictKind::Undetermined, "{verdict:#?}");
    for kind in [VerdictKind::HeapLeak, VerdictKind::Fragmentation] {
        assert!(
            verdict.candidates.contains(&kind),
            "{:?}",
            verdict.candidates
        );
    }
    assert!(fact(&verdict, "growth between").contains("(50 %)"));
    assert!(
        !verdict.advice.iter().any(|a| a.contains("gdb")),
        "the forecast is there: {:?}",
        verdict.advice
    );
}

#[test]
fn looks_that_disagree_decide_nothing() {
    // 65 % of the growth is live, all of it before second 39.
    let verdict = verdict(&looked(60, &AT, |t| Books {
        live: 8.0 * MIB + 200.0 * KIB * t.min(39.0),
        free: 2.0 * MIB + 200.0 * KIB * (t - 39.0).max(0.0),
        ..Books::default()
    }));
    assert_eq!(verdict.kind, VerdictKind::Undetermined, "{verdict:#?}");
    assert!(
        verdict.summary.contains("live blocks grew in one part"),
        "{}",
        verdict.summary
    );
    fact(&verdict, "The looks disagree");
}

#[test]
fn looks_before_an_exec_are_of_another_program() {
    let mut observations = looked(60, &AT, |t| {
        if t <= 15.0 {
            fragmenting(t)
        } else {
            leaking(t)
        }
    });
    observations.events.push(Event {
        at: moment(15.1),
        kind: EventKind::Exec,
        pid: observations.target.id.pid,
        text: "exec".to_owned(),
        value: None,
    });
    let report = analyze(&observations).report;
    assert_eq!(
        report.verdict.kind,
        VerdictKind::HeapLeak,
        "{:#?}",
        report.verdict
    );
    let heap = report.heap.expect("looked into");
    assert_eq!(
        (heap.snapshots, heap.live_growth_bytes),
        (3, Some(40 * 200 * 1024))
    );
}

#[test]
fn one_look_splits_the_ledger_and_tells_nothing_of_growth() {
    let report = analyze(&looked(60, &[30.0], leaking)).report;
    assert_eq!(
        report.verdict.kind,
        VerdictKind::Undetermined,
        "{:#?}",
        report.verdict
    );
    let advice = &report.verdict.advice;
    assert!(
        advice[0].contains("memtide inspect 4182 --interval"),
        "{advice:?}"
    );
    assert!(account(&report, Account::Heap).is_none());
    // 13.86 of 15.86 MiB are live at second 30: that share holds at all times.
    let share = (8.0 + 200.0 * 30.0 / 1024.0) / (10.0 + 200.0 * 30.0 / 1024.0);
    let (live, kept) = (
        bytes(&report, Account::HeapLive),
        bytes(&report, Account::HeapRetained),
    );
    for (live, kept) in [(live.0, kept.0), (live.1, kept.1)] {
        assert!(
            (live as f64 / (live + kept) as f64 - share).abs() < 1e-6,
            "{live} {kept}"
        );
    }
    let heap = report.heap.expect("looked into");
    assert_eq!(
        (heap.live_growth_bytes, heap.arenas[0].live_growth_bytes),
        (None, None)
    );
}

#[test]
fn a_look_comes_out_exactly_at_its_own_moment() {
    let books = |t: f64| Books {
        live: 8.0 * MIB + 77.0 * KIB * t,
        own: 3.0 * MIB + 40.0 * KIB * t,
        free: 2.0 * MIB + 31.0 * KIB * t,
        other: 5.0 * MIB,
        ..Books::default()
    };
    let observations = looked(60, &AT, books);
    let timeline = analyze(&observations).timeline;
    for t in AT {
        let point = (timeline.points.iter()).find(|point| (point.seconds - t).abs() < 1e-6);
        let accounts = &point.expect("a tick").accounts;
        let of = |which| {
            accounts
                .iter()
                .find(|(account, _)| *account == which)
                .expect("a row")
                .1
        };
        let Books {
            live,
            own,
            free,
            other,
            ..
        } = books(t);
        let whole = |value: f64| value as i64;
        assert_eq!(of(Account::HeapLive), whole(live) + whole(own), "at {t}");
        assert_eq!(of(Account::HeapRetained), whole(free), "at {t}");
        assert_eq!(of(Account::Anon), whole(other), "at {t}");
    }
    let report = analyze(&observations).report;
    let opaque = report
        .beside
        .iter()
        .find(|row| row.account == Account::Opaque);
    assert_eq!(
        opaque.expect("known").end_bytes,
        5 << 20,
        "all but malloc's is opaque"
    );
}

#[test]
fn arenas_that_lie_in_anonymous_memory_are_found_there() {
    // brk is blocked: what the sampler calls heap is nothing, malloc's arenas are anonymous mappings.
    let mut observations = looked(60, &AT, |t| Books {
        other: 4.0 * MIB,
        ..fragmenting(t)
    });
    for sample in &mut observations.samples {
        let maps = sample.maps.as_mut().expect("read");
        let heap = std::mem::take(maps.classes.get_mut(MappingClass::Heap));
        let anon = maps.classes.get_mut(MappingClass::Anon);
        anon.rss += heap.rss;
        anon.size += heap.size;
    }
    let report = analyze(&observations).report;
    let (live, anon) = (
        bytes(&report, Account::HeapLive),
        bytes(&report, Account::Anon),
    );
    assert_eq!(live.1, 8 << 20);
    assert!((anon.1 - (4 << 20)).abs() <= 1, "{anon:?}");
    assert_eq!(
        report.verdict.kind,
        VerdictKind::Fragmentation,
        "{:#?}",
        report.verdict
    );
}

#[test]
fn mappings_that_are_not_malloc_s_leak_by_themselves() {
    let books = |t: f64| Books {
        live: 8.0 * MIB,
        other: 4.0 * MIB + 200.0 * KIB * t,
        ..Books::default()
    };
    let found = verdict(&looked(60, &AT, books));
    assert_eq!(found.kind, VerdictKind::MmapLeak, "{found:#?}");
    fact(
        &found,
        "0 B free memory that malloc keeps, 11.7 MiB none of malloc's memory.",
    );
    // A runtime may map it for a heap of its own.
    let mut observations = looked(60, &AT, books);
    observations.target.runtime = "jvm".to_owned();
    assert_eq!(verdict(&observations).kind, VerdictKind::Undetermined);
}

#[test]
fn pages_of_old_blocks_that_are_touched_are_no_leak() {
    // One table of 64 MiB was made before the first look; its pages come in by and by.
    let mut observations = looked(60, &AT, leaking);
    for look in looks(&mut observations) {
        look.totals.live_bytes = Bytes(64 << 20);
    }
    let found = verdict(&observations);
    assert_eq!(found.kind, VerdictKind::Undetermined, "{found:#?}");
    assert!(
        found.summary.contains("made long ago are being touched"),
        "{}",
        found.summary
    );
}

#[test]
fn a_start_that_only_a_look_saw_is_not_growth() {
    // The first look meets the loader; then 100 MiB are made within a second, then free memory grows.
    let grown = |t: f64| Books {
        live: 100.0 * MIB,
        ..fragmenting(t)
    };
    let mut observations = looked(60, &AT, grown);
    observations.target.age = Nanos(0);
    let first = support::look::look(
        0.0,
        &Books {
            live: MIB,
            ..Books::default()
        },
    );
    looks(&mut observations)[0] = first;
    for sample in observations.samples.iter_mut().take(2) {
        sample.memory.rss = Bytes(1 << 20);
    }
    let found = verdict(&observations);
    assert_eq!(found.kind, VerdictKind::Fragmentation, "{found:#?}");
    fact(&found, "growth between 4 looks");
}

#[test]
fn the_shim_s_sums_win_where_they_decide_and_looks_where_they_do_not() {
    // By the shim all growth is live; the looks saw another heap.
    let sites = [Site::heap("parse_line", 1024, leak(200.0))];
    let mut observations = recorded(60, &sites, |_, live| live + 5.0 * MIB);
    observations.heap = looked(60, &AT, fragmenting).heap;
    let report = analyze(&observations).report;
    assert_eq!(
        report.verdict.kind,
        VerdictKind::HeapLeak,
        "{:#?}",
        report.verdict
    );
    let (start, end) = bytes(&report, Account::HeapLive);
    assert!(
        end - start > 10 << 20,
        "the ledger is the shim's: {start} {end}"
    );
    // Half of the growth is live by the shim: it does not decide.
    let mut observations = recorded(60, &sites, |_, live| 2.0 * live + 5.0 * MIB);
    assert_eq!(verdict(&observations).kind, VerdictKind::Undetermined);
    observations.heap = looked(60, &AT, |t| Books {
        free: 2.0 * MIB + 400.0 * KIB * t,
        ..fragmenting(t)
    })
    .heap;
    assert_eq!(verdict(&observations).kind, VerdictKind::Fragmentation);
}

#[test]
fn a_burst_that_is_kept_is_retention() {
    let found = verdict(&looked(60, &AT, |t| Books {
        live: if (30.0..45.0).contains(&t) {
            60.0 * MIB
        } else {
            8.0 * MIB
        },
        free: if t < 45.0 { 2.0 * MIB } else { 54.0 * MIB },
        trimmable: if t < 45.0 { MIB } else { 53.0 * MIB },
        ..Books::default()
    }));
    assert_eq!(found.kind, VerdictKind::Retention, "{found:#?}");
    assert!(
        found.advice[0].starts_with("Call malloc_trim(0)"),
        "{:?}",
        found.advice
    );
}

#[test]
fn a_swing_that_looks_meet_by_chance_is_an_error_of_their_shares() {
    // Free memory grows under a sawtooth of live blocks that falls every 6 s: looks at its top and bottom.
    let found = verdict(&looked(60, &[0.1, 10.0, 20.0, 40.0, 59.5], |t| Books {
        live: 8.0 * MIB + 2.0 * MIB * (t % 6.0),
        free: 2.0 * MIB + 100.0 * KIB * t,
        ..Books::default()
    }));
    assert_ne!(found.kind, VerdictKind::HeapLeak, "{found:#?}");
}

#[test]
fn twenty_seconds_of_a_program_that_just_started_are_enough() {
    // As `attach --for 20s` sees it: once a second from 0 to 19.75 s, the first two dropped for the loader.
    let mut observations = looked(20, &[0.0, 10.0, 19.75], fragmenting);
    observations.target.age = Nanos(0);
    observations.recording.interval = Nanos::SECOND;
    let mut k = 0;
    observations.samples.retain(|_| {
        k += 1;
        (k - 1) % 4 == 0 && k < 80 || k == 80
    });
    assert_eq!(observations.samples.len(), 21);
    let found = verdict(&observations);
    assert_eq!(found.kind, VerdictKind::Fragmentation, "{found:#?}");
    // A second less is too early.
    let shorter = observations.samples.len() - 2;
    observations.samples.truncate(shorter);
    let found = verdict(&observations);
    assert!(found.summary.contains("too early"), "{}", found.summary);
}
