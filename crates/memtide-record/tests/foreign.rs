//! Files that are no recordings, or were ones once.

mod common;

use common::stacks::Stacks;
use common::{BOOT, Random, Simulation, heap, start, target};
use memtide_model::{
    Bytes, GroupTarget, HeapMode, HeapObservations, HeldGroup, HeldKind, Nanos, Observations,
    Sample, StackHistory, StackObservations, StackTotals, Symbol,
};
use memtide_record::{Error, ErrorKind, Reader, Result, Writer, store_symbols};
use std::path::{Path, PathBuf};

fn open(path: &Path) -> Result<Observations> {
    Reader::open(path)?.observations(1_000)
}

fn refused(path: &Path) -> Error {
    Reader::open(path).expect_err("it is no sound recording")
}

fn held(count: u64) -> HeldGroup {
    HeldGroup {
        number: 1,
        target: GroupTarget {
            kind: HeldKind::Tcp,
            name: "10.0.0.5:5432".into(),
            state: "CLOSE_WAIT".into(),
        },
        count,
    }
}

fn recording(path: &Path, ticks: usize) -> Vec<u8> {
    let mut simulation = Simulation::ordinary();
    let mut program = Stacks::new(60, 3, 20, 100_000);
    let mut writer = Writer::create(path, &target(), &start(Nanos::SECOND)).expect("new");
    writer
        .stacks_start(HeapMode::Full, Bytes(1))
        .expect("there is room");
    let mut random = Random(21);
    for number in 0..ticks as u64 {
        let mut tick = simulation.next();
        tick.held = Some(vec![held(number + 1)]);
        writer.tick(&tick).expect("there is room");
        writer.stacks(&program.next()).expect("there is room");
        if number % 10 == 0 {
            let snapshot = heap::snapshot(&mut random, number, (4, 30, 40));
            writer.heap(&snapshot).expect("there is room");
        }
    }
    writer.finish().expect("there is room");
    let code = Reader::open(path).and_then(|reader| reader.code());
    let names = code.expect("sound").places.into_iter().map(|place| {
        let symbol = Symbol {
            function: Some(format!("f{}", place.address).into()),
            file: Some("shop.c".into()),
            line: Some(7),
            inlined: false,
        };
        (place, vec![symbol])
    });
    store_symbols(path, &names.collect::<Vec<_>>(), &["none".into()]).expect("there is room");
    std::fs::read(path).expect("it is there")
}

#[test]
fn what_is_no_recording_is_named() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a");
    let random: Vec<u8> = {
        let mut random = Random(1);
        (0..5_000)
            .map(|_| random.next().to_le_bytes()[0] | 0x80)
            .collect()
    };
    let text = "2026-11-21 12:00 rss=4096\n".repeat(100);
    for (content, says) in [
        (&b""[..], "is empty"),
        (text.as_bytes(), "is a text file"),
        (b"x", "is a text file"),
        (&random, "is no SQLite database"),
        (b"SQLite", "is the first bytes of an SQLite database"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0", "is no SQLite database"),
    ] {
        std::fs::write(&path, content).expect("there is room");
        let error = refused(&path);
        assert_eq!(error.kind(), ErrorKind::NotARecording, "{error}");
        assert!(
            error.to_string().contains(says),
            "{error} does not say: {says}"
        );
        assert_eq!(
            std::fs::read(&path).expect("it is there"),
            content,
            "it is left alone"
        );
    }
    let error = refused(place.path());
    assert_eq!(error.kind(), ErrorKind::NotARecording);
    assert!(error.to_string().contains("a directory"), "{error}");
    let error = refused(Path::new("/dev/null"));
    assert_eq!(error.kind(), ErrorKind::NotARecording);
    assert!(error.to_string().contains("no regular file"), "{error}");
    assert_eq!(
        refused(&place.path().join("none")).kind(),
        ErrorKind::NotFound
    );
    assert_eq!(refused(&path.join("below")).kind(), ErrorKind::NotFound);
}

#[test]
fn another_programs_database_is_named_and_left_alone() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a");
    let file = rusqlite::Connection::open(&path).expect("new");
    file.execute_batch("CREATE TABLE tick(a); INSERT INTO tick VALUES (1)")
        .expect("room");
    file.close().expect("it closes");
    let before = std::fs::read(&path).expect("it is there");
    let error = refused(&path);
    assert_eq!(error.kind(), ErrorKind::NotARecording);
    assert!(
        error.to_string().contains("database of another program"),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).expect("it is there"), before);
    let name = std::fs::read_dir(place.path())
        .expect("a directory")
        .count();
    assert_eq!(name, 1, "no side files");
}

#[test]
fn a_newer_schema_is_refused_with_both_versions() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a");
    recording(&path, 3);
    let file = rusqlite::Connection::open(&path).expect("it is there");
    file.pragma_update(None, "user_version", 7)
        .expect("it can be written");
    file.close().expect("it closes");
    let error = refused(&path);
    assert_eq!(error.kind(), ErrorKind::NewerSchema { found: 7, known: 4 });
    assert!(
        error
            .to_string()
            .ends_with("has schema 7, this memtide reads up to 4"),
        "{error}"
    );
}

#[test]
fn a_recording_without_its_tables_is_damaged() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a");
    recording(&path, 3);
    let file = rusqlite::Connection::open(&path).expect("it is there");
    file.execute_batch("DROP TABLE memory")
        .expect("it can be written");
    file.close().expect("it closes");
    assert_eq!(
        open(&path).expect_err("half of it is gone").kind(),
        ErrorKind::Corrupt
    );
}

#[test]
fn a_truncated_recording_is_named_and_what_is_left_can_be_salvaged() {
    let place = tempfile::tempdir().expect("a directory");
    let whole = recording(&place.path().join("whole"), 600);
    let seen = open(&place.path().join("whole")).expect("sound");
    let path = place.path().join("cut");
    let mut salvaged = Vec::new();
    let lengths = [
        16, 17, 31, 32, 99, 100, 511, 512, 1_023, 1_024, 1_025, 2_048, 30_000,
    ];
    let tenths = (1..10).map(|tenth| whole.len() * tenth / 10 + tenth % 3);
    for length in lengths.into_iter().chain(tenths).chain([whole.len() - 1]) {
        std::fs::write(&path, &whole[..length]).expect("there is room");
        let error = refused(&path);
        assert_eq!(
            error.kind(),
            ErrorKind::Truncated,
            "{length} of {} bytes: {error}",
            whole.len()
        );
        assert!(error.to_string().contains(&format!("{length}")), "{error}");
        match Reader::salvage(&path).and_then(|reader| reader.observations(1_000)) {
            Ok(left) => {
                for (left, was) in left.samples.iter().zip(&seen.samples) {
                    only_what_is_true(left, was);
                }
                assert_eq!(left.target, seen.target);
                if let (Some(left), Some(was)) = (&left.stacks, &seen.stacks) {
                    only_true_stacks(left, was);
                }
                if let (Some(left), Some(was)) = (&left.heap, &seen.heap) {
                    only_true_snapshots(left, was);
                }
                salvaged.push((length, left.samples.len()));
            }
            Err(error) => {
                let kind = error.kind();
                assert!(
                    matches!(kind, ErrorKind::Truncated | ErrorKind::Corrupt),
                    "{error:?}"
                );
            }
        }
        assert_eq!(
            std::fs::read(&path).expect("it is there").len(),
            length,
            "left alone"
        );
    }
    println!("of {} bytes and 600 ticks: {salvaged:?}", whole.len());
    let most = salvaged.iter().rev().map(|(_, samples)| *samples).nth(1);
    assert!(most >= Some(400), "of nine tenths of the file: {most:?}");
    // Sound ones are salvaged whole.
    let all = Reader::salvage(&place.path().join("whole"))
        .and_then(|reader| reader.observations(1_000))
        .expect("sound");
    assert_eq!(all.samples, seen.samples);
}

/// Wherever the end is missing: within a value, a row, a page.
#[test]
fn what_is_salvaged_was_there() {
    let place = tempfile::tempdir().expect("a directory");
    let whole = recording(&place.path().join("whole"), 100);
    let seen = open(&place.path().join("whole")).expect("sound");
    let path = place.path().join("cut");
    let mut salvaged = 0;
    for length in (whole.len() / 3..whole.len()).step_by(131) {
        std::fs::write(&path, &whole[..length]).expect("there is room");
        let left = Reader::salvage(&path).and_then(|reader| reader.observations(1_000));
        let Ok(left) = left else { continue };
        salvaged += 1;
        // Ticks of the middle may be missing.
        for left in &left.samples {
            let was = seen.samples.iter().find(|was| was.at == left.at);
            only_what_is_true(left, was.expect("one of them"));
        }
        if let (Some(left), Some(was)) = (&left.stacks, &seen.stacks) {
            only_true_stacks(left, was);
        }
        if let (Some(left), Some(was)) = (&left.heap, &seen.heap) {
            only_true_snapshots(left, was);
        }
    }
    println!("{salvaged} files were salvaged");
    assert!(salvaged > 500, "{salvaged}");
}

/// Values may be absent, never others than they were.
fn only_what_is_true(left: &Sample, was: &Sample) {
    assert_eq!(
        (left.at, left.memory.rss, left.activity),
        (was.at, was.memory.rss, was.activity)
    );
    assert_eq!(left.counts.threads, was.counts.threads);
    assert!(left.maps.is_none() || left.maps == was.maps);
    assert!(left.cgroup.is_none() || left.cgroup == was.cgroup);
    assert!(left.host.is_none() || left.host == was.host);
    assert!(left.counts.descriptors.is_none() || left.counts.descriptors == was.counts.descriptors);
}

/// Frames may be missing on the outer side, and stacks, points and totals altogether.
fn only_true_stacks(left: &StackObservations, was: &StackObservations) {
    for history in &left.stacks {
        let same = |was: &&StackHistory| {
            was.last == history.last && was.stack.frames.starts_with(&history.stack.frames)
        };
        assert!(was.stacks.iter().any(|was| same(&was)), "{history:?}");
    }
    for total in &left.totals {
        let same = |was: &&StackTotals| was.allocs == total.allocs;
        let was = was.totals.iter().find(same).expect("one of them");
        let at = was.at;
        assert_eq!(StackTotals { at, ..*total }, *was);
    }
}

/// Snapshots and entries of their lists may be missing; those that are there are as they were.
fn only_true_snapshots(left: &HeapObservations, was: &HeapObservations) {
    assert_eq!(left.unavailable, None);
    for left in &left.snapshots {
        let same = was.snapshots.iter().find(|was| was.at == left.at);
        let was = same.expect("one of them");
        assert_eq!(heap::bare(left), heap::bare(was));
        assert!(left.arenas.iter().all(|arena| was.arenas.contains(arena)));
        assert!(left.sizes.iter().all(|size| was.sizes.contains(size)));
        assert!(left.classes.iter().all(|class| was.classes.contains(class)));
    }
}

/// Errors are fine, panics and endless loops are not.
#[test]
fn flipped_bytes_never_panic() {
    let place = tempfile::tempdir().expect("a directory");
    let whole = recording(&place.path().join("whole"), 120);
    let path = place.path().join("flipped");
    let mut random = Random(99);
    let mut sound = 0;
    for round in 0..1_500_u64 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(8) {
            // The header and the schema more often than the rest.
            let end = if round % 3 == 0 {
                12_000
            } else {
                bytes.len() as u64
            };
            let index = usize::try_from(random.below(end)).expect("in the file");
            bytes[index] ^= 1 << random.below(8);
        }
        std::fs::write(&path, &bytes).expect("there is room");
        sound += u32::from(open(&path).is_ok());
        if let Ok(reader) = Reader::salvage(&path) {
            let _ = reader.observations(50);
        }
        for suffix in ["-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(place.path().join(format!("flipped{suffix}")));
        }
    }
    println!("{sound} of 1,500 damaged files still opened");
}

/// A copy of a file that is kept with the sources.
fn stored(name: &str, place: &Path) -> PathBuf {
    let stored = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    let path = place.join("a.memtide");
    std::fs::copy(stored, &path).expect("it is kept with the sources");
    path
}

/// Every version's file opens for ever.
#[test]
fn the_stored_file_of_schema_1_opens() {
    let place = tempfile::tempdir().expect("a directory");
    let path = stored("schema-1.sqlite", place.path());
    let before = std::fs::read(&path).expect("it is there");
    let seen = open(&path).expect("version 1 opens");
    let mut simulation = Simulation::ordinary();
    for sample in &seen.samples {
        let want = simulation.next().sample;
        assert_eq!(
            (sample.at, sample.memory, sample.maps),
            (want.at, want.memory, want.maps)
        );
    }
    assert_eq!(seen.samples.len(), 20);
    assert_eq!(seen.target, target());
    assert_eq!((seen.mappings.len(), seen.threads.len()), (50, 10));
    assert!(seen.recording.complete);
    assert_eq!(seen.recording.samples, 20);
    assert_eq!((seen.stacks, seen.heap), (None, None), "nobody looked");
    let code = Reader::open(&path).and_then(|reader| reader.code());
    assert_eq!(code.expect("it opens").places, []);
    assert_eq!(std::fs::read(&path).expect("it is there"), before);
}

/// The tables of schema 1 as they were, with rows that were never written by this program.
#[test]
fn a_file_made_with_the_sql_of_schema_1_opens_and_takes_no_names() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let file = rusqlite::Connection::open(&path).expect("new");
    file.execute_batch(include_str!("data/schema-1.sql"))
        .and_then(|()| file.pragma_update(None, "application_id", 0x6d54_6964))
        .and_then(|()| file.pragma_update(None, "user_version", 1))
        .expect("there is room");
    let json = serde_json::to_string(&target()).expect("plain");
    file.execute("INSERT INTO target(json) VALUES (?)", [json])
        .expect("there is room");
    let boot = BOOT.0;
    file.execute_batch(&format!(
        "INSERT INTO meta VALUES ('started_boottime_ns', {boot}), ('complete', 1),
           ('lenses', 'sampler');
         INSERT INTO tick VALUES (1, {boot}, 1), (2, {boot} + 1000000000, 0);
         INSERT INTO memory(tick, rss, size) VALUES (1, 4096, 9000), (2, 8192, 9000);
         INSERT INTO activity(tick, min_flt) VALUES (1, 77);
         INSERT INTO counts(tick, threads) VALUES (1, 3);
         INSERT INTO maps_total(tick, pss) VALUES (1, 5);"
    ))
    .expect("there is room");
    file.close().expect("it closes");
    let seen = open(&path).expect("version 1 opens");
    let rss: Vec<u64> = seen.samples.iter().map(|s| s.memory.rss.0).collect();
    assert_eq!(rss, [4_096, 8_192]);
    assert_eq!(seen.samples[1].at, BOOT + Nanos::SECOND);
    assert_eq!(seen.samples[1].counts.threads, 3);
    assert_eq!(seen.recording.samples, 2);
    assert_eq!(seen.stacks, None);
    let error = store_symbols(&path, &[], &[]).expect_err("there is no place for names");
    let (found, needed) = (1, 2);
    assert_eq!(error.kind(), ErrorKind::OlderSchema { found, needed });
    assert!(
        error.to_string().ends_with("has schema 1, names need 2"),
        "{error}"
    );
}

#[test]
fn the_stored_file_of_schema_2_opens_and_takes_names() {
    let place = tempfile::tempdir().expect("a directory");
    let path = stored("schema-2.sqlite", place.path());
    let seen = open(&path).expect("version 2 opens");
    assert_eq!((seen.samples.len(), seen.recording.samples), (20, 20));
    assert_eq!(seen.recording.lenses, ["sampler", "shim"]);
    assert_eq!(seen.heap, None, "nobody looked");
    as_the_program_was(&seen.stacks.expect("the shim looked"));
    store_symbols(&path, &[], &["others".into()]).expect("it has a place for names");
    let renamed = open(&path).expect("it is still of version 2");
    let stacks = renamed.stacks.expect("the shim looked");
    assert_eq!(stacks.symbol_warnings, ["others"]);
    assert_eq!(renamed.heap, None, "nobody looked");
}

/// Written once with `MEMTIDE_STORE=1`, then kept.
#[test]
fn the_stored_file_of_schema_4_opens() {
    if std::env::var_os("MEMTIDE_STORE").is_some() {
        let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/schema-4.sqlite");
        let _ = std::fs::remove_file(&stored);
        recording(&stored, 20);
    }
    let place = tempfile::tempdir().expect("a directory");
    let seen = open(&stored("schema-4.sqlite", place.path())).expect("version 4 opens");
    assert_eq!((seen.samples.len(), seen.recording.samples), (20, 20));
    let host = seen.samples[0].host.expect("it was read");
    assert_eq!(host.commit_limit, Some(Bytes(4 << 30)));
    let held = &seen.held[0];
    assert_eq!(held.target.label(), "tcp 10.0.0.5:5432 CLOSE_WAIT");
    let counts: Vec<u64> = held.points.iter().map(|point| point.count).collect();
    assert_eq!(counts, (1..=20).collect::<Vec<_>>());
}

#[test]
fn the_stored_file_of_schema_3_opens() {
    let place = tempfile::tempdir().expect("a directory");
    let seen = open(&stored("schema-3.sqlite", place.path())).expect("version 3 opens");
    assert_eq!((seen.samples.len(), seen.recording.samples), (20, 20));
    assert_eq!(seen.recording.lenses, ["sampler", "shim", "inspect"]);
    assert_eq!(seen.held, [], "nobody looked");
    let host = seen.samples[0].host.expect("it was read");
    assert!(host.available.is_some() && host.commit_limit.is_none());
    as_the_program_was(&seen.stacks.expect("the shim looked"));
    let mut random = Random(21);
    let snapshots = [0, 10].map(|second| heap::snapshot(&mut random, second, (4, 30, 40)));
    assert_eq!(seen.heap.expect("somebody looked").snapshots, snapshots);
}

/// The stacks of a stored file are those of the program that it was made from.
fn as_the_program_was(seen: &StackObservations) {
    let mut program = Stacks::new(60, 3, 20, 100_000);
    let totals: Vec<_> = (0..20).map(|_| program.next().totals).collect();
    assert_eq!(seen.totals, totals);
    assert_eq!(seen.stacks.len(), 60);
    for history in &seen.stacks {
        let was = program
            .all
            .iter()
            .find(|(stack, _)| *stack == history.stack);
        assert_eq!(was.map(|(_, counters)| *counters), Some(history.last));
    }
    let place = seen.stacks[0].stack.frames[0];
    let want = format!("f{}", place.address);
    assert_eq!(seen.symbols(place)[0].function.as_deref(), Some(&*want));
    assert_eq!(seen.symbol_warnings, ["none"]);
}

/// `sqlite3 FILE 'select * from samples'` and its like say the same as the reader.
#[test]
fn the_views_say_what_the_reader_says() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    recording(&path, 90);
    let seen = open(&path).expect("sound");
    let file = rusqlite::Connection::open(&path).expect("it is there");
    let mut statement = file
        .prepare("SELECT seconds, rss_bytes, threads, pss_bytes, wall_utc FROM samples")
        .expect("the view is there");
    let rows: Vec<(f64, i64, i64, i64, String)> = statement
        .query_map([], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })
        .and_then(Iterator::collect)
        .expect("every row reads");
    assert_eq!(rows.len(), seen.samples.len());
    for (row, sample) in rows.iter().zip(&seen.samples) {
        assert!((row.0 - sample.at.seconds_since(seen.recording.started)).abs() < 1e-6);
        let pss = sample.maps.expect("at every tick").pss.0;
        let want = [sample.memory.rss.0, sample.counts.threads, pss].map(u64::cast_signed);
        assert_eq!([row.1, row.2, row.3], want);
        assert!(row.4.starts_with("2026-09-2"), "{}", row.4);
    }
    let number = |sql: &str| -> i64 {
        file.query_row(sql, [], |row| row.get(0))
            .expect("the view is there")
    };
    let rss = seen.samples[89].memory.rss.0.cast_signed();
    assert_eq!(
        number("SELECT sum(rss_bytes) FROM classes WHERE tick = 90"),
        rss
    );
    assert_eq!(number("SELECT count(DISTINCT mapping) FROM mappings"), 50);
    assert_eq!(
        number("SELECT count(DISTINCT tid) FROM threads WHERE wchan = 'futex_wait_queue'"),
        10
    );
    assert_eq!(number("SELECT count(*) FROM events"), 0);
    let was = seen.stacks.expect("the shim looked");
    let live: u64 = was.stacks.iter().map(|h| h.last.live_bytes()).sum();
    assert_eq!(
        number("SELECT sum(live_bytes) FROM stacks WHERE kind = 'heap' AND ending = 'root'"),
        live.cast_signed()
    );
    assert_eq!(
        number("SELECT live_bytes FROM stack_totals ORDER BY tick DESC LIMIT 1"),
        was.totals[89].live_bytes.0.cast_signed()
    );
    let points: usize = was.stacks.iter().map(|h| h.points.len()).sum();
    assert_eq!(
        usize::try_from(number("SELECT count(*) FROM stack_points")),
        Ok(points)
    );
    let frames: Vec<(String, String, String)> = file
        .prepare("SELECT module, address, function FROM frames WHERE stack = 1")
        .expect("the view is there")
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .and_then(Iterator::collect)
        .expect("every row reads");
    let want = was.stacks[0].stack.frames.iter().map(|place| {
        let module = place.module.expect("all have one").0 as usize;
        let path = was.modules[module].path.to_string();
        let address = place.address;
        (path, format!("{address:x}"), format!("f{address}"))
    });
    assert_eq!(frames, want.collect::<Vec<_>>());
}
