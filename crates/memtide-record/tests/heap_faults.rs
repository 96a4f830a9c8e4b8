//! Snapshots of the heap under kills, on full disks, and in files that nobody wrote that way.

mod common;

use common::heap::{bare, snapshot};
use common::place::{Tmpfs, copy};
use common::{Random, start, target};
use memtide_model::{HeapObservations, HeapTotals, Nanos};
use memtide_record::{ErrorKind, Reader, Writer};
use std::path::{Path, PathBuf};

fn writer(path: &Path) -> Writer {
    Writer::create(path, &target(), &start(Nanos::SECOND)).expect("new")
}

fn heap(path: &Path) -> HeapObservations {
    Reader::open(path)
        .and_then(|reader| reader.observations(1_000))
        .expect("sound")
        .heap
        .expect("somebody looked")
}

fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Killed while it writes one: the file says what it said before.
#[test]
fn half_a_snapshot_is_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let mut random = Random(9);
    let length = || {
        std::fs::metadata(side_file(&path, "-wal"))
            .expect("it is there")
            .len()
    };
    let mut states = Vec::new();
    for second in 0..3 {
        let next = snapshot(&mut random, second, (64, 128, 256));
        writer.heap(&next).expect("there is room");
        if second == 0 {
            writer.heap_unavailable("for now").expect("there is room");
        }
        states.push((length(), heap(&path)));
    }
    let lists = |heap: &HeapObservations| -> Vec<usize> {
        heap.snapshots.iter().map(|s| s.classes.len()).collect()
    };
    assert_eq!(lists(&states[1].1), [256, 256]);
    assert_eq!(lists(&states[2].1), [256, 0, 256]);
    let killed = dir.path().join("killed.memtide");
    let (before, after) = (states[1].0, states[2].0);
    assert!(after > before + 20_000, "{before}, {after}");
    for tenth in 0..=10 {
        copy(&path, &killed);
        copy(&side_file(&path, "-wal"), &side_file(&killed, "-wal"));
        let wal = std::fs::File::options()
            .write(true)
            .open(side_file(&killed, "-wal"));
        wal.and_then(|wal| wal.set_len(before + (after - before) * tenth / 10))
            .expect("it is ours");
        let want = if tenth < 10 {
            &states[1].1
        } else {
            &states[2].1
        };
        assert_eq!(heap(&killed), *want, "{tenth} tenths");
        std::fs::remove_file(&killed).expect("it is there");
    }
}

#[test]
fn a_full_disk_loses_snapshots_and_nothing_else() {
    let Some(small) = Tmpfs::new(3_072) else {
        return;
    };
    let path = small.path().join("a.memtide");
    let filler = small.path().join("filler");
    let mut writer = writer(&path);
    let mut random = Random(10);
    let mut stored = Vec::new();
    let (mut lost, mut unsaid) = (0, 0);
    for second in 0..60 {
        match second {
            20 => fill(&filler),
            40 => std::fs::remove_file(&filler).expect("it is there"),
            _ => {}
        }
        let next = snapshot(&mut random, second, (64, 128, 256));
        let may_fail = (20..40).contains(&second);
        match writer.heap(&next) {
            Ok(()) => stored.push(next),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                assert!(may_fail, "{second}: {error}");
                lost += 1;
            }
        }
        if may_fail && let Err(error) = writer.heap_unavailable(&"why ".repeat(1_000)) {
            assert_eq!(error.kind(), ErrorKind::Full, "{error}");
            unsaid += 1;
        }
    }
    assert!(
        lost > 5 && unsaid > 5,
        "the disk was never full: {lost}, {unsaid}"
    );
    writer.finish().expect("there is room");
    let seen = heap(&path);
    let newest = stored.len() - 1;
    assert_eq!(seen.unavailable, None);
    assert_eq!(seen.snapshots.len(), stored.len());
    for (index, (seen, stored)) in seen.snapshots.iter().zip(&stored).enumerate() {
        let want = if [0, newest].contains(&index) {
            stored.clone()
        } else {
            bare(stored)
        };
        assert_eq!(*seen, want, "snapshot {index}");
    }
}

/// Writes until nothing fits any more.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).expect("there is room");
    while file.write_all(&[7; 512]).is_ok() {}
}

/// A file that promises more than a writer ever writes is read up to the bounds.
#[test]
fn a_made_up_file_is_read_within_bounds() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    writer
        .heap(&snapshot(&mut Random(12), 0, (1, 1, 1)))
        .expect("there is room");
    writer.finish().expect("there is room");
    let file = rusqlite::Connection::open(&path).expect("it is there");
    file.execute_batch(
        "WITH RECURSIVE n(n) AS (SELECT 10 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
         INSERT INTO heap_class SELECT 1, n, 1, 'c++', 1, 1 FROM n;
         WITH RECURSIVE n(n) AS (SELECT 10 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
         INSERT INTO heap_snapshot SELECT n, boottime_ns, 0, 0, 0, 0, '', 0, NULL, 0, 0, 0, 0, 0, 0,
           0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
         FROM n JOIN heap_snapshot;
         UPDATE heap_text SET name = CAST(zeroblob(1000000) AS TEXT);",
    )
    .expect("it can be written");
    file.close().expect("it closes");
    let seen = heap(&path);
    assert_eq!(seen.snapshots.len(), 512);
    assert_eq!(seen.snapshots[0].classes.len(), 16 * 256);
    let longest = seen.snapshots[0]
        .classes
        .iter()
        .map(|class| class.name.len());
    assert_eq!(longest.max(), Some(4_096));
    assert_eq!(seen.snapshots[1].totals, HeapTotals::default());
}

/// Doubts that cannot be read must not make a snapshot look sound.
#[test]
fn unreadable_doubts_are_damage() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    writer
        .heap(&snapshot(&mut Random(13), 0, (1, 1, 1)))
        .expect("there is room");
    writer.finish().expect("there is room");
    let file = rusqlite::Connection::open(&path).expect("it is there");
    file.execute_batch("UPDATE heap_snapshot SET doubts = '[\"half'")
        .expect("it can be written");
    file.close().expect("it closes");
    let refused = Reader::open(&path).and_then(|reader| reader.observations(10));
    assert_eq!(refused.expect_err("damaged").kind(), ErrorKind::Corrupt);
}
