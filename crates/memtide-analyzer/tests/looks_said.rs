//! What the report says of looks into the heap: names, lists, advice and warnings, from recordings made
//! by hand.

mod support;

use memtide_analyzer::{analyze, analyze_looks};
use memtide_model::{Account, ArenaTotals, Bytes, SizeClass, VerdictKind};
use support::look::{AT, Books, class, fact, fragmenting, leaking, looked, looks, verdict};
use support::shim::{KIB, MIB, account};

#[test]
fn many_arenas_and_large_blocks_have_their_own_advice() {
    let mut observations = looked(60, &AT, fragmenting);
    for look in looks(&mut observations) {
        let each = look.totals.free_bytes.0 / 8;
        look.arenas = (0..8)
            .map(|k| ArenaTotals {
                address: 0x1000 + k,
                is_main: k == 0,
                live_bytes: Bytes(1 << 20),
                resident: Bytes((1 << 20) + each),
                ..ArenaTotals::default()
            })
            .collect();
        look.sizes.push(SizeClass {
            size: 256 << 10,
            live_blocks: 16,
            live_bytes: Bytes(4 << 20),
            ..SizeClass::default()
        });
    }
    let advice = verdict(&observations).advice;
    assert!(
        advice
            .iter()
            .any(|a| a.starts_with("8 arenas keep 13.7 MiB together")
                && a.contains("MALLOC_ARENA_MAX")),
        "{advice:?}"
    );
    assert!(
        advice
            .iter()
            .any(|a| a.contains("M_MMAP_THRESHOLD") && a.contains("4.00 MiB")),
        "{advice:?}"
    );
    let plain = verdict(&looked(60, &AT, fragmenting)).advice;
    assert!(
        !plain
            .iter()
            .any(|a| a.contains("ARENA_MAX") || a.contains("THRESHOLD")),
        "{plain:?}"
    );
}

#[test]
fn inconclusive_looks_are_left_out_and_said() {
    let mut observations = looked(60, &AT, leaking);
    for look in looks(&mut observations) {
        look.quality.doubts = vec!["3 % of the heap were skipped.".to_owned()];
    }
    let report = analyze(&observations).report;
    assert_eq!(
        report.verdict.kind,
        VerdictKind::Undetermined,
        "{:#?}",
        report.verdict
    );
    assert!(account(&report, Account::HeapLive).is_none());
    assert_eq!(
        report.heap.map(|heap| heap.conclusive),
        Some(false),
        "shown, and marked"
    );
    let warning = "5 of 5 looks at the heap cannot be relied on and were left out: 3 % of the heap were skipped.";
    assert!(
        report.warnings.iter().any(|w| w == warning),
        "{:?}",
        report.warnings
    );
    assert!(
        report.verdict.advice[0].contains("--stop"),
        "{:?}",
        report.verdict.advice
    );

    // With two that serve, these alone count: the first and the last of them.
    for index in [1, 3] {
        looks(&mut observations)[index].quality.doubts.clear();
    }
    let report = analyze(&observations).report;
    assert_eq!(
        report.verdict.kind,
        VerdictKind::HeapLeak,
        "{:#?}",
        report.verdict
    );
    assert_eq!(
        report.heap.and_then(|heap| heap.live_growth_bytes),
        Some(30 * 200 * 1024)
    );
}

#[test]
fn classes_arenas_and_sizes_that_grew_are_named() {
    let mut observations = looked(60, &AT, leaking);
    for (k, look) in (0..).zip(looks(&mut observations)) {
        let carts = 100 * k;
        look.classes = vec![
            class("shop::Session", 500, 500 * 4096),
            class("shop::Cart", 10 + carts, 25 * 1024 * carts),
        ];
        let grown = look.totals.live_bytes;
        let arena = look.arenas[0];
        look.arenas = vec![
            ArenaTotals {
                live_bytes: Bytes(1 << 20),
                ..arena
            },
            ArenaTotals {
                address: 0x2000,
                is_main: false,
                threads: 3,
                live_bytes: grown,
                ..arena
            },
        ];
    }
    let report = analyze(&observations).report;
    let found = &report.verdict;
    assert!(
        found
            .summary
            .contains("blocks that are not freed, mostly shop::Cart"),
        "{}",
        found.summary
    );
    fact(
        found,
        "shop::Cart grew most of all classes: +400 objects, +9.77 MiB",
    );
    fact(
        found,
        "Arena 1 of 2 has 11.7 MiB of the growth of live blocks; 3 threads allocate in it.",
    );
    let classes = report.classes.expect("looked");
    let rows: Vec<_> = (classes.iter())
        .map(|row| (row.name.as_str(), row.count, row.growth_count))
        .collect();
    assert_eq!(
        rows,
        [
            ("shop::Cart", 410, Some(400)),
            ("shop::Session", 500, Some(0))
        ]
    );
    let heap = report.heap.expect("looked into");
    assert_eq!(heap.arenas[1].live_growth_bytes, Some(60 * 200 * 1024));
    assert_eq!(
        heap.size_classes[0].live_growth_bytes,
        Some(60 * 200 * 1024)
    );

    // Without types the size of the blocks is what is known.
    let plain = verdict(&looked(60, &AT, leaking));
    fact(
        &plain,
        "Blocks of 1.00 KiB with their header grew most of all sizes: +11.7 MiB.",
    );
}

#[test]
fn lists_are_cut_and_sorted() {
    let mut observations = looked(60, &AT, leaking);
    for (k, look) in (0..).zip(looks(&mut observations)) {
        look.classes = (0..100)
            .map(|n| class(&format!("C{n:02}"), 100, 100 + n * k))
            .collect();
        let size = |n: u64| SizeClass {
            size: 16 * n,
            live_bytes: Bytes(1_000 - n),
            ..SizeClass::default()
        };
        look.sizes = (2..102).map(size).collect();
    }
    let report = analyze(&observations).report;
    let classes = report.classes.expect("looked");
    assert_eq!((classes.len(), classes[0].name.as_str()), (64, "C99"));
    assert_eq!(classes[0].growth_bytes, Some(4 * 99));
    let sizes = report.heap.expect("looked into").size_classes;
    assert_eq!(
        (sizes.len(), sizes[0].size, sizes[63].size),
        (64, 32, 16 * 65)
    );
}

#[test]
fn level_memory_of_which_most_is_kept_is_said() {
    let found = verdict(&looked(60, &AT, |_| Books {
        live: 10.0 * MIB,
        free: 90.0 * MIB,
        trimmable: 80.0 * MIB,
        ..Books::default()
    }));
    assert_eq!(found.kind, VerdictKind::NoGrowth, "{found:#?}");
    fact(
        &found,
        "Malloc keeps 90.0 MiB of 100 MiB RSS as free memory.",
    );
    assert!(
        found
            .advice
            .iter()
            .any(|a| a.starts_with("Call malloc_trim(0)")),
        "{:?}",
        found.advice
    );
    let full = verdict(&looked(60, &AT, |_| Books {
        live: 90.0 * MIB,
        free: 10.0 * MIB,
        ..Books::default()
    }));
    assert!(!format!("{full:?}").contains("malloc_trim"), "{full:#?}");
}

#[test]
fn live_blocks_that_grow_inside_level_memory_are_said() {
    let found = verdict(&looked(60, &AT, |t| Books {
        live: 10.0 * MIB + 100.0 * KIB * t,
        free: 90.0 * MIB - 100.0 * KIB * t,
        ..Books::default()
    }));
    assert_eq!(found.kind, VerdictKind::NoGrowth, "{found:#?}");
    fact(&found, "But live blocks grew by 5.86 MiB between 5 looks");
}

#[test]
fn what_keeps_memtide_from_looking_is_said_with_the_remedy() {
    let why = "process 4182 may not be read (ptrace_scope is 1); run memtide with sudo";
    let mut observations = looked(60, &[], leaking);
    observations.heap.as_mut().expect("tried").unavailable = Some(why.to_owned());
    let report = analyze(&observations).report;
    assert_eq!(report.verdict.kind, VerdictKind::Undetermined);
    assert!(
        report
            .warnings
            .contains(&format!("The heap could not be read: {why}.")),
        "{:?}",
        report.warnings
    );
    assert!(
        report.verdict.advice[0].contains("run memtide with sudo"),
        "{:?}",
        report.verdict.advice
    );
    assert_eq!((report.heap, report.classes), (None, None));
}

#[test]
fn a_look_or_two_warn_of_no_short_record() {
    let mut observations = looked(3, &[0.0, 2.0], leaking);
    let report = analyze_looks(&observations).report;
    assert_eq!(report.warnings, Vec::<String>::new());
    assert_eq!(report.verdict.kind, VerdictKind::Undetermined);
    assert_eq!(
        report.verdict.advice,
        ["For a verdict: memtide attach 4182 --for 1m"]
    );
    let grown = report.heap.and_then(|heap| heap.live_growth_bytes);
    assert!(grown.is_some_and(|bytes| bytes > 0), "{grown:?}");
    looks(&mut observations).truncate(1);
    let report = analyze_looks(&observations).report;
    assert!(
        report.verdict.advice[0].contains("memtide inspect 4182 --interval"),
        "{:?}",
        report.verdict.advice
    );
}

/// The line that tries what helps, with the arms that the numbers speak for.
fn comparison(observations: &memtide_model::Observations) -> String {
    let advice = verdict(observations).advice;
    let line = advice.iter().find(|a| a.contains("memtide compare"));
    line.unwrap_or_else(|| panic!("{advice:?}")).clone()
}

#[test]
fn the_line_to_try_has_the_arms_that_the_numbers_speak_for() {
    let mut holes = looked(60, &AT, fragmenting);
    holes.target.cmdline = vec!["/opt/a b/serve".to_owned(), "--name=it's".to_owned()];
    "/opt/a b/serve".clone_into(&mut holes.target.exe);
    assert_eq!(
        comparison(&holes),
        "Try what helps, several runs of each: memtide compare --allocators glibc,tcmalloc,jemalloc,mimalloc --for 60s -- '/opt/a b/serve' '--name=it'\\''s'"
    );
    // A title that was written over the command line starts nothing.
    holes.target.cmdline = vec!["serve: worker 3".to_owned()];
    "/opt/serve".clone_into(&mut holes.target.exe);
    assert!(comparison(&holes).ends_with("mimalloc --for 60s -- CMD"));
    "jemalloc".clone_into(&mut holes.target.allocator);
    let advice = verdict(&holes).advice;
    assert!(!advice.iter().any(|a| a.contains("compare")), "{advice:?}");

    // Blocks of 1.5 MiB and more between small ones, and a large unused end.
    let mut large = looked(60, &AT, |t| Books {
        trimmable: 2.0 * MIB + 190.0 * KIB * t,
        ..fragmenting(t)
    });
    for look in looks(&mut large) {
        look.totals.top_resident = Bytes(look.totals.trimmable.0 * 9 / 10);
        for (size, live) in [(256 << 10, 256 << 10), (3 << 19, 6 << 20)] {
            look.sizes.push(SizeClass {
                size,
                live_blocks: 4,
                live_bytes: Bytes(live),
                ..SizeClass::default()
            });
        }
    }
    assert!(comparison(&large).contains(
        "--allocators glibc,glibc:mmap_threshold=1048576,glibc:trim_threshold=131072,tcmalloc,"
    ));
    let advice = verdict(&large).advice.join("\n");
    for setting in ["M_MMAP_THRESHOLD, 1048576", "M_TRIM_THRESHOLD, 131072"] {
        assert!(advice.contains(setting), "{advice}");
    }
}
