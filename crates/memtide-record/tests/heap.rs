//! Snapshots of the heap: what is written comes back, within bounds, whatever happens to the recorder.

mod common;

use common::heap::{bare, snapshot};
use common::{BOOT, Random, plain_tick, start, target};
use memtide_model::{
    ArenaTotals, Bytes, HeapClass, HeapObservations, HeapQuality, HeapSnapshot, Nanos,
    Observations, SizeClass,
};
use memtide_record::{Reader, Writer};
use std::path::Path;
use std::time::{Duration, Instant};

fn writer(path: &Path) -> Writer {
    Writer::create(path, &target(), &start(Nanos::SECOND)).expect("new")
}

fn read(path: &Path) -> Observations {
    Reader::open(path)
        .and_then(|reader| reader.observations(1_000))
        .expect("sound")
}

fn heap(path: &Path) -> HeapObservations {
    read(path).heap.expect("somebody looked")
}

fn at(second: u64) -> Nanos {
    BOOT + Nanos::from_secs(second)
}

/// Of which snapshots, by their seconds, `list` was kept.
fn kept(heap: &HeapObservations, list: impl Fn(&HeapSnapshot) -> usize) -> Vec<u64> {
    let snapshots = heap.snapshots.iter().filter(|snapshot| list(snapshot) > 0);
    let seconds = snapshots.map(|snapshot| (snapshot.at - BOOT).0 / Nanos::SECOND.0);
    seconds.collect()
}

fn with_arenas(heap: &HeapObservations) -> Vec<u64> {
    kept(heap, |snapshot| snapshot.arenas.len())
}

fn with_sizes(heap: &HeapObservations) -> Vec<u64> {
    kept(heap, |snapshot| snapshot.sizes.len())
}

fn with_classes(heap: &HeapObservations) -> Vec<u64> {
    kept(heap, |snapshot| snapshot.classes.len())
}

#[test]
fn what_was_seen_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let mut random = Random(3);
    let first = snapshot(&mut random, 0, (3, 40, 12));
    let second = HeapSnapshot {
        held: Some(Nanos(123_456_789)),
        is_untested: true,
        layout: String::new(),
        quality: HeapQuality {
            arena_bytes: None,
            mmapped: None,
            doubts: vec!["2.4 % was skipped,\nat \"0x7f\"".into(), String::new()],
            ..snapshot(&mut random, 0, (0, 0, 0)).quality
        },
        ..snapshot(&mut random, 10, (1, 1, 1))
    };
    let empty = HeapSnapshot {
        at: at(11),
        ..HeapSnapshot::default()
    };
    let written = [first, second, empty];
    for (snapshot, second) in written.iter().zip([0, 10, 11]) {
        writer
            .tick(&plain_tick(at(second), 4_096, true))
            .expect("there is room");
        writer.heap(snapshot).expect("there is room");
    }
    let while_written = heap(&path);
    writer.finish().expect("there is room");
    let seen = read(&path);
    assert_eq!(seen.recording.lenses, ["sampler", "inspect"]);
    assert_eq!((seen.samples.len(), seen.recording.ended), (3, at(11)));
    let seen = seen.heap.expect("somebody looked");
    assert_eq!(seen.snapshots, written);
    assert_eq!(seen.unavailable, None);
    assert!(seen.snapshots[0].quality.is_conclusive());
    assert!(!seen.snapshots[1].quality.is_conclusive());
    assert_eq!(while_written, seen);
}

/// All values there are, the greatest among them.
#[test]
fn any_snapshot_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut random = Random(17);
    let len = |value| usize::try_from(value).expect("small");
    for round in 0..30_u64 {
        let path = dir.path().join(format!("{round}"));
        let mut writer = writer(&path);
        let lengths = (
            len(random.below(65)),
            len(random.below(129)),
            len(random.below(257)),
        );
        let mut written = snapshot(&mut random, round, lengths);
        for value in [
            &mut written.totals.live_bytes.0,
            &mut written.totals.swapped.0,
            &mut written.quality.reread,
            &mut written.rss.0,
            &mut written.took.0,
        ] {
            *value = random.one_of(&[0, u64::MAX, 1 << 63, (1 << 63) - 1]);
        }
        written.held = random.one_of(&[None, Some(Nanos(0)), Some(Nanos(u64::MAX))]);
        written.quality.mmapped = random.one_of(&[None, Some((0, u64::MAX))]);
        written.quality.arena_bytes = random.one_of(&[None, Some((Bytes(u64::MAX), Bytes(0)))]);
        for arena in &mut written.arenas {
            arena.address = random.next();
            arena.is_main = random.below(2) == 0;
        }
        for size in &mut written.sizes {
            size.size = random.next() >> random.below(64);
        }
        for class in &mut written.classes {
            // Names repeat, hold what SQL and C mind, and come in many scripts.
            class.name = random
                .one_of(&["", "a'\";--", "a\0b", "größe::Λ", "x"])
                .into();
            class.runtime = random.one_of(&["c++", ""]).into();
        }
        writer.heap(&written).expect("there is room");
        writer.finish().expect("there is room");
        assert_eq!(heap(&path).snapshots, [written], "round {round}");
    }
}

#[test]
fn nobody_looked_it_could_not_be_and_it_could_after_all_are_three_things() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let facts = |path: &Path| {
        let seen = read(path);
        let heap = seen
            .heap
            .map(|heap| (heap.snapshots.len(), heap.unavailable));
        (heap, seen.recording.lenses)
    };
    let sampler = vec!["sampler".to_owned()];
    assert_eq!(facts(&path), (None, sampler.clone()));
    for why in ["ptrace is denied", "it has no glibc"] {
        writer.heap_unavailable(why).expect("there is room");
        let want = Some((0, Some(why.to_owned())));
        assert_eq!(facts(&path), (want, sampler.clone()));
    }
    let mut random = Random(1);
    let both = vec!["sampler".to_owned(), "inspect".to_owned()];
    for second in 0..2 {
        let written = snapshot(&mut random, second, (1, 1, 1));
        writer.heap(&written).expect("there is room");
        let count = usize::try_from(second).expect("small") + 1;
        assert_eq!(facts(&path), (Some((count, None)), both.clone()));
    }
    writer
        .heap_unavailable("it is gone")
        .expect("there is room");
    writer.finish().expect("there is room");
    assert_eq!(
        facts(&path),
        (Some((2, Some("it is gone".to_owned()))), both)
    );
}

#[test]
fn a_lens_that_was_promised_is_not_named_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    for (lenses, want) in [
        (vec!["inspect", "sampler"], vec!["inspect", "sampler"]),
        (vec![], vec!["inspect"]),
        (vec!["inspector"], vec!["inspector", "inspect"]),
    ] {
        let path = dir.path().join(format!("{}.memtide", lenses.concat()));
        let mut start = start(Nanos::SECOND);
        start.lenses = lenses.into_iter().map(String::from).collect();
        let mut writer = Writer::create(&path, &target(), &start).expect("new");
        writer
            .heap(&snapshot(&mut Random(1), 0, (1, 1, 1)))
            .expect("there is room");
        writer.finish().expect("there is room");
        assert_eq!(read(&path).recording.lenses, want);
    }
}

#[test]
fn lists_are_kept_of_the_first_and_the_newest() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let mut random = Random(4);
    let mut written = Vec::new();
    // Only from the second on there are classes, and not each time; the fifth has no list at all.
    for (second, lengths) in [
        (0, (2, 3, 0)),
        (1, (2, 3, 4)),
        (2, (2, 3, 4)),
        (3, (2, 3, 0)),
        (4, (0, 0, 0)),
    ] {
        let next = snapshot(&mut random, second, lengths);
        writer.heap(&next).expect("there is room");
        written.push(next);
    }
    let seen = heap(&path);
    assert_eq!(with_arenas(&seen), [0, 3]);
    assert_eq!(with_sizes(&seen), [0, 3]);
    assert_eq!(with_classes(&seen), [1, 2]);
    for (seen, written) in seen.snapshots.iter().zip(&written) {
        assert_eq!(bare(seen), bare(written), "sums are kept of all");
        assert!(seen.arenas.is_empty() || seen.arenas == written.arenas);
        assert!(seen.sizes.is_empty() || seen.sizes == written.sizes);
        assert!(seen.classes.is_empty() || seen.classes == written.classes);
    }
    assert_eq!(seen.snapshots.len(), written.len());
}

#[test]
fn after_an_exec_there_is_a_first_one_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let mut random = Random(5);
    let mut next = |writer: &mut Writer, second| {
        let next = snapshot(&mut random, second, (1, 2, 3));
        writer.heap(&next).expect("there is room");
        heap(&path)
    };
    for second in 0..3 {
        next(&mut writer, second);
    }
    writer.retarget(&target(), at(5)).expect("there is room");
    // Its walk began before the exec: one of the former program.
    assert_eq!(with_classes(&next(&mut writer, 4)), [0, 4]);
    assert_eq!(with_classes(&next(&mut writer, 6)), [0, 6]);
    assert_eq!(with_classes(&next(&mut writer, 7)), [0, 6, 7]);
    assert_eq!(with_classes(&next(&mut writer, 8)), [0, 6, 8]);
    writer.retarget(&target(), at(10)).expect("there is room");
    assert_eq!(with_arenas(&next(&mut writer, 10)), [0, 10]);
    let seen = next(&mut writer, 20);
    assert_eq!(with_arenas(&seen), [0, 10, 20]);
    assert_eq!(with_sizes(&seen), [0, 10, 20]);
    assert_eq!(seen.snapshots.len(), 9, "those of former programs stay");
}

#[test]
fn the_largest_arenas_sizes_and_classes_are_kept_in_their_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let mut written = snapshot(&mut Random(6), 0, (1_000, 300, 5_000));
    // The main arena is small, and stays all the same.
    written.arenas[0].system_bytes = Bytes(1);
    written.quality.doubts = (0..20).map(|n| format!("doubt {n}")).collect();
    writer.heap(&written).expect("there is room");
    writer.finish().expect("there is room");
    let heap = heap(&path);
    let seen = &heap.snapshots[0];
    assert_eq!(bare(seen).totals, written.totals);
    assert_eq!(seen.quality.doubts, written.quality.doubts[..16]);

    let (rest, arenas) = seen.arenas.split_last().expect("there are some");
    assert_eq!(arenas.len(), 63);
    assert_eq!((rest.address, rest.is_main), (0, false));
    assert_eq!(arenas[0], written.arenas[0]);
    assert_eq!(
        arenas[1..],
        largest(&written.arenas[1..], 62, |a| a.system_bytes.0)
    );
    let columns = |arena: &ArenaTotals| {
        let ArenaTotals {
            threads,
            system_bytes,
            live_blocks,
            live_bytes,
            ..
        } = *arena;
        let (cached, free, resident) = (arena.cached_bytes, arena.free_bytes, arena.resident);
        let bytes = [system_bytes, live_bytes, cached, free, resident].map(|bytes| bytes.0);
        [threads, live_blocks]
            .into_iter()
            .chain(bytes)
            .collect::<Vec<_>>()
    };
    for column in 0..7 {
        let sum = |arenas: &[ArenaTotals]| arenas.iter().map(|a| columns(a)[column]).sum::<u64>();
        assert_eq!(sum(&seen.arenas), sum(&written.arenas), "column {column}");
    }

    let weight = |size: &SizeClass| size.live_bytes.0 + size.free_bytes.0;
    assert_eq!(seen.sizes, largest(&written.sizes, 128, weight));
    assert_eq!(seen.classes, written.classes[..256]);
}

/// Those with the greatest weight, in the order in which they are.
fn largest<T: Clone>(items: &[T], most: usize, weight: impl Fn(&T) -> u64) -> Vec<T> {
    let mut weights: Vec<u64> = items.iter().map(&weight).collect();
    weights.sort_unstable();
    let least = weights[weights.len() - most];
    let kept = items.iter().filter(|item| weight(item) >= least);
    kept.cloned().collect()
}

/// Names are the target's: a name of megabytes is cut, and two that become the same are still two.
#[test]
fn endless_names_are_cut() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let mut written = snapshot(&mut Random(7), 0, (1, 1, 256));
    for (class, n) in written.classes.iter_mut().zip(0..) {
        class.name = format!("{}{n}", "Λ".repeat(1 << 16));
    }
    written.quality.doubts = vec!["d".repeat(1 << 20)];
    written.layout = "l".repeat(1 << 20);
    writer.heap(&written).expect("there is room");
    writer
        .heap_unavailable(&"w".repeat(1 << 20))
        .expect("there is room");
    writer.finish().expect("there is room");
    let seen = heap(&path);
    let size = std::fs::metadata(&path).expect("it is there").len();
    assert!(size < 400_000, "{size}");
    assert_eq!(seen.unavailable, Some("w".repeat(4_096)));
    let seen = &seen.snapshots[0];
    assert_eq!(seen.layout, "l".repeat(4_096));
    assert_eq!(seen.quality.doubts, ["d".repeat(4_096)]);
    assert_eq!(seen.classes.len(), 256);
    for (seen, written) in seen.classes.iter().zip(&written.classes) {
        assert_eq!(seen.name, "Λ".repeat(2_048));
        let HeapClass { count, bytes, .. } = *written;
        assert_eq!((seen.count, seen.bytes), (count, bytes));
    }
}

/// However often is looked, and whatever is found.
#[test]
fn a_recording_stays_small() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let mut random = Random(8);
    let mut written = Vec::new();
    let mut longest = Duration::ZERO;
    for second in 0..2_000 {
        let mut next = snapshot(&mut random, second, (64, 128, 256));
        for class in &mut next.classes {
            // New ones each time.
            class.name = format!("{second}::{}", class.name);
        }
        let begun = Instant::now();
        writer.heap(&next).expect("there is room");
        longest = longest.max(begun.elapsed());
        written.push(next);
        let count = if second % 100 == 99 {
            heap(&path).snapshots.len()
        } else {
            1
        };
        assert!((1..=512).contains(&count), "{count} after {second}");
    }
    writer.finish().expect("there is room");
    let seen = heap(&path);
    assert_eq!(with_classes(&seen), [0, 1_999]);
    let ends = [
        &seen.snapshots[0],
        &seen.snapshots[seen.snapshots.len() - 1],
    ];
    assert_eq!(ends, [&written[0], &written[1_999]]);
    assert!(seen.snapshots.len() >= 256, "{}", seen.snapshots.len());
    let seconds = kept(&seen, |_| 1);
    assert!(seconds.is_sorted());
    for (second, snapshot) in seconds.iter().zip(&seen.snapshots) {
        let was = &written[usize::try_from(*second).expect("small")];
        assert_eq!(bare(snapshot), bare(was));
    }
    // Nowhere a hole longer than what four rounds of dropping every second can make.
    let holes = seconds.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(holes.max() <= Some(256), "{seconds:?}");
    let file = rusqlite::Connection::open(&path).expect("it is there");
    let names: i64 = file
        .query_row("SELECT count(*) FROM heap_text", [], |row| row.get(0))
        .expect("it is there");
    assert_eq!(names, 512, "names of dropped lists are dropped, too");
    let size = std::fs::metadata(&path).expect("it is there").len();
    println!("2,000 snapshots with full lists: {size} bytes, {longest:?} at most each");
    assert!(size < 500_000, "{size}");
}

/// A row as JSON; `sql` is the rest of a query, from its first column on.
fn json_of(file: &rusqlite::Connection, sql: &str) -> String {
    let sql = format!("SELECT json_array({sql}");
    file.query_row(&sql, [], |row| row.get(0))
        .expect("the view is there")
}

/// Each column of the views by its name: two that were swapped on both ways would read back unnoticed.
#[test]
fn the_views_say_what_the_snapshot_says() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let mut written = snapshot(&mut Random(11), 30, (2, 2, 2));
    written.held = Some(Nanos(250_000_000));
    written.took = Nanos(500_000_000);
    written.cpu = Nanos(125_000_000);
    written.totals.heap_resident = Bytes(written.totals.live_resident.0 + 77);
    written.quality.doubts = vec!["too much was skipped".into()];
    writer.heap(&written).expect("there is room");
    writer
        .heap(&HeapSnapshot::default())
        .expect("there is room");
    writer.finish().expect("there is room");
    let file = rusqlite::Connection::open(&path).expect("it is there");
    let row = |sql: &str| json_of(&file, sql);
    assert_eq!(
        row(
            "seconds, took_seconds, cpu_seconds, held_seconds, layout, untested, conclusive,
            json_extract(doubts, '$[0]')) FROM heap WHERE snapshot = 1"
        ),
        "[30.0,0.5,0.125,0.25,\"glibc 2.36 to 2.41\",0,0,\"too much was skipped\"]"
    );
    assert_eq!(
        row("conclusive, doubts) FROM heap WHERE snapshot = 2"),
        "[1,null]"
    );
    let HeapSnapshot {
        totals: t,
        quality: q,
        ..
    } = &written;
    let numbers: [(&str, u64); 29] = [
        ("rss_bytes", written.rss.0),
        ("heap_resident_bytes", t.heap_resident.0),
        ("live_resident_bytes", t.live_resident.0),
        ("retained_resident_bytes", 77),
        ("live_blocks", t.live_blocks),
        ("live_bytes", t.live_bytes.0),
        ("mmapped_blocks", t.mmapped_blocks),
        ("mmapped_bytes", t.mmapped_bytes.0),
        ("mmapped_resident_bytes", t.mmapped_resident.0),
        ("cached_blocks", t.cached_blocks),
        ("cached_bytes", t.cached_bytes.0),
        ("cached_resident_bytes", t.cached_resident.0),
        ("free_blocks", t.free_blocks),
        ("free_bytes", t.free_bytes.0),
        ("free_resident_bytes", t.free_resident.0),
        ("top_bytes", t.top_bytes.0),
        ("top_resident_bytes", t.top_resident.0),
        ("trimmable_bytes", t.trimmable.0),
        ("stuck_bytes", t.stuck.0),
        ("overhead_bytes", t.overhead_bytes.0),
        ("swapped_bytes", t.swapped.0),
        ("parsed_bytes", q.parsed.0),
        ("skipped_bytes", q.skipped.0),
        ("bad_headers", q.bad_headers),
        ("reread_headers", q.reread),
        ("system_bytes", q.arena_bytes.expect("it is given").0.0),
        ("walked_bytes", q.arena_bytes.expect("it is given").1.0),
        ("mmaps_counted", q.mmapped.expect("it is given").0),
        ("mmaps_found", q.mmapped.expect("it is given").1),
    ];
    for (column, want) in numbers {
        let got = row(&format!("{column}) FROM heap WHERE snapshot = 1"));
        assert_eq!(got, format!("[{want}]"), "{column}");
    }
}

#[test]
fn the_views_of_lists_say_what_the_lists_say() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let written = snapshot(&mut Random(15), 30, (2, 2, 2));
    writer.heap(&written).expect("there is room");
    writer.finish().expect("there is room");
    let file = rusqlite::Connection::open(&path).expect("it is there");
    let row = |sql: &str| json_of(&file, sql);
    let arena = written.arenas[1];
    assert_eq!(
        row(
            "seconds, address, main, threads, system_bytes, live_blocks, live_bytes, cached_bytes,
            free_bytes, resident_bytes) FROM heap_arenas LIMIT 1 OFFSET 1"
        ),
        format!(
            "[30.0,\"{:x}\",0,{},{},{},{},{},{},{}]",
            arena.address,
            arena.threads,
            arena.system_bytes.0,
            arena.live_blocks,
            arena.live_bytes.0,
            arena.cached_bytes.0,
            arena.free_bytes.0,
            arena.resident.0
        )
    );
    let size = written.sizes[1];
    assert_eq!(
        row(
            "size_bytes, live_blocks, live_bytes, free_blocks, free_bytes) FROM heap_sizes
            LIMIT 1 OFFSET 1"
        ),
        format!(
            "[{},{},{},{},{}]",
            size.size, size.live_blocks, size.live_bytes.0, size.free_blocks, size.free_bytes.0
        )
    );
    let class = &written.classes[1];
    assert_eq!(
        row("class, runtime, objects, bytes) FROM heap_classes LIMIT 1 OFFSET 1"),
        format!(
            "[\"{}\",\"c++\",{},{}]",
            class.name, class.count, class.bytes.0
        )
    );
}

/// Classes are types of the program, no secrets of its user.
#[test]
fn a_redacted_recording_still_names_classes() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let mut written = snapshot(&mut Random(14), 0, (2, 3, 4));
    written.classes[0].name = "vtable at shop+0x1234".into();
    writer.heap(&written).expect("there is room");
    writer.finish().expect("there is room");
    let mut seen = read(&path);
    memtide_model::Redactor::new().observations(&mut seen);
    assert_ne!(seen.target.cmdline, target().cmdline);
    assert_eq!(seen.heap.expect("somebody looked").snapshots, [written]);
}
